/*
 * Design notes.
 *
 * Who does what. Handlers, under the conduit lock, match messages with receives (matching.c) and
 * count down `pending`. When it reaches 0 the operation is put into the list of those that are
 * ready. Whoever polled looks at that list afterwards, without the lock, and runs the next round: a
 * thread that waits in the runtime, else the progress thread. So operations go on while the program
 * computes, need no interpreter, and reduce arrays outside the lock. While a round is run `pending`
 * is one more, so nobody else finds the operation ready; that makes rounds exclusive.
 *
 * An operation begins in round 0 in the thread that starts it. It is over when its last round is
 * complete, or when it has failed and nothing is on its way into its memory any more.
 *
 * Failing. Whoever sees that an operation cannot succeed fails it here and tells ceil(2 log2 N)
 * members (notes.c), who fail it and tell others: everybody has heard after log2 N steps, whatever
 * they were waiting for, and no algorithm has to cope with a peer that gave up. A member that had
 * left the operation with success by then cannot be told there; it declares the team broken, which
 * is told in the same way, and every later operation of the team fails with the same text.
 *
 * Memory. An operation is the caller's from start to free; the runtime does not touch it after
 * `over`. An inbox belongs to the table of inboxes; to an open operation, too, which frees it at
 * its end.
 */
#include "collective.h"

#include "clock.h"
#include "collectives/operation.h"
#include "collectives/wire.h"
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[GAS_COLL_KINDS] = {
    "barrier",   "broadcast",      "gather", "scatter", "allgather", "alltoall", "reduce",
    "allreduce", "reduce_scatter", "scan",   "exscan",  "share",     "split",    "check"};

const char *gas_coll_kind_name(gas_coll_kind_t kind)
{
    return (unsigned)kind < GAS_COLL_KINDS ? kind_names[kind] : "an unknown operation";
}

void gas_colls_init(gas_job_t *job)
{
    job->colls.ready_end = &job->colls.ready;
}

void gas_colls_fini(gas_job_t *job)
{
    gas_inboxes_fini(job);
}

/* ---- the life of an operation; all under the conduit lock ---- */

static void make_ready(gas_coll_t *coll)
{
    gas_colls_t *colls = &coll->team->job->colls;

    coll->is_ready = true;
    coll->next_ready = NULL;
    *colls->ready_end = coll;
    colls->ready_end = &coll->next_ready;
    atomic_fetch_add(&colls->ready_count, 1);
    if (!colls->polling)
        gas_waiter_wake(&coll->team->job->progress.self);
}

static void finish(gas_coll_t *coll)
{
    gas_team_t *team = coll->team;
    gas_job_t *job = team->job;
    gas_coll_t **at = &team->open;
    bool too_many = coll->status == GAS_OK && coll->inbox->count > 0;
    int source = too_many ? gas_inbox_next(coll->inbox, NULL)->source : 0;

    while (*at != coll)
        at = &(*at)->next;
    *at = coll->next;
    gas_inbox_free(job, coll->inbox);
    coll->inbox = NULL;
    coll->is_over = true;
    if (too_many) {
        char text[GAS_COLL_TEXT_MAX];

        snprintf(text, sizeof(text),
                 "rank %d sent more than the %s (operation %u of the team) takes: do all ranks use "
                 "the same version and settings of PyGAS?",
                 source, gas_coll_kind_name(coll->args.kind), coll->number);
        gas_coll_break_locked(team, GAS_ERR_MISMATCH, text, true);
    }
    if (coll->over != NULL)
        coll->over(coll->over_arg);
}

void gas_coll_complete_one(gas_coll_t *coll)
{
    coll->since = gas_clock_recent();
    if (--coll->pending > 0)
        return;
    if (coll->status != GAS_OK || coll->is_last)
        finish(coll);
    else
        make_ready(coll);
}

void gas_coll_fail_locked(gas_coll_t *coll, gas_status_t status, const char *text, bool tell)
{
    gas_team_t *team = coll->team;
    gas_coll_recv_t *wanted = coll->wanted;

    if (coll->is_over || coll->status != GAS_OK)
        return;
    coll->status = status;
    coll->text = strdup(text);
    if ((int32_t)(coll->number + 1 - team->failed_below) > 0)
        team->failed_below = coll->number + 1;
    gas_inbox_clear(team->job, coll->inbox);
    if (tell && status != GAS_ERR_RANK_FAILED) /* of that, everybody hears from the boot */
        gas_coll_tell_failed(team, coll->number, status, text);
    coll->wanted = NULL;
    coll->wanted_end = &coll->wanted;
    if (coll->pending == 0 && !coll->is_ready) { /* cannot be: see gas_coll_complete_one() */
        finish(coll);
        return;
    }
    coll->pending++; /* not over before this is done with it */
    while (wanted != NULL) {
        gas_coll_recv_t *recv = wanted;

        wanted = recv->next;
        if (recv->ready != NULL)
            recv->ready(recv);
        else
            coll->pending--;
    }
    if (coll->is_ready)
        coll->pending--; /* whoever takes it out of the list sees that it has failed */
    else
        gas_coll_complete_one(coll);
}

void gas_coll_break_locked(gas_team_t *team, gas_status_t status, const char *text, bool tell)
{
    if (team->broken != NULL)
        return;
    team->broken = strdup(text);
    team->broken_as = status;
    if (team->broken == NULL)
        team->broken = calloc(1, 1); /* and if even that fails, the next message tries again */
    if (tell)
        gas_coll_tell_broken(team, status, text);
    for (gas_coll_t *coll = team->open, *next; coll != NULL; coll = next) {
        next = coll->next;
        gas_coll_fail_locked(coll, status, text, false);
    }
    /* What others have begun is never begun here: they wait for their buffers. */
    gas_inboxes_forget(team->job, team->id);
}

/* ---- what algorithms use ---- */

size_t gas_coll_head(const gas_coll_t *coll, unsigned char head[GAS_COLL_HEAD_MAX])
{
    return gas_coll_head_pack(&(gas_coll_head_t){.team = coll->team->id,
                                                 .number = coll->number,
                                                 .signature = coll->signature},
                              head);
}

static void sent(void *arg, gas_status_t status)
{
    gas_coll_t *coll = arg;

    if (status != GAS_OK)
        gas_coll_fail_locked(coll, status, "a part of it could not be sent", true);
    gas_coll_complete_one(coll);
}

void gas_coll_send(gas_coll_t *coll, int peer, const void *from, size_t length)
{
    gas_team_t *team = coll->team;
    gas_job_t *job = team->job;
    gas_iov_t bulk = {from, length};
    unsigned char head[GAS_COLL_HEAD_MAX];
    gas_am_t am = {.handler = GAS_HANDLER_COLL, .header = head};
    gas_status_t status;

    am.header_length = (uint16_t)gas_coll_head(coll, head);
    if (length > job->config.inline_max) {
        am.bulk = &bulk;
        am.bulk_count = 1;
    } else {
        am.data = from;
        am.data_length = length;
    }
    gas_job_lock(job);
    if (coll->status == GAS_OK) {
        coll->pending++;
        status = gas_am_send(job, gas_team_to_world(team, peer), &am, sent, coll);
        if (status != GAS_OK)
            gas_coll_fail_locked(coll, status, gas_error_text(), true);
        if (status != GAS_OK || am.bulk_count == 0)
            gas_coll_complete_one(coll);
    }
    gas_job_unlock(job);
}

bool gas_coll_alloc(gas_coll_t *coll, char **memory, size_t length)
{
    char text[GAS_COLL_TEXT_MAX];

    free(*memory);
    *memory = malloc(length > 0 ? length : 1);
    if (*memory != NULL)
        return true;
    snprintf(text, sizeof(text), "rank %d has no memory for %zu bytes in a %s",
             gas_job_rank(coll->team->job), length, gas_coll_kind_name(coll->args.kind));
    gas_coll_fail(coll, GAS_ERR_NO_MEMORY, text);
    return false;
}

/* The place for one more receive of this round; NULL without memory: the operation has failed. */
static gas_coll_recv_t *next_receive(gas_coll_t *coll)
{
    unsigned index = coll->used++;
    char *many = NULL;

    if (index < GAS_COLL_FEW)
        return &coll->few[index];
    if (coll->many == NULL) {
        if (!gas_coll_alloc(coll, &many, (GAS_COLL_WINDOW - GAS_COLL_FEW) * sizeof(*coll->many)))
            return NULL;
        coll->many = (gas_coll_recv_t *)many;
    }
    return &coll->many[index - GAS_COLL_FEW];
}

void gas_coll_recv(gas_coll_t *coll, int peer, void *to, size_t length)
{
    gas_job_t *job = coll->team->job;
    gas_coll_recv_t *recv = next_receive(coll);

    if (recv == NULL)
        return;
    memset(recv, 0, sizeof(*recv));
    recv->coll = coll;
    recv->source = gas_team_to_world(coll->team, peer);
    recv->landing = to;
    recv->length = length;
    gas_job_lock(job);
    if (coll->status == GAS_OK) {
        coll->pending++;
        gas_coll_want(coll, recv);
    }
    gas_job_unlock(job);
}

gas_coll_next_t gas_coll_become(gas_coll_t *coll, gas_coll_round_fn run_round)
{
    memset(coll->state, 0, sizeof(coll->state));
    coll->run_round = run_round;
    coll->round = UINT32_MAX; /* counted up before the round */
    return GAS_COLL_MORE;
}

void gas_coll_run_rounds(gas_coll_t *coll)
{
    gas_job_t *job = coll->team->job;
    bool again;

    do {
        gas_coll_next_t next;

        coll->used = 0;
        next = coll->run_round(coll);
        gas_job_lock(job);
        if (next == GAS_COLL_DONE)
            coll->is_last = true;
        again = coll->pending == 1 && coll->status == GAS_OK && !coll->is_last;
        if (again)
            coll->round++;
        else
            gas_coll_complete_one(coll);
        if (!again)
            atomic_fetch_sub(&job->colls.running, 1);
        gas_job_unlock(job);
    } while (again);
}

void gas_coll_run(gas_job_t *job)
{
    gas_colls_t *colls = &job->colls;

    while (atomic_load(&colls->ready_count) > 0) {
        gas_coll_t *coll;

        gas_job_lock(job);
        coll = colls->ready;
        if (coll != NULL) {
            colls->ready = coll->next_ready;
            if (colls->ready == NULL)
                colls->ready_end = &colls->ready;
            atomic_fetch_sub(&colls->ready_count, 1);
            coll->is_ready = false;
            coll->pending = 1;
            coll->round++;
            if (coll->status != GAS_OK) {
                gas_coll_complete_one(coll);
                coll = NULL;
            } else {
                atomic_fetch_add(&colls->running, 1);
            }
        }
        gas_job_unlock(job);
        if (coll != NULL)
            gas_coll_run_rounds(coll);
    }
}

/* ---- exchanges, and the end ---- */

void gas_coll_take(gas_coll_t *coll, gas_coll_recv_t *recv, int source)
{
    gas_job_t *job = coll->team->job;

    recv->next = NULL;
    recv->coll = coll;
    recv->source = gas_team_to_world(coll->team, source);
    recv->msg = NULL;
    gas_job_lock(job);
    coll->since = gas_clock_recent();
    if (coll->status != GAS_OK)
        recv->ready(recv);
    else
        gas_coll_want(coll, recv);
    gas_job_unlock(job);
}

void gas_coll_close(gas_coll_t *coll)
{
    gas_job_t *job = coll->team->job;

    gas_job_lock(job);
    gas_coll_complete_one(coll);
    gas_job_unlock(job);
}

void gas_coll_fail(gas_coll_t *coll, gas_status_t status, const char *text)
{
    gas_job_t *job = coll->team->job;

    gas_job_lock(job);
    gas_coll_fail_locked(coll, status, text, true);
    gas_job_unlock(job);
}

gas_status_t gas_coll_status(const gas_coll_t *coll)
{
    return coll->status;
}

const char *gas_coll_text(const gas_coll_t *coll)
{
    if (coll->status == GAS_OK)
        return "";
    return coll->text != NULL ? coll->text : gas_status_name(coll->status);
}

void gas_coll_free(gas_coll_t *coll)
{
    free(coll->scratch);
    free(coll->second);
    free(coll->whole);
    free(coll->many);
    free(coll->text);
    free(coll);
}

/* ---- the end of others ---- */

void gas_coll_lose_rank(gas_job_t *job, int rank, gas_status_t status, const char *text)
{
    gas_job_lock(job);
    for (unsigned i = 0; i < GAS_TEAM_BUCKETS; i++)
        for (gas_team_t *team = job->teams.buckets[i]; team != NULL; team = team->next)
            if (gas_team_from_world(team, rank) >= 0)
                gas_coll_break_locked(team, status, text, false);
    gas_job_unlock(job);
}
