/*
 * Survivors: the ranks that have not failed, as far as the first so many failures go. All ranks
 * hear of failures in the same order, so for the same number of them they agree on who survived,
 * which they may not on who has failed by now.
 */
#ifndef PYGAS_BINDING_SURVIVORS_H
#define PYGAS_BINDING_SURVIVORS_H

#include "state.h"

typedef struct pg_survivors {
    bool *dead;        /* by rank */
    uint32_t failures; /* that count */
} pg_survivors_t;

/* All ranks. After pg.size is known; false without memory. */
bool pg_survivors_init(pg_survivors_t *survivors);
void pg_survivors_fini(pg_survivors_t *survivors);

/* Takes in the failures that are known by now, up to `most` of them. */
void pg_survivors_update(pg_survivors_t *survivors, size_t most);

int pg_survivors_count(const pg_survivors_t *survivors);

/* How many survivors are below `rank`. */
int pg_survivors_place(const pg_survivors_t *survivors, int rank);

/* The survivor at `place`; -1 if there are not so many. */
int pg_survivors_at(const pg_survivors_t *survivors, int place);

#endif
