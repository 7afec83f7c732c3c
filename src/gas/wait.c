/*
 * Design notes.
 *
 * Waiting has three phases. Spin: poll for some microseconds, the answer of a peer that waits is
 * there in one. Yield: poll and give up the processor in between, for as long as recently turned
 * out to be worth it (yield_ns: doubles when the wait ended in this phase, or would have soon after
 * with nobody else on this processor; else halves).
 * Sleep: on the conduit if this thread gets the watch, else on its own wake_fd (see progress.c).
 * Traffic begins the first phase anew, also from the last: a rank that serves others while it waits
 * answers the next request in time if it comes soon.
 *
 * Spinning is for peers that run on another processor. One that shares ours can only answer when we
 * yield, so then each microsecond of spinning is lost. It shows: yields take as long as somebody
 * else runs in them, and the answer is there afterwards. After some waits in a row that ended so
 * (`handovers`), waits yield at once, until one of them ends differently; one in so many spins all
 * the same, in case the peer has moved to a processor of its own while others yield to us here.
 *
 * Where all processors are busy with something that computes, yielding is bad: the thread queues up
 * behind that, for milliseconds, and is not woken by the answer, as a sleeping one would be at
 * once. So after a yield that took that long, waits go to sleep without yielding for a while,
 * a longer one each time that this happens again at once.
 *
 * No wake-up is lost: a sleeper first says so (announces, and one awake_workers less), then looks
 * again; news are first published (event set, work counted), then the sleeper is looked for. All
 * these are sequentially consistent.
 */
#include "wait.h"

#include "clock.h"
#include "job.h"

#include <sched.h>
#include <stdlib.h>

#define YIELD_MIN_NS 20000u
#define SPINS_PER_CLOCK 16u /* polls between two looks at the clock */
#define HANDOVER_NS 1000u   /* a yield that takes longer let somebody else run */
#define HANDOVERS 4u        /* waits in a row that ended so: spinning is in vain */
#define HANDOVERS_PER_SPIN                                                                         \
    64u                    /* waits, of which two spin all the same: a brief one and its rest      \
                              count as two */
#define CROWDED_NS 500000u /* a yield that takes longer has cost us our turn */
#define CROWDED_MIN_NS 50000000u /* then there are none for so long; doubles */
#define CROWDED_MAX_NS 2000000000u

/* Internal flag: a wait within an item of work, which may run only some of what comes. Nobody
 * relies on it to run the rest, unless it has the right to drain; then it is sought by name. */
#define NESTED 0x100u

/* The queues that a wait with these flags looks at. */
static unsigned queues_of(unsigned flags)
{
    if ((flags & GAS_WAIT_WORK) != 0)
        return GAS_WORK_ALL;
    return (flags & GAS_WAIT_HOME) != 0 ? GAS_WORK_HOME : 0;
}

static gas_waiter_t *waiter_enter(gas_job_t *job, unsigned flags)
{
    gas_home_t *home = queues_of(flags) != 0 ? gas_home_mine(job) : NULL;
    gas_progress_t *progress = &job->progress;
    gas_waiter_t *waiter;

    pthread_mutex_lock(&progress->lock);
    waiter = progress->idle;
    if (waiter != NULL)
        progress->idle = waiter->next;
    pthread_mutex_unlock(&progress->lock);
    if (waiter == NULL) {
        waiter = malloc(sizeof(*waiter));
        if (waiter == NULL || gas_waiter_init(waiter) != GAS_OK) {
            free(waiter);
            return NULL;
        }
    }
    pthread_mutex_lock(&progress->lock);
    waiter->flags = flags;
    waiter->drains = (flags & (GAS_WAIT_WORK | NESTED)) == GAS_WAIT_WORK;
    waiter->token = gas_work_token();
    waiter->prev = NULL;
    waiter->next = progress->waiters;
    if (waiter->next != NULL)
        waiter->next->prev = waiter;
    progress->waiters = waiter;
    gas_waiting_sleeps_locked(job);
    if (home != NULL)
        home->waiter = waiter;
    pthread_mutex_unlock(&progress->lock);
    return waiter;
}

static void waiter_leave(gas_job_t *job, gas_waiter_t *waiter)
{
    gas_home_t *home = queues_of(waiter->flags) != 0 ? gas_home_mine(job) : NULL;
    gas_progress_t *progress = &job->progress;
    gas_waiter_t *heir = NULL;

    pthread_mutex_lock(&progress->lock);
    if (home != NULL)
        home->waiter = NULL;
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
    gas_waiting_slept_locked(job);
    pthread_mutex_unlock(&progress->lock);
    if (heir == &progress->self)
        gas_progress_hurry(job);
    else if (heir != NULL)
        gas_waiter_wake(heir);
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

static gas_status_t look(gas_job_t *job, gas_event_t *event, unsigned flags)
{
    unsigned queues = queues_of(flags);

    if (event != NULL && gas_event_is_set(event))
        return GAS_OK;
    if (queues != 0 && gas_work_is_ready(job, queues))
        return GAS_WORK;
    return GAS_BUSY;
}

/* The calling thread is polling, so whoever has work for it need not wake it; or it is not. */
static void stay_awake(gas_job_t *job, unsigned flags, bool awake)
{
    gas_home_t *home = queues_of(flags) != 0 ? gas_home_mine(job) : NULL;

    if (home != NULL)
        atomic_store(&home->awake, awake);
    if ((flags & (GAS_WAIT_WORK | NESTED)) != GAS_WAIT_WORK)
        return;
    if (awake)
        atomic_fetch_add(&job->progress.awake_workers, 1);
    else
        atomic_fetch_sub(&job->progress.awake_workers, 1);
}

static bool is_crowded(gas_progress_t *progress, uint64_t now)
{
    return now < atomic_load_explicit(&progress->crowded_until, memory_order_relaxed);
}

static void note_crowded(gas_progress_t *progress, uint64_t now)
{
    uint64_t length = 2 * atomic_load_explicit(&progress->crowded_ns, memory_order_relaxed);

    if (length < CROWDED_MIN_NS)
        length = CROWDED_MIN_NS;
    if (length > CROWDED_MAX_NS)
        length = CROWDED_MAX_NS;
    atomic_store_explicit(&progress->crowded_ns, length, memory_order_relaxed);
    atomic_store_explicit(&progress->crowded_until, now + length, memory_order_relaxed);
}

/* For how long to spin: not at all after a brief wait that did, or if that has turned out to be in
 * vain. */
static uint64_t spin_of(gas_job_t *job, unsigned flags)
{
    gas_progress_t *progress = &job->progress;

    if ((flags & GAS_WAIT_MORE) != 0)
        return 0;
    if (atomic_load_explicit(&progress->handovers, memory_order_relaxed) >= HANDOVERS &&
        atomic_load_explicit(&progress->waits, memory_order_relaxed) % HANDOVERS_PER_SPIN > 1)
        return 0;
    return job->config.spin_us * 1000u;
}

/* A wait has ended: `polls` were not enough, then a yield of `yielded` nanoseconds, if not 0. */
static void note_handover(gas_progress_t *progress, unsigned polls, uint64_t yielded)
{
    unsigned handovers = atomic_load_explicit(&progress->handovers, memory_order_relaxed);

    if (yielded > HANDOVER_NS && yielded < CROWDED_NS) {
        if (handovers < HANDOVERS)
            atomic_store_explicit(&progress->handovers, handovers + 1, memory_order_relaxed);
    } else if ((polls > 1 || yielded > 0) && handovers > 0) {
        atomic_store_explicit(&progress->handovers, 0, memory_order_relaxed);
    }
}

/* Waits yield for `yield_ns` from now on, within limits. */
static void set_yield(gas_job_t *job, uint64_t yield_ns)
{
    uint64_t most = job->config.yield_us * 1000u, least = most < YIELD_MIN_NS ? most : YIELD_MIN_NS;

    if (yield_ns > most)
        yield_ns = most;
    atomic_store_explicit(&job->progress.yield_ns, yield_ns > least ? yield_ns : least,
                          memory_order_relaxed);
}

/* The first two phases: GAS_BUSY if they were not enough. *alone: nobody else ran on this processor
 * when it was last given up. */
static gas_status_t wait_awake(gas_job_t *job, gas_event_t *event, uint64_t deadline,
                               unsigned flags, bool *alone)
{
    gas_progress_t *progress = &job->progress;
    uint64_t spin_ns = spin_of(job, flags);
    uint64_t yield_ns = atomic_load_explicit(&progress->yield_ns, memory_order_relaxed);
    uint64_t begin = 0, start = 0, spent = 0; /* start: of this quiet time */
    uint64_t yielded = 0;                     /* how long the last yield of it took */
    gas_status_t status;
    unsigned polls = 0;
    uint64_t now;

    *alone = false;
    for (;;) {
        status = look(job, event, flags);
        if (status != GAS_BUSY)
            break;
        if (start != 0 && start + spent >= deadline)
            return GAS_TIMEOUT;
        if (start + spent > begin + GAS_WAIT_SIGNALS)
            return GAS_INTERRUPTED;
        polls++;
        if (gas_progress_poll(job) > 0) {
            spin_ns = spin_of(job, flags & ~GAS_WAIT_MORE);
            start = spent = yielded = 0;
        }
        if (spent < spin_ns && polls % SPINS_PER_CLOCK != 0)
            continue;
        now = gas_clock_now();
        if (begin == 0)
            begin = now;
        if (start == 0)
            start = now;
        if (spent >= spin_ns) {
            uint64_t before = now;

            status = look(job, event, flags);
            if (status != GAS_BUSY)
                break;
            if ((flags & GAS_WAIT_BRIEFLY) != 0 || now - start >= spin_ns + yield_ns ||
                is_crowded(progress, now))
                return GAS_BUSY;
            sched_yield();
            now = gas_clock_now();
            yielded = now - before;
            *alone = yielded <= HANDOVER_NS;
            if (yielded > CROWDED_NS)
                note_crowded(progress, now);
        }
        spent = now - start;
    }
    note_handover(progress, polls, yielded);
    if (yielded > 0 && !is_crowded(progress, start + spent)) {
        set_yield(job, yield_ns * 2);
        atomic_store_explicit(&progress->crowded_ns, 0, memory_order_relaxed);
    }
    return status;
}

/* A wait has slept for so long, after yields that nobody else made use of (`alone`) or not. */
static void adapt_yield(gas_job_t *job, uint64_t slept, bool alone)
{
    uint64_t yield_ns = atomic_load_explicit(&job->progress.yield_ns, memory_order_relaxed);
    bool pays = alone && slept < job->config.yield_us * 1000u;

    set_yield(job, pays ? yield_ns * 2 : yield_ns / 2);
}

/* Announces the sleep, looks once more, sleeps until there may be news and polls. */
static gas_status_t sleep_once(gas_job_t *job, gas_waiter_t *waiter, gas_event_t *event,
                               uint64_t timeout, unsigned *busy, unsigned *done)
{
    gas_progress_t *progress = &job->progress;
    uintptr_t unset = GAS_EVENT_UNSET;
    gas_status_t status;
    bool signalled = false;

    gas_waiter_announce(waiter);
    stay_awake(job, waiter->flags, false);
    if (event != NULL)
        atomic_compare_exchange_strong(&event->word, &unset, (uintptr_t)waiter);
    status = look(job, event, waiter->flags);
    if (status == GAS_BUSY) {
        if (take_watch(progress, waiter))
            signalled = gas_progress_sleep(job, waiter, timeout, busy);
        else
            signalled = gas_waiter_sleep(waiter, timeout);
    }
    stay_awake(job, waiter->flags, true);
    gas_waiter_retract(waiter);
    if (status == GAS_BUSY) {
        *done = gas_progress_poll(job);
        status = look(job, event, waiter->flags);
    }
    return status == GAS_BUSY && signalled ? GAS_INTERRUPTED : status;
}

/* The third phase. */
static gas_status_t wait_asleep(gas_job_t *job, gas_event_t *event, uint64_t deadline,
                                unsigned flags, bool alone)
{
    gas_waiter_t *waiter = waiter_enter(job, flags);
    uint64_t begin = gas_clock_now(), end = begin + GAS_WAIT_SIGNALS;
    unsigned busy = 0;
    gas_status_t status;

    if (waiter == NULL)
        return gas_error(GAS_ERR_IO, "no memory or file descriptor left to wait with (ulimit -n)");
    if (end > deadline)
        end = deadline;
    do {
        unsigned done = 0;

        status = sleep_once(job, waiter, event, gas_clock_left(end), &busy, &done);
        if (done > 0)
            busy = 0;
        if (status == GAS_BUSY && done > 0)
            status = wait_awake(job, event, deadline, flags & ~GAS_WAIT_MORE, &alone);
        if (status == GAS_BUSY && gas_clock_left(end) == 0)
            status = end == deadline ? GAS_TIMEOUT : GAS_INTERRUPTED;
    } while (status == GAS_BUSY);
    if (event != NULL) {
        uintptr_t mine = (uintptr_t)waiter;

        atomic_compare_exchange_strong(&event->word, &mine, GAS_EVENT_UNSET);
    }
    waiter_leave(job, waiter);
    adapt_yield(job, gas_clock_now() - begin, alone);
    return status;
}

gas_status_t gas_wait(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags)
{
    unsigned queues = queues_of(flags);
    gas_status_t status;
    bool alone;

    if (gas_work_is_nested())
        flags |= NESTED;
    atomic_fetch_add_explicit(&job->progress.waits, 1, memory_order_relaxed);
    if (queues != 0)
        stay_awake(job, flags, true);
    status = wait_awake(job, event, deadline, flags, &alone);
    if (status == GAS_BUSY && (flags & GAS_WAIT_BRIEFLY) == 0)
        status = wait_asleep(job, event, deadline, flags, alone);
    if (status == GAS_INTERRUPTED)
        gas_coll_probe(job);
    if (queues != 0) {
        stay_awake(job, flags, false);
        /* Others relied on me to see the work, and I am going away for something else. */
        if (status != GAS_WORK && gas_work_is_ready(job, queues)) {
            gas_home_t *home = gas_home_mine(job);

            if ((queues & GAS_WORK_GENERAL) != 0)
                gas_progress_notify(job);
            if (home != NULL)
                gas_home_notify(job, home);
        }
    }
    return status;
}

uint64_t gas_wait_count(gas_job_t *job)
{
    return atomic_load_explicit(&job->progress.waits, memory_order_relaxed);
}
