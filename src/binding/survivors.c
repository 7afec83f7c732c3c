#include "survivors.h"

bool pg_survivors_init(pg_survivors_t *survivors)
{
    survivors->failures = 0;
    survivors->dead = calloc((size_t)pg.size, sizeof(*survivors->dead));
    return survivors->dead != NULL;
}

void pg_survivors_fini(pg_survivors_t *survivors)
{
    free(survivors->dead);
    survivors->dead = NULL;
}

void pg_survivors_update(pg_survivors_t *survivors, size_t most)
{
    size_t known = gas_failure_count(pg.job);
    gas_failed_t failed;

    for (; survivors->failures < known && survivors->failures < most; survivors->failures++)
        if (gas_failure_get(pg.job, survivors->failures, &failed))
            survivors->dead[failed.rank] = true;
}

int pg_survivors_count(const pg_survivors_t *survivors)
{
    return pg.size - (int)survivors->failures;
}

int pg_survivors_place(const pg_survivors_t *survivors, int rank)
{
    int place = 0;

    for (int other = 0; other < rank; other++)
        place += !survivors->dead[other];
    return place;
}

int pg_survivors_at(const pg_survivors_t *survivors, int place)
{
    for (int rank = 0; rank < pg.size; rank++)
        if (!survivors->dead[rank] && place-- == 0)
            return rank;
    return -1;
}
