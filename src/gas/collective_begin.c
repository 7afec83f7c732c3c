/* How an operation begins: its arguments, its number, and its first round. */
#include "alloc.h"
#include "clock.h"
#include "collective.h"
#include "collectives/operation.h"
#include "collectives/table.h"
#include "job.h"

#include <stdlib.h>

static gas_coll_t *create(gas_team_t *team, const gas_coll_args_t *args)
{
    gas_coll_t *coll = gas_alloc_zeroed(sizeof(*coll));

    if (coll == NULL) {
        gas_error(GAS_ERR_NO_MEMORY, "no memory for a collective operation");
        return NULL;
    }
    coll->team = team;
    coll->args = *args;
    coll->rank = team->rank;
    coll->size = team->size;
    coll->unit = gas_type_size(args->type);
    coll->bytes = args->count * coll->unit;
    coll->wanted_end = &coll->wanted;
    coll->signature = (gas_coll_signature_t){
        .kind = (uint8_t)args->kind,
        .algorithm = (uint8_t)args->algorithm,
        .op = (uint8_t)args->op,
        .type = (uint8_t)args->type,
        .root = (uint32_t)args->root,
        .count = args->count,
        .shape = args->shape,
        .extra = args->extra,
    };
    return coll;
}

/* What came before the operation was begun here. */
static void look_at_early(gas_coll_t *coll)
{
    gas_inbox_t *inbox = coll->inbox;
    gas_msg_t *msg = NULL;

    if (inbox->failure != NULL) {
        gas_coll_fail_locked(coll, inbox->failed, inbox->failure, !inbox->told);
        return;
    }
    while ((msg = gas_inbox_next(inbox, msg)) != NULL)
        if (!gas_coll_agrees(coll, msg))
            return;
}

/* Gives the operation its number. With `pending` 1. `refusal`, if not NULL, says why it fails at
 * once. If it cannot begin it is freed. */
static gas_status_t begin(gas_coll_t *coll, const char *refusal)
{
    gas_team_t *team = coll->team;
    gas_job_t *job = team->job;
    gas_status_t status = GAS_OK;

    gas_job_lock(job);
    if (team->broken != NULL) {
        status = gas_error(team->broken_as, "%s", team->broken);
        goto out;
    }
    coll->inbox = gas_inbox_get(job, team->id, team->begun);
    if (coll->inbox == NULL) {
        status = gas_error(GAS_ERR_NO_MEMORY, "no memory for a collective operation");
        goto out;
    }
    coll->inbox->coll = coll;
    coll->number = team->begun++;
    team->recent[coll->number % GAS_TEAM_RECENT] = coll->signature;
    coll->next = team->open;
    team->open = coll;
    coll->pending = 1;
    if (!coll->is_exchange)
        atomic_fetch_add(&job->colls.running, 1);
    coll->since = gas_clock_recent();
    if (refusal != NULL)
        gas_coll_fail_locked(coll, GAS_ERR_MISMATCH, refusal, true);
    else
        look_at_early(coll);
out:
    gas_job_unlock(job);
    if (status != GAS_OK)
        free(coll);
    return status;
}

bool gas_coll_meets_first(const gas_coll_t *coll)
{
    switch (coll->args.kind) {
    case GAS_COLL_BROADCAST:
    case GAS_COLL_GATHER:
    case GAS_COLL_SCATTER:
    case GAS_COLL_REDUCE:
    case GAS_COLL_SCAN:
    case GAS_COLL_EXSCAN:
    case GAS_COLL_SHARE:
        return coll->number % GAS_COLL_AHEAD_MAX == GAS_COLL_AHEAD_MAX - 1;
    default: /* everybody hears from everybody */
        return false;
    }
}

/* An algorithm: the barrier, then what was to be done. */
static gas_coll_next_t meet(gas_coll_t *coll)
{
    if (gas_barrier_dissemination(coll) == GAS_COLL_MORE)
        return GAS_COLL_MORE;
    return gas_coll_become(coll, coll->after_meeting);
}

static gas_status_t check_args(const gas_team_t *team, const gas_coll_args_t *args)
{
    if (args->root < 0 || args->root >= team->size)
        return gas_error(GAS_ERR_INVALID, "there is no rank %d in a team of %d", args->root,
                         team->size);
    if ((unsigned)args->kind >= GAS_COLL_KINDS || (unsigned)args->type >= GAS_TYPE_COUNT ||
        (unsigned)args->op >= GAS_REDUCE_COUNT)
        return gas_error(GAS_ERR_INVALID, "there is no such collective operation");
    if (args->count > SIZE_MAX / 2 / (uint64_t)team->size / gas_type_size(args->type))
        return gas_error(GAS_ERR_INVALID, "%llu elements on each rank are too many",
                         (unsigned long long)args->count);
    return GAS_OK;
}

gas_status_t gas_coll_start(gas_team_t *team, const gas_coll_args_t *args, gas_coll_over_fn over,
                            void *arg, gas_coll_t **out)
{
    const gas_algorithm_t *algorithm;
    gas_coll_args_t chosen = *args;
    gas_status_t status = check_args(team, args);
    gas_coll_t *coll;

    if (status == GAS_OK)
        status = gas_algorithm_choose(team, args, &chosen.algorithm);
    if (status != GAS_OK)
        return status;
    algorithm = gas_algorithm_get(args->kind, (size_t)chosen.algorithm);
    coll = create(team, &chosen);
    if (coll == NULL)
        return GAS_ERR_NO_MEMORY;
    coll->run_round = algorithm->run_round;
    coll->over = over;
    coll->over_arg = arg;
    /* Before it can be over: `over` may look for it. */
    *out = coll;
    status = begin(coll, NULL);
    if (status != GAS_OK)
        return status;
    if (gas_coll_meets_first(coll)) {
        coll->after_meeting = coll->run_round;
        coll->run_round = meet;
    }
    gas_coll_run_rounds(coll);
    return GAS_OK;
}

/* Begins an exchange; `refusal` as in begin(). */
static gas_status_t open_exchange(gas_team_t *team, const gas_coll_args_t *args,
                                  const char *refusal, gas_coll_t **out)
{
    gas_status_t status = check_args(team, args);
    gas_coll_args_t without = *args;
    gas_coll_t *coll;

    if (status != GAS_OK)
        return status;
    without.algorithm = 0;
    coll = create(team, &without);
    if (coll == NULL)
        return GAS_ERR_NO_MEMORY;
    coll->is_exchange = true;
    coll->is_last = true;
    status = begin(coll, refusal);
    if (status == GAS_OK)
        *out = coll;
    return status;
}

gas_status_t gas_coll_open(gas_team_t *team, const gas_coll_args_t *args, gas_coll_t **out)
{
    return open_exchange(team, args, NULL, out);
}

gas_status_t gas_coll_refuse(gas_team_t *team, const gas_coll_args_t *args, const char *why)
{
    gas_coll_t *coll;
    gas_status_t status = open_exchange(team, args, why, &coll);

    if (status != GAS_OK)
        return status;
    gas_coll_close(coll);
    gas_coll_free(coll);
    return GAS_OK;
}
