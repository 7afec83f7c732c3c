#include "work.h"

#include "clock.h"
#include "job.h"

void gas_workq_init(gas_workq_t *queue)
{
    pthread_mutex_init(&queue->lock, NULL);
    queue->head = queue->tail = NULL;
    queue->since = 0;
    atomic_init(&queue->count, 0);
    atomic_init(&queue->drainer, NULL);
    queue->depth = 0;
}

void gas_workq_fini(gas_workq_t *queue)
{
    pthread_mutex_destroy(&queue->lock);
}

void *gas_work_token(void)
{
    static _Thread_local char token;

    return &token;
}

bool gas_work_is_draining(gas_job_t *job)
{
    return atomic_load(&job->workq.drainer) == gas_work_token();
}

bool gas_work_is_ready(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    void *drainer;

    if (atomic_load(&queue->count) == 0)
        return false;
    drainer = atomic_load(&queue->drainer);
    if (drainer == NULL)
        return true;
    return drainer == gas_work_token() && queue->depth < GAS_WORK_DEPTH_MAX;
}

void gas_work_push(gas_job_t *job, gas_work_t *work)
{
    gas_workq_t *queue = &job->workq;

    work->next = NULL;
    pthread_mutex_lock(&queue->lock);
    if (queue->head == NULL) {
        queue->head = work;
        queue->since = gas_clock_now();
    } else {
        queue->tail->next = work;
    }
    queue->tail = work;
    atomic_fetch_add(&queue->count, 1);
    pthread_mutex_unlock(&queue->lock);
    gas_progress_notify(job);
}

gas_work_t *gas_work_take(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    gas_work_t *work;

    pthread_mutex_lock(&queue->lock);
    work = queue->head;
    if (work != NULL) {
        queue->head = work->next;
        queue->since = gas_clock_now();
        atomic_fetch_sub(&queue->count, 1);
    }
    pthread_mutex_unlock(&queue->lock);
    return work;
}

static bool drain_begin(gas_workq_t *queue)
{
    void *token = gas_work_token();
    void *expected = NULL;

    if (atomic_load(&queue->drainer) != token) {
        if (!atomic_compare_exchange_strong(&queue->drainer, &expected, token))
            return false;
    } else if (queue->depth >= GAS_WORK_DEPTH_MAX) {
        return false;
    }
    queue->depth++;
    return true;
}

static void drain_end(gas_workq_t *queue)
{
    if (--queue->depth == 0)
        atomic_store(&queue->drainer, NULL);
}

size_t gas_work_drain(gas_job_t *job, size_t most, uint64_t limit)
{
    gas_workq_t *queue = &job->workq;
    uint64_t end = 0;
    size_t ran = 0;

    if (atomic_load(&queue->count) == 0 || !drain_begin(queue))
        return 0;
    while (ran < most) {
        gas_work_t *work;

        if (ran > 0 && limit != GAS_FOREVER) {
            uint64_t now = gas_clock_now();

            if (end == 0)
                end = now + limit;
            else if (now >= end)
                break;
        }
        work = gas_work_take(job);
        if (work == NULL)
            break;
        work->run(work);
        ran++;
    }
    drain_end(queue);
    /* What was pushed while this thread still had the right to drain notified nobody else. */
    if (atomic_load(&queue->count) > 0)
        gas_progress_notify(job);
    return ran;
}
