#include "barrier.h"

#include "job.h"

#include <string.h>

void gas_barrier_init(gas_barrier_t *barrier)
{
    memset(barrier, 0, sizeof(*barrier));
}

static gas_status_t send_round(gas_job_t *job, uint8_t round)
{
    int peer = (int)((gas_job_rank(job) + ((int64_t)1 << round)) % gas_job_size(job));
    gas_am_t am = {.handler = GAS_HANDLER_BARRIER, .header = &round, .header_length = 1};

    return gas_am_send(job, peer, &am, NULL, NULL);
}

static void finish(gas_barrier_t *barrier, gas_status_t status)
{
    gas_event_t *event = barrier->event;

    barrier->status = status;
    barrier->event = NULL;
    gas_event_set(event);
}

/* Goes through the rounds whose messages are there; finishes after the last one. */
static void advance(gas_job_t *job)
{
    gas_barrier_t *barrier = &job->barrier;

    while (((int64_t)1 << barrier->round) < gas_job_size(job)) {
        gas_status_t status;

        if (barrier->arrived[barrier->round] < barrier->entered)
            return;
        barrier->round++;
        if (((int64_t)1 << barrier->round) < gas_job_size(job)) {
            status = send_round(job, (uint8_t)barrier->round);
            if (status != GAS_OK) {
                finish(barrier, status);
                return;
            }
        }
    }
    finish(barrier, GAS_OK);
}

gas_status_t gas_barrier_enter(gas_job_t *job, gas_event_t *event)
{
    gas_barrier_t *barrier = &job->barrier;
    gas_status_t status = GAS_OK;

    gas_job_lock(job);
    status = gas_failure_check(job);
    if (status != GAS_OK) {
        gas_job_unlock(job);
        return status;
    }
    if (barrier->event != NULL) {
        status = gas_error(GAS_BUSY, "another thread of this rank is in the barrier");
    } else {
        barrier->entered++;
        barrier->round = 0;
        barrier->event = event;
        if (gas_job_size(job) > 1)
            status = send_round(job, 0);
        if (status == GAS_OK)
            advance(job);
        else
            barrier->event = NULL;
    }
    gas_job_unlock(job);
    return status;
}

gas_status_t gas_barrier_status(gas_job_t *job)
{
    gas_status_t status;

    gas_job_lock(job);
    status = job->barrier.status;
    gas_job_unlock(job);
    return status == GAS_ERR_RANK_FAILED ? gas_failure_check(job) : status;
}

bool gas_barrier_is_awaited(gas_job_t *job)
{
    bool awaited = false;

    gas_job_lock(job);
    if (gas_failure_count(job) > 0) { /* then nobody waits in one */
        gas_job_unlock(job);
        return false;
    }
    for (unsigned round = 0; round < GAS_BARRIER_ROUNDS; round++)
        if (job->barrier.arrived[round] > job->barrier.entered)
            awaited = true;
    gas_job_unlock(job);
    return awaited;
}

void gas_barrier_peer_failed(gas_job_t *job, int rank)
{
    (void)rank;
    if (job->barrier.event != NULL)
        finish(&job->barrier, GAS_ERR_RANK_FAILED);
}

void gas_barrier_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_barrier_t *barrier = &job->barrier;
    uint8_t round = GAS_BARRIER_ROUNDS;

    (void)arg;
    if (msg->header_length == 1)
        memcpy(&round, msg->header, 1);
    gas_msg_free(job, msg);
    if (round >= GAS_BARRIER_ROUNDS) {
        atomic_fetch_add(&job->dropped, 1);
        return;
    }
    barrier->arrived[round]++;
    if (barrier->event != NULL)
        advance(job);
}
