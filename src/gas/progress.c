/*
 * Design notes.
 *
 * Waiting has three phases. Spin: poll for some microseconds, the answer of a peer that waits is
 * there in one. Yield: poll and give up the processor in between, for as long as recently turned
 * out to be worth it (yield_ns: doubles when the wait ended in this phase, halves when it slept).
 * Sleep.
 *
 * Exactly one thread sleeps on the conduit: the holder of the `watch`. The others sleep on their
 * own wake_fd and are woken by whoever completes what they wait for. A waiting thread takes the
 * watch from the progress thread by writing its name down, without telling it: both may sleep on
 * the conduit for a moment, which is harmless. Whoever leaves with the watch hands it to another
 * waiter, else back to the progress thread.
 *
 * A wait that ended without sleeping neither arms the conduit nor hands anything over, so that a
 * quick exchange costs no system call. The progress thread covers for that: as long as it sees such
 * waits it polls every TICK_NS; when there are none any more it arms the conduit and sleeps for
 * good. A request to a rank that left a quick wait and computes is thus seen after at most TICK_NS.
 *
 * No wake-up is lost: a sleeper first says so (asleep, and one awake_workers less), then looks
 * again; news are first published (event set, work counted), then the sleeper is looked for. All
 * these are sequentially consistent.
 *
 * Lock order: interpreter lock (of the layer above) > job lock > any of progress.lock, workq.lock,
 * the boot's lock, the upper layer's leaves. progress.lock is a leaf; it is never held while
 * sleeping or polling.
 */
#include "progress.h"

#include "clock.h"
#include "job.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_NS 500000u   /* the progress thread's look-in while the program waits a lot */
#define KICK_NS 200000u   /* between kicks for work that nobody drains */
#define BACKLOG_NS 50000u /* between polls for sends that the transport has not taken */
#define YIELD_MIN_NS 20000u
#define SPINS_PER_CLOCK 16u /* polls between two looks at the clock */
#define BUSY_MAX 64u        /* arms answered BUSY in a row before a short sleep */

static unsigned poll_once(gas_job_t *job)
{
    unsigned done;

    if (pthread_mutex_trylock(&job->lock) != 0)
        return 0;
    done = job->conduit->ops->poll(job->conduit);
    atomic_store_explicit(&job->backlog, job->conduit->ops->backlog(job->conduit),
                          memory_order_relaxed);
    pthread_mutex_unlock(&job->lock);
    return done;
}

/* ---- sleepers ---- */

static void sleep_on_fd(int fd, uint64_t timeout)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = (time_t)(timeout / 1000000000u),
                             .tv_nsec = (long)(timeout % 1000000000u)};

    ppoll(&entry, 1, timeout == GAS_FOREVER ? NULL : &limit, NULL);
}

/* Wakes `waiter` if it sleeps. It may have gone, even be somebody else's by now: then somebody
 * wakes once too often. */
static void waiter_wake(gas_waiter_t *waiter)
{
    uint64_t one = 1;

    if (atomic_exchange(&waiter->asleep, false))
        while (write(waiter->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
}

/* After a sleep: takes in the wake-up if there was or will be one. */
static void waiter_awake(gas_waiter_t *waiter)
{
    uint64_t count;

    if (!atomic_exchange(&waiter->asleep, false))
        while (read(waiter->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
            ;
}

static gas_waiter_t *waiter_enter(gas_progress_t *progress, unsigned flags)
{
    gas_waiter_t *waiter;
    int fd;

    pthread_mutex_lock(&progress->lock);
    waiter = progress->idle;
    if (waiter != NULL)
        progress->idle = waiter->next;
    pthread_mutex_unlock(&progress->lock);
    if (waiter == NULL) {
        fd = eventfd(0, EFD_CLOEXEC);
        waiter = fd >= 0 ? calloc(1, sizeof(*waiter)) : NULL;
        if (waiter == NULL) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        waiter->wake_fd = fd;
    }
    pthread_mutex_lock(&progress->lock);
    waiter->flags = flags;
    waiter->token = gas_work_token();
    waiter->prev = NULL;
    waiter->next = progress->waiters;
    if (waiter->next != NULL)
        waiter->next->prev = waiter;
    progress->waiters = waiter;
    pthread_mutex_unlock(&progress->lock);
    return waiter;
}

static void waiter_leave(gas_progress_t *progress, gas_waiter_t *waiter)
{
    gas_waiter_t *heir = NULL;

    pthread_mutex_lock(&progress->lock);
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        progress->waiters = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    if (progress->watch == waiter)
        progress->watch = heir = progress->waiters != NULL ? progress->waiters : &progress->self;
    waiter->next = progress->idle;
    progress->idle = waiter;
    pthread_mutex_unlock(&progress->lock);
    if (heir != NULL)
        waiter_wake(heir);
}

/* True if the calling waiter has the watch, which it takes from the progress thread if need be. */
static bool take_watch(gas_progress_t *progress, gas_waiter_t *waiter)
{
    bool mine;

    pthread_mutex_lock(&progress->lock);
    if (progress->watch == &progress->self)
        progress->watch = waiter;
    mine = progress->watch == waiter;
    pthread_mutex_unlock(&progress->lock);
    return mine;
}

/* Arms the conduit and sleeps on it. `busy` counts the BUSY answers in a row. */
static void sleep_on_conduit(gas_job_t *job, gas_waiter_t *waiter, uint64_t timeout, unsigned *busy)
{
    gas_conduit_t *conduit = job->conduit;
    gas_status_t status;

    if (atomic_load_explicit(&job->backlog, memory_order_relaxed) > 0) {
        sleep_on_fd(waiter->wake_fd, timeout < BACKLOG_NS ? timeout : BACKLOG_NS);
        return;
    }
    gas_job_lock(job);
    status = conduit->ops->arm(conduit);
    gas_job_unlock(job);
    if (status == GAS_OK) {
        *busy = 0;
        conduit->ops->sleep(conduit, waiter->wake_fd, timeout);
    } else if (++*busy >= BUSY_MAX) {
        sleep_on_fd(waiter->wake_fd, timeout < BACKLOG_NS ? timeout : BACKLOG_NS);
    }
}

/* ---- waiting ---- */

static gas_status_t look(gas_job_t *job, gas_event_t *event, unsigned flags)
{
    if (event != NULL && gas_event_is_set(event))
        return GAS_OK;
    if ((flags & GAS_WAIT_WORK) != 0 && gas_work_is_ready(job))
        return GAS_WORK;
    return GAS_BUSY;
}

/* The first two phases: GAS_BUSY if they were not enough. */
static gas_status_t wait_awake(gas_job_t *job, gas_event_t *event, uint64_t deadline,
                               unsigned flags)
{
    gas_progress_t *progress = &job->progress;
    uint64_t spin_ns = job->config.spin_us * 1000u;
    uint64_t yield_ns = atomic_load_explicit(&progress->yield_ns, memory_order_relaxed);
    uint64_t start = 0, spent = 0;
    gas_status_t status;

    for (unsigned i = 1;; i++) {
        status = look(job, event, flags);
        if (status != GAS_BUSY)
            break;
        poll_once(job);
        if (spent >= spin_ns) {
            if ((flags & GAS_WAIT_BRIEFLY) != 0 || spent >= spin_ns + yield_ns)
                return GAS_BUSY;
            sched_yield();
        } else if (i % SPINS_PER_CLOCK != 0) {
            continue;
        }
        if (start == 0)
            start = gas_clock_now();
        spent = gas_clock_now() - start;
        if (deadline != GAS_FOREVER && start + spent >= deadline)
            return GAS_TIMEOUT;
    }
    if (spent >= spin_ns) {
        uint64_t most = job->config.yield_us * 1000u;

        yield_ns = yield_ns * 2 < most ? yield_ns * 2 : most;
        atomic_store_explicit(&progress->yield_ns, (unsigned)yield_ns, memory_order_relaxed);
    }
    return status;
}

/* The third phase. */
static gas_status_t wait_asleep(gas_job_t *job, gas_event_t *event, uint64_t deadline,
                                unsigned flags)
{
    gas_progress_t *progress = &job->progress;
    unsigned yield_ns = atomic_load_explicit(&progress->yield_ns, memory_order_relaxed);
    gas_waiter_t *waiter = waiter_enter(progress, flags);
    unsigned busy = 0;
    uint64_t end = gas_clock_now() + GAS_WAIT_SIGNALS;
    gas_status_t status;

    if (waiter == NULL)
        return gas_error(GAS_ERR_IO, "no file descriptor left to wait with (ulimit -n)");
    yield_ns = yield_ns / 2 > YIELD_MIN_NS ? yield_ns / 2 : YIELD_MIN_NS;
    atomic_store_explicit(&progress->yield_ns, yield_ns, memory_order_relaxed);
    if (end > deadline)
        end = deadline;
    do {
        uintptr_t unset = GAS_EVENT_UNSET;
        uint64_t left = gas_clock_left(end);

        atomic_store(&waiter->asleep, true);
        if ((flags & GAS_WAIT_WORK) != 0)
            atomic_fetch_sub(&progress->awake_workers, 1);
        if (event != NULL)
            atomic_compare_exchange_strong(&event->word, &unset, (uintptr_t)waiter);
        status = look(job, event, flags);
        if (status == GAS_BUSY) {
            if (take_watch(progress, waiter))
                sleep_on_conduit(job, waiter, left, &busy);
            else
                sleep_on_fd(waiter->wake_fd, left);
        }
        if ((flags & GAS_WAIT_WORK) != 0)
            atomic_fetch_add(&progress->awake_workers, 1);
        waiter_awake(waiter);
        if (status == GAS_BUSY) {
            unsigned done = poll_once(job);

            status = look(job, event, flags);
            if (status == GAS_BUSY && done == 0 && busy == 0)
                status = gas_clock_left(deadline) == 0 ? GAS_TIMEOUT : GAS_INTERRUPTED;
        }
    } while (status == GAS_BUSY);
    if (event != NULL) {
        uintptr_t mine = (uintptr_t)waiter;

        atomic_compare_exchange_strong(&event->word, &mine, GAS_EVENT_UNSET);
    }
    waiter_leave(progress, waiter);
    return status;
}

gas_status_t gas_wait(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags)
{
    gas_progress_t *progress = &job->progress;
    gas_status_t status;

    atomic_fetch_add_explicit(&progress->waits, 1, memory_order_relaxed);
    if ((flags & GAS_WAIT_WORK) != 0)
        atomic_fetch_add(&progress->awake_workers, 1);
    status = wait_awake(job, event, deadline, flags);
    if (status == GAS_BUSY && (flags & GAS_WAIT_BRIEFLY) == 0)
        status = wait_asleep(job, event, deadline, flags);
    if ((flags & GAS_WAIT_WORK) != 0) {
        atomic_fetch_sub(&progress->awake_workers, 1);
        /* Others relied on me to see the work, and I may be going away for something else. */
        if (status != GAS_WORK && gas_work_is_ready(job))
            gas_progress_notify(job);
    }
    return status;
}

void gas_event_set(gas_event_t *event)
{
    uintptr_t old = atomic_exchange(&event->word, GAS_EVENT_SET);

    if (old != GAS_EVENT_UNSET && old != GAS_EVENT_SET)
        waiter_wake((gas_waiter_t *)old);
}

void gas_progress_nudge(gas_job_t *job)
{
    waiter_wake(&job->progress.self);
}

void gas_progress_notify(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    void *drainer = atomic_load(&job->workq.drainer);
    gas_waiter_t *waiter;

    if (drainer == gas_work_token() || atomic_load(&job->workq.count) == 0)
        return;
    if (drainer == NULL && atomic_load(&progress->awake_workers) > 0)
        return;
    pthread_mutex_lock(&progress->lock);
    for (waiter = progress->waiters; waiter != NULL; waiter = waiter->next)
        if ((waiter->flags & GAS_WAIT_WORK) != 0 && atomic_load(&waiter->asleep) &&
            (drainer == NULL || waiter->token == drainer))
            break;
    pthread_mutex_unlock(&progress->lock);
    if (waiter != NULL) {
        waiter_wake(waiter);
    } else if (drainer == NULL) {
        job->kick(job->kick_arg, 0);
        gas_progress_nudge(job);
    }
}

/* ---- the progress thread ---- */

/* Kicks again if there is work that nobody drains. Returns for how long to sleep at most. */
static uint64_t remind(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    uint64_t since, now;

    if (atomic_load(&queue->count) == 0 || atomic_load(&queue->drainer) != NULL)
        return GAS_FOREVER;
    pthread_mutex_lock(&queue->lock);
    since = queue->since;
    pthread_mutex_unlock(&queue->lock);
    now = gas_clock_now();
    if (now - since >= KICK_NS && atomic_load(&job->progress.awake_workers) == 0)
        job->kick(job->kick_arg, now - since);
    return KICK_NS;
}

static void *progress_main(void *arg)
{
    gas_job_t *job = arg;
    gas_progress_t *progress = &job->progress;
    gas_waiter_t *self = &progress->self;
    unsigned seen = 0, busy = 0;

    while (!atomic_load(&progress->stopping)) {
        unsigned waits;
        uint64_t timeout;
        bool mine;

        for (unsigned i = 0; i < 64 && poll_once(job) > 0; i++)
            ;
        timeout = remind(job);
        pthread_mutex_lock(&progress->lock);
        mine = progress->watch == self;
        pthread_mutex_unlock(&progress->lock);
        waits = atomic_load_explicit(&progress->waits, memory_order_relaxed);

        atomic_store(&self->asleep, true);
        if (atomic_load(&progress->stopping)) {
            waiter_awake(self);
            break;
        }
        if (!mine)
            sleep_on_fd(self->wake_fd, timeout);
        else if (waits != seen)
            sleep_on_fd(self->wake_fd, timeout < TICK_NS ? timeout : TICK_NS);
        else
            sleep_on_conduit(job, self, timeout, &busy);
        seen = waits;
        waiter_awake(self);
    }
    return NULL;
}

gas_status_t gas_progress_start(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;
    sigset_t all, before;
    int error;

    memset(progress, 0, sizeof(*progress));
    progress->self.wake_fd = eventfd(0, EFD_CLOEXEC);
    if (progress->self.wake_fd < 0)
        return gas_error(GAS_ERR_IO, "no file descriptor left for the progress thread (ulimit -n)");
    pthread_mutex_init(&progress->lock, NULL);
    progress->watch = &progress->self;
    atomic_store(&progress->yield_ns, (unsigned)(job->config.yield_us * 1000u));
    /* Signals are for the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&progress->thread, NULL, progress_main, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        pthread_mutex_destroy(&progress->lock);
        close(progress->self.wake_fd);
        return gas_error(GAS_ERR_IO, "cannot start the progress thread: %s", strerror(error));
    }
    return GAS_OK;
}

void gas_progress_stop(gas_job_t *job)
{
    gas_progress_t *progress = &job->progress;

    atomic_store(&progress->stopping, true);
    gas_progress_nudge(job);
    pthread_join(progress->thread, NULL);
    while (progress->idle != NULL) {
        gas_waiter_t *waiter = progress->idle;

        progress->idle = waiter->next;
        close(waiter->wake_fd);
        free(waiter);
    }
    pthread_mutex_destroy(&progress->lock);
    close(progress->self.wake_fd);
}
