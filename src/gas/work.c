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
    queue->running = 0;
    queue->deepest = 0;
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

/* The first item deeper than the running one, and what is before it; NULL if there is none. Under
 * the queue's lock. */
static gas_work_t *find_deeper(gas_workq_t *queue, gas_work_t **before)
{
    unsigned deepest = 0;

    *before = NULL;
    if (queue->deepest <= queue->running)
        return NULL;
    for (gas_work_t *work = queue->head; work != NULL; work = work->next) {
        if (work->depth > queue->running)
            return work;
        if (work->depth > deepest)
            deepest = work->depth;
        *before = work;
    }
    queue->deepest = deepest;
    return NULL;
}

bool gas_work_is_ready(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    gas_work_t *before;
    void *drainer;
    bool ready;

    if (atomic_load(&queue->count) == 0)
        return false;
    drainer = atomic_load(&queue->drainer);
    if (drainer == NULL)
        return true;
    if (drainer != gas_work_token())
        return false;
    if (queue->depth < GAS_WORK_DEPTH_MAX)
        return true;
    pthread_mutex_lock(&queue->lock);
    ready = find_deeper(queue, &before) != NULL;
    pthread_mutex_unlock(&queue->lock);
    return ready;
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
    if (work->depth > queue->deepest)
        queue->deepest = work->depth;
    atomic_fetch_add(&queue->count, 1);
    pthread_mutex_unlock(&queue->lock);
    gas_progress_notify(job);
}

/* Takes out `work`, which comes after `before` (NULL: first). Under the queue's lock. */
static void unlink_locked(gas_workq_t *queue, gas_work_t *work, gas_work_t *before)
{
    if (before != NULL)
        before->next = work->next;
    else
        queue->head = work->next;
    if (work->next == NULL)
        queue->tail = before;
    if (queue->head == NULL)
        queue->deepest = 0;
    else if (before == NULL)
        queue->since = gas_clock_now();
    atomic_fetch_sub(&queue->count, 1);
}

gas_work_t *gas_work_take(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    gas_work_t *work;

    pthread_mutex_lock(&queue->lock);
    work = queue->head;
    if (work != NULL)
        unlink_locked(queue, work, NULL);
    pthread_mutex_unlock(&queue->lock);
    return work;
}

/* gas_work_take() for a drainer that has nested too deeply to run just any item. */
static gas_work_t *take_deeper(gas_workq_t *queue)
{
    gas_work_t *before, *work;

    pthread_mutex_lock(&queue->lock);
    work = find_deeper(queue, &before);
    if (work != NULL)
        unlink_locked(queue, work, before);
    pthread_mutex_unlock(&queue->lock);
    return work;
}

static bool drain_begin(gas_workq_t *queue)
{
    void *token = gas_work_token();
    void *expected = NULL;

    if (atomic_load(&queue->drainer) != token &&
        !atomic_compare_exchange_strong(&queue->drainer, &expected, token))
        return false;
    queue->depth++;
    return true;
}

static void run(gas_workq_t *queue, gas_work_t *work)
{
    unsigned before = queue->running;

    queue->running = work->depth;
    work->run(work);
    queue->running = before;
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
        work = queue->depth > GAS_WORK_DEPTH_MAX ? take_deeper(queue) : gas_work_take(job);
        if (work == NULL)
            break;
        run(queue, work);
        ran++;
    }
    drain_end(queue);
    /* What was pushed while this thread still had the right to drain notified nobody else. */
    if (atomic_load(&queue->count) > 0)
        gas_progress_notify(job);
    return ran;
}
