/*
 * Design notes.
 *
 * Exactly one thread sleeps on the conduit: the holder of the `watch`. The others sleep on their
 * own wake_fd and are woken by whoever completes what they wait for. A waiting thread takes the
 * watch from the progress thread by writing its name down, without telling it: both may sleep on
 * the conduit for a moment, which is harmless. Whoever leaves with the watch hands it to another
 * waiter, else back to the progress thread. Only the holder arms the conduit, and it checks under
 * the job lock that it still is the holder: arming takes in the event that would have woken an
 * earlier armer.
 *
 * A wait that ended without sleeping neither arms the conduit nor hands anything over, so that a
 * quick exchange costs no system call; nor does one that slept wake the progress thread to hand the
 * watch back. It covers for that: as long as it sees waits it polls every TICK_NS; when there are
 * none any more it arms the conduit, if the watch is its own, and sleeps for good. A request to a
 * rank that left a wait and computes is thus seen after at most TICK_NS.
 *
 * An armed conduit reports what arrives, not that what was left unsent could go out now. So whoever
 * gives the conduit something asks it whether anything may be left (a backlog, a rendezvous), and
 * then wakes the armed sleeper, which polls and arms again, and is told BUSY while something is.
 * While there is a backlog, the progress thread polls every BACKLOG_NS, whoever has the watch.
 * After a rank has failed BUSY may be for good; a rank that waits then sees what arrives only when
 * it looks: after a tick, and after longer ones the longer nothing comes (a tenth of what it has
 * waited, 20 ticks at most), so that waiting costs little.
 *
 * The progress thread first announces that it sleeps, then looks at everything it goes by (the
 * watch, the queue, the backlog): what changes later wakes it.
 *
 * Work that was pushed has somebody who sees to it at any time: a waiter that may drain (it looks
 * after it was pushed, or passes it on when it leaves), else the thread that is draining (it looks
 * at the queue when it ends), else the layer above, kicked now and by the progress thread again.
 *
 * Lock order: interpreter lock (of the layer above) > job lock > any of progress.lock, workq.lock,
 * the boot's lock, the upper layer's leaves. progress.lock is a leaf; it is never held while
 * sleeping or polling.
 */
#include "progress.h"

#include "clock.h"
#include "job.h"
#include "thread.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS 500000u       /* the progress thread's look-in while the program waits a lot */
#define KICK_MIN_NS 200000u   /* from work that nobody drains to the next kick; doubles */
#define KICK_MAX_NS 10000000u /* up to this */
#define BACKLOG_NS 50000u     /* between polls for sends that the transport has not taken */
#define BUSY_MAX 64u          /* arms answered BUSY in a row before short sleeps */
#define STUCK_TICKS 20u       /* the longest sleep, in ticks, when it may answer so for good */
#define STUCK_STEPS 8u        /* sleeps in a row until they are one tick longer */
#define POLLS_MAX 64u         /* of the progress thread in a row */
#define CATCH_UP_MAX 10000u   /* polls for what a rank had sent; should others send for ever */

/* What a rank sent before it failed counts: so the collective operations that it lets go on do,
 * before those that miss it are failed. Under the conduit lock, which is given up in between. */
static void catch_up(gas_job_t *job)
{
    for (unsigned i = 0; i < CATCH_UP_MAX; i++) {
        unsigned done = job->conduit->ops->poll(job->conduit);

        if (done == 0 && atomic_load(&job->colls.ready_count) == 0 &&
            atomic_load(&job->colls.running) == 0)
            return;
        job->colls.polling = false;
        pthread_mutex_unlock(&job->lock);
        gas_coll_run(job);
        sched_yield(); /* another thread may be running a round */
        pthread_mutex_lock(&job->lock);
        job->colls.polling = true;
    }
}

unsigned gas_progress_poll(gas_job_t *job)
{
    unsigned done;

    if (pthread_mutex_trylock(&job->lock) != 0)
        return 0;
    job->colls.polling = true;
    done = job->conduit->ops->poll(job->conduit);
    if (atomic_load_explicit(&job->failure.pending, memory_order_relaxed)) {
        catch_up(job);
        gas_failure_handle(job);
    }
    job->colls.polling = false;
    gas_job_note_backlog(job);
    pthread_mutex_unlock(&job->lock);
    if (atomic_load(&job->colls.ready_count) > 0)
        gas_coll_run(job);
    return done;
}

void gas_progress_rouse(gas_job_t *job)
{
    gas_waiter_wake(&job->progress.self);
}

static bool has_watch(gas_progress_t *progress, const gas_waiter_t *waiter)
{
    bool mine;

    pthread_mutex_lock(&progress->lock);
    mine = progress->watch == waiter;
    pthread_mutex_unlock(&progress->lock);
    return mine;
}

/* For how long to sleep when the conduit cannot be armed, after `busy` such sleeps in a row. What a
 * transport holds for a rank that has failed never goes out, and it may answer BUSY for good: then
 * nothing is to be hastened. Under the job lock. */
static uint64_t busy_sleep(gas_job_t *job, unsigned busy)
{
    const gas_conduit_ops_t *ops = job->conduit->ops;
    unsigned steps;

    if (gas_failure_count(job) == 0 || ops->backlog(job->conduit) > 0 ||
        ops->outstanding(job->conduit) > 0)
        return BACKLOG_NS;
    steps = STUCK_STEPS + busy;
    if (steps > STUCK_STEPS * STUCK_TICKS)
        steps = STUCK_STEPS * STUCK_TICKS;
    return TICK_NS / STUCK_STEPS * steps;
}

bool gas_progress_sleep(gas_job_t *job, gas_waiter_t *waiter, uint64_t timeout, unsigned *busy)
{
    gas_progress_t *progress = &job->progress;
    gas_conduit_t *conduit = job->conduit;
    gas_waiter_t *self = waiter;
    uint64_t pause;
    gas_status_t status;

    gas_job_lock(job);
    if (!has_watch(progress, waiter)) {
        gas_job_unlock(job);
        return false;
    }
    status = conduit->ops->arm(conduit);
    if (status == GAS_OK)
        atomic_store(&progress->armed, waiter);
    pause = *busy < BUSY_MAX ? 0 : busy_sleep(job, *busy - BUSY_MAX);
    gas_job_unlock(job);
    if (status == GAS_OK) {
        *busy = 0;
        status = conduit->ops->sleep(conduit, waiter->wake_fd, timeout);
        atomic_compare_exchange_strong(&progress->armed, &self, NULL);
        return status == GAS_INTERRUPTED;
    }
    ++*busy;
    if (pause == 0)
        return false;
    return gas_waiter_sleep(waiter, timeout < pause ? timeout : pause);
}

void gas_progress_given(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    gas_conduit_t *conduit = job->conduit;
    bool restless = conduit->ops->restless == NULL || conduit->ops->restless(conduit), backlog;
    gas_waiter_t *armed;

    gas_job_note_backlog(job);
    backlog = atomic_load_explicit(&job->backlog, memory_order_relaxed) > 0;
    if (!restless && !backlog)
        return;
    armed = atomic_exchange(&progress->armed, NULL);
    if (armed != NULL)
        gas_waiter_wake(armed);
    if (backlog)
        gas_waiter_wake(&progress->self);
}

static bool has_notice(gas_workq_t *queue)
{
    bool found;

    pthread_mutex_lock(&queue->lock);
    found = queue->deepest == GAS_WORK_NOTICE;
    pthread_mutex_unlock(&queue->lock);
    return found;
}

void gas_progress_notify(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    void *drainer = atomic_load(&job->workq.drainer), *wanted = drainer, *holder;
    gas_waiter_t *waiter;

    if (drainer == gas_work_token() || atomic_load(&job->workq.count) == 0)
        return;
    holder = gas_gate_holder(&job->gate);
    if (holder != NULL) {
        if (!has_notice(&job->workq)) {
            /* Whoever opens the gate notifies; meanwhile its being closed is to be noticed. */
            gas_waiter_wake(&progress->self);
            return;
        }
        wanted = holder;
    }
    if (wanted == NULL && atomic_load(&progress->awake_workers) > 0)
        return;
    pthread_mutex_lock(&progress->lock);
    for (waiter = progress->waiters; waiter != NULL; waiter = waiter->next)
        if (wanted == NULL ? waiter->drains
                           : (waiter->flags & GAS_WAIT_WORK) != 0 && waiter->token == wanted)
            break;
    pthread_mutex_unlock(&progress->lock);
    if (waiter != NULL) {
        gas_waiter_wake(waiter);
    } else if (wanted == NULL &&
               (atomic_load(&job->workq.foreign) > 0 || atomic_load(&job->workq.hastened))) {
        job->kick(job->kick_arg, NULL, 0);
        gas_waiter_wake(&progress->self);
    } else if (wanted == NULL) {
        gas_progress_hurry(job);
    }
}

/* ---- the progress thread ---- */

/* For how long the oldest item of the general queue has waited for somebody; GAS_FOREVER if none
 * does. */
static uint64_t neglected_for(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    uint64_t since, now;

    if (atomic_load(&queue->count) == 0)
        return GAS_FOREVER;
    if (gas_gate_holder(&job->gate) == NULL && atomic_load(&queue->drainer) != NULL)
        return GAS_FOREVER;
    pthread_mutex_lock(&queue->lock);
    since = queue->since;
    pthread_mutex_unlock(&queue->lock);
    now = gas_clock_now();
    return now > since ? now - since : 0;
}

/* Kicks again if there is work that nobody drains. Returns for how long to sleep at most. */
static uint64_t remind(gas_job_t *job)
{
    uint64_t age = neglected_for(job), oldest = GAS_FOREVER;

    if (age != GAS_FOREVER && age >= KICK_MIN_NS &&
        (atomic_load(&job->progress.awake_workers) == 0 || gas_gate_holder(&job->gate) != NULL))
        job->kick(job->kick_arg, NULL, age);
    if (atomic_load(&job->progress.home_count) > 0)
        oldest = gas_homes_remind(job);
    if (oldest < age)
        age = oldest; /* the younger of the two decides */
    if (age == GAS_FOREVER)
        return GAS_FOREVER;
    if (age < KICK_MIN_NS)
        return KICK_MIN_NS;
    return age < KICK_MAX_NS ? age : KICK_MAX_NS;
}

/* Looks after work that nobody drains and lets the layer above do what it has put off. Returns for
 * how long to sleep at most: `drowsy` is set before it looks, so what comes afterwards comes with a
 * wake-up. */
static uint64_t tend(gas_job_t *job)
{
    uint64_t timeout, tended;

    atomic_store(&job->progress.drowsy, true);
    timeout = remind(job);
    tended = job->tend != NULL ? job->tend(job->tend_arg) : GAS_FOREVER;
    if (tended < timeout)
        timeout = tended;
    if (timeout <= TICK_NS)
        atomic_store(&job->progress.drowsy, false);
    return timeout;
}

void gas_progress_hurry(gas_job_t *job)
{
    if (atomic_load(&job->progress.drowsy) && atomic_exchange(&job->progress.drowsy, false))
        gas_waiter_wake(&job->progress.self);
}

static void nap(gas_job_t *job, gas_waiter_t *self, uint64_t *seen, unsigned *busy)
{
    gas_progress_t *progress = &job->progress;
    uint64_t waits = atomic_load_explicit(&progress->waits, memory_order_relaxed);
    uint64_t timeout = tend(job);

    if (job->idle != NULL) {
        uint64_t limit = job->idle(job->kick_arg);

        timeout = timeout < limit ? timeout : limit;
    }
    if (atomic_load(&job->backlog) > 0 || atomic_load(&job->failure.pending)) {
        /* Too short to be woken from, so that senders need not. */
        atomic_store(&progress->drowsy, false);
        gas_waiter_retract(self);
        gas_waiter_sleep(self, timeout < BACKLOG_NS ? timeout : BACKLOG_NS);
        return;
    }
    if (waits != *seen) {
        atomic_store(&progress->drowsy, false);
        gas_waiter_sleep(self, timeout < TICK_NS ? timeout : TICK_NS);
    } else if (has_watch(progress, self)) {
        gas_progress_sleep(job, self, timeout, busy);
    } else {
        gas_waiter_sleep(self, timeout);
    }
    *seen = waits;
    gas_waiter_retract(self);
}

static void *progress_main(void *arg)
{
    gas_job_t *job = arg;
    gas_progress_t *progress = &job->progress;
    gas_waiter_t *self = &progress->self;
    uint64_t seen = 0;
    unsigned busy = 0;

    gas_thread_hasten();
    while (!atomic_load(&progress->stopping)) {
        for (unsigned i = 0; i < POLLS_MAX && gas_progress_poll(job) > 0; i++)
            busy = 0;
        gas_waiter_announce(self);
        if (atomic_load(&progress->stopping))
            gas_waiter_retract(self);
        else
            nap(job, self, &seen, &busy);
    }
    return NULL;
}

gas_status_t gas_progress_init(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    gas_status_t status;

    memset(progress, 0, sizeof(*progress));
    status = gas_waiter_init(&progress->self);
    if (status != GAS_OK)
        return status;
    pthread_mutex_init(&progress->lock, NULL);
    progress->watch = &progress->self;
    atomic_store(&progress->yield_ns, job->config.yield_us * 1000u);
    return GAS_OK;
}

gas_status_t gas_progress_start(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    int error = gas_thread_start(&progress->thread, "pygas-progress", progress_main, job);

    if (error != 0)
        return gas_error(GAS_ERR_IO, "cannot start the progress thread: %s", strerror(error));
    return GAS_OK;
}

void gas_progress_stop(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;

    atomic_store(&progress->stopping, true);
    gas_waiter_wake(&progress->self);
    pthread_join(progress->thread, NULL);
}

void gas_progress_fini(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;

    while (progress->idle != NULL) {
        gas_waiter_t *waiter = progress->idle;

        progress->idle = waiter->next;
        gas_waiter_fini(waiter);
        free(waiter);
    }
    pthread_mutex_destroy(&progress->lock);
    gas_waiter_fini(&progress->self);
}
