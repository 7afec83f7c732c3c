/*
 * Design notes. A home belongs to its thread and to whoever refers to it (objects whose requests
 * are to run there): the last one frees it. It is in the job's list while it is open. Its thread is
 * known by a thread-local pointer, so that nobody has to search.
 *
 * No item is lost when a thread ends: `closed` is set, and looked at by gas_home_push(), under the
 * queue's lock. No wake-up is lost, as in wait.c: who pushes first queues, then looks if the thread
 * is awake, then if it sleeps; the thread first announces, then is no longer awake, then looks at
 * the queue.
 *
 * Lock order: progress.lock > a home's queue lock; both are leaves else.
 */
#include "home.h"

#include "clock.h"
#include "job.h"

#include <stdlib.h>

#define KICKED_MAX 4u /* homes that can be kicked in one go; the others have their turn later */

static _Thread_local gas_home_t *mine;

gas_home_t *gas_home_mine(gas_job_t *job)
{
    return mine != NULL && mine->job == job ? mine : NULL;
}

bool gas_home_is_here(const gas_home_t *home)
{
    return home == mine;
}

gas_home_t *gas_home_ref(gas_home_t *home)
{
    if (home != NULL)
        atomic_fetch_add(&home->references, 1);
    return home;
}

void gas_home_unref(gas_home_t *home)
{
    if (home == NULL || atomic_fetch_sub(&home->references, 1) > 1)
        return;
    gas_workq_fini(&home->queue);
    free(home);
}

gas_home_t *gas_home_open(gas_job_t *job, bool kickable, uint64_t tag)
{
    gas_progress_t *progress = &job->progress;
    gas_home_t *home = gas_home_mine(job);

    if (home != NULL)
        return home;
    home = calloc(1, sizeof(*home));
    if (home == NULL)
        return NULL;
    gas_workq_init(&home->queue);
    home->job = job;
    home->token = gas_work_token();
    atomic_init(&home->awake, false);
    atomic_init(&home->references, 1);
    home->kickable = kickable;
    home->tag = tag;
    pthread_mutex_lock(&progress->lock);
    home->next = progress->homes;
    progress->homes = home;
    atomic_fetch_add(&progress->home_count, 1);
    pthread_mutex_unlock(&progress->lock);
    mine = home;
    return home;
}

static void close_locked(gas_progress_t *progress, gas_home_t *home)
{
    gas_home_t **at = &progress->homes;

    while (*at != NULL && *at != home)
        at = &(*at)->next;
    if (*at == home) {
        *at = home->next;
        atomic_fetch_sub(&progress->home_count, 1);
    }
    pthread_mutex_lock(&home->queue.lock);
    home->closed = true;
    pthread_mutex_unlock(&home->queue.lock);
}

void gas_home_close(gas_job_t *job, gas_home_t *home)
{
    pthread_mutex_lock(&job->progress.lock);
    close_locked(&job->progress, home);
    pthread_mutex_unlock(&job->progress.lock);
    if (mine == home)
        mine = NULL;
}

void gas_homes_end(gas_job_t *job)
{
    pthread_mutex_lock(&job->progress.lock);
    while (job->progress.homes != NULL) {
        gas_home_t *home = job->progress.homes;

        close_locked(&job->progress, home);
        home->job = NULL;
    }
    pthread_mutex_unlock(&job->progress.lock);
}

bool gas_home_push(gas_job_t *job, gas_home_t *home, gas_work_t *work)
{
    bool open;

    pthread_mutex_lock(&home->queue.lock);
    open = !home->closed;
    if (open)
        gas_workq_append_locked(&home->queue, work);
    pthread_mutex_unlock(&home->queue.lock);
    if (open)
        gas_home_notify(job, home);
    return open;
}

gas_work_t *gas_home_take(gas_home_t *home)
{
    return gas_workq_take(&home->queue);
}

/* True if its thread has to be reached by a kick. *waiter: with what it sleeps, or NULL. Under
 * progress.lock. */
static bool needs_kick_locked(gas_home_t *home, gas_waiter_t **waiter)
{
    *waiter = NULL;
    if (atomic_load(&home->queue.count) == 0 || atomic_load(&home->awake))
        return false;
    *waiter = home->waiter;
    return *waiter == NULL && home->kickable;
}

void gas_home_notify(gas_job_t *job, gas_home_t *home)
{
    gas_waiter_t *waiter;
    bool kick;

    if (gas_gate_holder(&job->gate) != NULL) { /* whoever opens it notifies */
        gas_waiter_wake(&job->progress.self);
        return;
    }
    if (atomic_load(&home->awake))
        return;
    pthread_mutex_lock(&job->progress.lock);
    kick = needs_kick_locked(home, &waiter);
    pthread_mutex_unlock(&job->progress.lock);
    if (waiter != NULL)
        gas_waiter_wake(waiter);
    if (kick) {
        job->kick(job->kick_arg, home, 0);
        gas_waiter_wake(&job->progress.self);
    }
}

static uint64_t age_of(gas_home_t *home)
{
    uint64_t since, now;

    pthread_mutex_lock(&home->queue.lock);
    since = home->queue.since;
    pthread_mutex_unlock(&home->queue.lock);
    now = gas_clock_now();
    return now > since ? now - since : 0;
}

uint64_t gas_homes_remind(gas_job_t *job)
{
    bool held = gas_gate_holder(&job->gate) != NULL;
    gas_home_t *kicked[KICKED_MAX];
    uint64_t ages[KICKED_MAX], oldest = GAS_FOREVER;
    size_t count = 0;

    pthread_mutex_lock(&job->progress.lock);
    for (gas_home_t *home = job->progress.homes; home != NULL; home = home->next) {
        gas_waiter_t *waiter;
        bool kick = needs_kick_locked(home, &waiter);

        if (waiter != NULL && !held)
            gas_waiter_wake(waiter);
        if ((kick || (held && atomic_load(&home->queue.count) > 0)) && count < KICKED_MAX) {
            ages[count] = age_of(home);
            if (oldest == GAS_FOREVER || ages[count] > oldest)
                oldest = ages[count];
            kicked[count++] = gas_home_ref(home);
        }
    }
    pthread_mutex_unlock(&job->progress.lock);
    for (size_t i = 0; i < count; i++) {
        job->kick(job->kick_arg, kicked[i], ages[i]);
        gas_home_unref(kicked[i]);
    }
    return oldest;
}
