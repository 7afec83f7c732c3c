/*
 * Design notes. A report only notes the rank down and wakes the progress thread: it comes from the
 * boot's reader, which must not wait for the conduit lock, since a thread that holds it may be
 * waiting for the boot to answer. Acting is left to whoever polls next, at the top of a poll.
 *
 * Before a rank counts as failed the conduit is polled until it has nothing more: a reply that the
 * rank sent before it died is a reply. Then the flag is set, so that nothing is sent any more, and
 * then what is open is ended; all under one hold of the conduit lock, so an operation is either
 * begun before, and ended here, or refused.
 *
 * `reported` is appended to and never changed, and ranks come to be known in its order, so that
 * `known` says how many of it count.
 */
#include "failure.h"

#include "clock.h"
#include "job.h"
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_POLLS 10000u /* for what a rank had sent; a bound, should others send for ever */

gas_status_t gas_failure_init(gas_job_t *job)
{
    gas_failure_t *failure = &job->failure;

    /* Room for all, so that no report is lost for lack of memory; what is not used costs none. */
    failure->is_known = calloc((size_t)gas_job_size(job), sizeof(*failure->is_known));
    failure->reported = calloc((size_t)gas_job_size(job), sizeof(*failure->reported));
    if (failure->is_known == NULL || failure->reported == NULL) {
        free(failure->is_known);
        free(failure->reported);
        failure->is_known = NULL;
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for %d ranks", gas_job_size(job));
    }
    pthread_mutex_init(&failure->lock, NULL);
    return GAS_OK;
}

void gas_failure_fini(gas_job_t *job)
{
    if (job->failure.is_known == NULL)
        return;
    free(job->failure.is_known);
    free(job->failure.reported);
    pthread_mutex_destroy(&job->failure.lock);
}

static bool is_reported_locked(const gas_failure_t *failure, int rank)
{
    for (size_t i = 0; i < failure->count; i++)
        if (failure->reported[i].rank == rank)
            return true;
    return false;
}

void gas_failure_report(gas_job_t *job, int rank, int status, const char *reason)
{
    gas_failure_t *failure = &job->failure;
    gas_failed_t failed = {.rank = rank, .status = status};
    bool fresh;

    if (rank < 0 || rank >= gas_job_size(job) || rank == gas_job_rank(job))
        return;
    snprintf(failed.reason, sizeof(failed.reason), "%s", reason);
    pthread_mutex_lock(&failure->lock);
    fresh = !is_reported_locked(failure, rank);
    if (fresh)
        failure->reported[failure->count++] = failed;
    pthread_mutex_unlock(&failure->lock);
    if (!fresh)
        return;
    atomic_store(&failure->pending, true);
    gas_progress_rouse(job);
}

bool gas_failure_get(gas_job_t *job, size_t i, gas_failed_t *failed)
{
    gas_failure_t *failure = &job->failure;
    bool there;

    pthread_mutex_lock(&failure->lock);
    there = i < failure->count && i < atomic_load(&failure->known);
    if (there)
        *failed = failure->reported[i];
    pthread_mutex_unlock(&failure->lock);
    return there;
}

/* The next one to act on; false if there is none. */
static bool next_unknown(gas_failure_t *failure, gas_failed_t *failed)
{
    size_t known = atomic_load(&failure->known);
    bool there;

    pthread_mutex_lock(&failure->lock);
    there = known < failure->count;
    if (there)
        *failed = failure->reported[known];
    else
        atomic_store(&failure->pending, false);
    pthread_mutex_unlock(&failure->lock);
    return there;
}

static void act_on(gas_job_t *job, int rank)
{
    gas_conduit_t *conduit = job->conduit;

    for (unsigned i = 0; i < LAST_POLLS && conduit->ops->poll(conduit) > 0; i++)
        ;
    atomic_store(&job->failure.is_known[rank], true);
    atomic_fetch_add(&job->failure.known, 1);
    conduit->ops->peer_failed(conduit, rank);
    gas_segment_peer_failed(job, rank);
    gas_mailbox_peer_failed(job, rank);
    gas_failure_error(job, rank);
    gas_coll_lose_rank(job, rank, GAS_ERR_RANK_FAILED, gas_error_text());
    gas_shrink_lose_rank(job, rank);
    if (job->failed != NULL)
        job->failed(job, rank, job->failed_arg);
}

void gas_failure_handle(gas_job_t *job)
{
    gas_failed_t failed;

    while (next_unknown(&job->failure, &failed))
        act_on(job, failed.rank);
    gas_job_note_backlog(job);
}

size_t gas_failure_count(gas_job_t *job)
{
    return atomic_load_explicit(&job->failure.known, memory_order_acquire);
}

bool gas_rank_has_failed(gas_job_t *job, int rank)
{
    return gas_failure_count(job) > 0 && atomic_load(&job->failure.is_known[rank]);
}

gas_status_t gas_failure_error(gas_job_t *job, int rank)
{
    gas_failed_t failed;

    for (size_t i = 0; gas_failure_get(job, i, &failed); i++)
        if (failed.rank == rank)
            return gas_error_of_rank(GAS_ERR_RANK_FAILED, rank, "rank %d has failed: it %s", rank,
                                     failed.reason);
    return gas_error_of_rank(GAS_ERR_RANK_FAILED, rank, "rank %d has failed", rank);
}

gas_status_t gas_failure_check(gas_job_t *job)
{
    gas_failed_t failed;

    if (gas_failure_count(job) == 0 || !gas_failure_get(job, 0, &failed))
        return GAS_OK;
    return gas_failure_error(job, failed.rank);
}
