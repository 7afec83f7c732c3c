#include "waiting.h"

#include "clock.h"
#include "job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the calling thread waits for, innermost. */
static _Thread_local gas_waiting_t *innermost;

void gas_waiting_begin(gas_waiting_t *waiting, const char *what, int peer)
{
    waiting->what = what;
    waiting->peer = peer;
    waiting->outer = innermost;
    waiting->listed = false;
    innermost = waiting;
}

void gas_waiting_end(gas_job_t *job, gas_waiting_t *waiting)
{
    gas_progress_t *progress = &job->progress;

    innermost = waiting->outer;
    if (!waiting->listed)
        return;
    pthread_mutex_lock(&progress->lock);
    if (waiting->prev != NULL)
        waiting->prev->next = waiting->next;
    else
        progress->waitings = waiting->next;
    if (waiting->next != NULL)
        waiting->next->prev = waiting->prev;
    pthread_mutex_unlock(&progress->lock);
}

void gas_waiting_sleeps_locked(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    gas_waiting_t *waiting = innermost;

    if (waiting == NULL)
        return;
    waiting->asleep = true;
    if (waiting->listed)
        return;
    waiting->listed = true;
    waiting->since = gas_clock_recent();
    waiting->token = gas_work_token();
    waiting->thread = syscall(SYS_gettid);
    waiting->prev = NULL;
    waiting->next = progress->waitings;
    if (waiting->next != NULL)
        waiting->next->prev = waiting;
    progress->waitings = waiting;
}

void gas_waiting_slept_locked(gas_job_t *job)
{
    (void)job;
    if (innermost != NULL)
        innermost->asleep = false;
}

uint64_t gas_waiting_time(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    uint64_t now = gas_clock_now(), longest = 0;
    void *drainer = atomic_load(&job->workq.drainer);
    bool busy = drainer != NULL;

    pthread_mutex_lock(&progress->lock);
    for (const gas_waiting_t *waiting = progress->waitings; waiting != NULL;
         waiting = waiting->next) {
        if (!waiting->asleep)
            continue;
        if (waiting->token == drainer)
            busy = false; /* what it runs waits, too */
        if (now - waiting->since > longest)
            longest = now - waiting->since;
    }
    pthread_mutex_unlock(&progress->lock);
    return busy ? 0 : longest;
}

size_t gas_waiting_list(gas_job_t *job, char *text, size_t size)
{
    gas_progress_t *progress = &job->progress;
    uint64_t now = gas_clock_now();
    size_t used = 0;

    pthread_mutex_lock(&progress->lock);
    for (const gas_waiting_t *waiting = progress->waitings; waiting != NULL;
         waiting = waiting->next) {
        int length = snprintf(text + used, size - used, "W\t%" PRId64 "\t%" PRIu64 "\t%d\t%s\n",
                              waiting->thread, (now - waiting->since) / 1000000u, waiting->peer,
                              waiting->what);

        if (length < 0 || (size_t)length >= size - used)
            break;
        used += (size_t)length;
    }
    pthread_mutex_unlock(&progress->lock);
    return used;
}
