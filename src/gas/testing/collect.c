#include "collect.h"

#include "../progress.h"
#include "check.h"
#include "patience.h"

static void set_event(void *arg)
{
    gas_event_set(arg);
}

void collect_barrier(gas_job_t *job)
{
    gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};
    gas_event_t event = GAS_EVENT_INIT;
    gas_status_t status;
    gas_coll_t *coll;

    CHECK(gas_coll_start(job->teams.world, &args, set_event, &event, &coll) == GAS_OK);
    do
        status = gas_wait(job, &event, GAS_FOREVER, 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK && gas_coll_status(coll) == GAS_OK);
    gas_coll_free(coll);
}

static void note_over(void *arg)
{
    atomic_store(&((collected_t *)arg)->over, true);
}

void collect_begin(gas_team_t *team, const gas_coll_args_t *args, collected_t *part)
{
    atomic_init(&part->over, false);
    part->coll = NULL;
    part->begun = gas_coll_start(team, args, note_over, part, &part->coll);
    if (part->begun != GAS_OK)
        part->coll = NULL;
}

void collect_finish(world_t *world, collected_t *parts, int count)
{
    uint64_t deadline = deadline_in(20);

    for (int i = 0; i < count; i++) {
        while (parts[i].begun == GAS_OK && !atomic_load(&parts[i].over)) {
            for (int rank = 0; rank < world->size; rank++)
                gas_progress_poll(world->jobs[rank]);
            CHECK(gas_clock_left(deadline) > 0);
        }
    }
}

void collect_finish_on(world_t *world, int rank, collected_t *part)
{
    uint64_t deadline = deadline_in(20);

    while (part->begun == GAS_OK && !atomic_load(&part->over)) {
        gas_progress_poll(world->jobs[rank]);
        CHECK(gas_clock_left(deadline) > 0);
    }
}

void collect_free(collected_t *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (parts[i].coll != NULL)
            gas_coll_free(parts[i].coll);
}
