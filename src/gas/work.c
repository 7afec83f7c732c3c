/*
 * Design notes. What a thread is doing is in `self`: how deeply its drains are nested, how deep the
 * item is that it runs, and if it is active at the gate. A wait makes it inactive (park), a drain
 * in that wait active again. A thread that closes the gate within an item stops being active, and
 * is again when it opens it.
 *
 * depths_now() is the one place that says what the calling thread may run of a queue. A callback
 * (GAS_WORK_CALLBACK) belongs to the item within which it runs: what it waits for is as deep as
 * what that one would wait for. So it may run in any wait, and does not change `running`; but when
 * draining is nested deeply a callback that waits runs no further ones, or there would be no end to
 * them.
 */
#include "work.h"

#include "clock.h"
#include "home.h"
#include "job.h"

#define STUCK_SHIFT_MAX 12 /* how often STUCK_NS is doubled, at most */

/* Depths from one to another. */
typedef struct depths {
    unsigned least, most;
} depths_t;

static const depths_t any = {0, UINT_MAX}, nothing = {1, 0};

/* The calling thread. Threads serve one job at a time; only the unit tests have several. */
static _Thread_local struct {
    unsigned depth;   /* nesting of drains */
    unsigned running; /* depth of the innermost item that is no callback */
    bool callback;    /* the innermost item is one */
    unsigned loose;   /* items on its stack that were run because nothing else was */
    bool active;      /* counted by the gate */
    bool was_active;  /* before it closed the gate */
} self;

void gas_workq_init(gas_workq_t *queue)
{
    pthread_mutex_init(&queue->lock, NULL);
    queue->head = queue->tail = NULL;
    queue->since = queue->taken = 0;
    atomic_init(&queue->count, 0);
    atomic_init(&queue->foreign, 0);
    atomic_init(&queue->hastened, false);
    atomic_init(&queue->drainer, NULL);
    queue->nesting = 0;
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

bool gas_work_is_nested(void)
{
    return self.depth > 0;
}

bool gas_work_is_running(gas_job_t *job)
{
    (void)job;
    return self.depth > 0 && (self.active || self.was_active);
}

bool gas_work_is_holding(gas_job_t *job)
{
    return gas_gate_holder(&job->gate) == gas_work_token();
}

/* True if the queue has items, and nobody has taken one for a while. That may be since the machine
 * is busy with something else, and then it was wrong to take it for more, as the item may hold up a
 * deeper one: so it is believed ever more rarely by a thread that has believed it already. */
static bool is_stuck(gas_workq_t *queue)
{
    unsigned shift = self.loose < STUCK_SHIFT_MAX ? self.loose : STUCK_SHIFT_MAX;
    uint64_t since;

    if (atomic_load(&queue->count) == 0)
        return false;
    pthread_mutex_lock(&queue->lock);
    since = queue->taken > queue->since ? queue->taken : queue->since;
    pthread_mutex_unlock(&queue->lock);
    return gas_clock_now() - since > (uint64_t)GAS_WORK_STUCK_NS << shift;
}

/* What the calling thread may run in any case, when its drains are nested `nesting` deep. */
static depths_t depths_always(unsigned nesting)
{
    if (nesting <= 1)
        return any;
    if (nesting <= GAS_WORK_DEPTH_MAX)
        return (depths_t){self.running, UINT_MAX};
    return (depths_t){self.running + 1, self.callback ? GAS_WORK_CALLBACK - 1 : UINT_MAX};
}

/* What it may run now of a queue. */
static depths_t depths_now(gas_job_t *job, gas_workq_t *queue, unsigned nesting)
{
    void *holder = gas_gate_holder(&job->gate);

    if (holder != NULL)
        return holder == gas_work_token() ? (depths_t){GAS_WORK_NOTICE, GAS_WORK_NOTICE} : nothing;
    return nesting > 1 && is_stuck(queue) ? any : depths_always(nesting);
}

static inline bool is_within(const gas_work_t *work, depths_t depths)
{
    return work->depth >= depths.least && work->depth <= depths.most;
}

/* The first item of such a depth, and what is before it; NULL if there is none. Under the queue's
 * lock. */
static gas_work_t *find_locked(gas_workq_t *queue, depths_t depths, gas_work_t **before)
{
    unsigned deepest = 0;

    *before = NULL;
    if (queue->head == NULL || queue->deepest < depths.least || depths.most < depths.least)
        return NULL;
    for (gas_work_t *work = queue->head; work != NULL; work = work->next) {
        if (is_within(work, depths))
            return work;
        if (work->depth > deepest)
            deepest = work->depth;
        *before = work;
    }
    queue->deepest = deepest;
    return NULL;
}

/* True if the queue has an item that the calling thread could run in a drain. */
static bool has_item(gas_job_t *job, gas_workq_t *queue)
{
    gas_work_t *before;
    depths_t depths;
    bool found;

    if (atomic_load(&queue->count) == 0)
        return false;
    depths = depths_now(job, queue, self.depth + 1);
    pthread_mutex_lock(&queue->lock);
    found = find_locked(queue, depths, &before) != NULL;
    pthread_mutex_unlock(&queue->lock);
    return found;
}

/* True if the calling thread has the right to drain the general queue or could get it. */
static bool may_drain(gas_workq_t *queue)
{
    void *drainer = atomic_load(&queue->drainer);

    return drainer == NULL || drainer == gas_work_token();
}

bool gas_work_is_ready(gas_job_t *job, unsigned which)
{
    gas_home_t *home = (which & GAS_WORK_HOME) != 0 ? gas_home_mine(job) : NULL;

    return ((which & GAS_WORK_GENERAL) != 0 && may_drain(&job->workq) &&
            has_item(job, &job->workq)) ||
           (home != NULL && has_item(job, &home->queue));
}

void gas_workq_append_locked(gas_workq_t *queue, gas_work_t *work)
{
    work->next = NULL;
    if (queue->head == NULL) {
        queue->head = work;
        queue->since = gas_clock_now();
    } else {
        queue->tail->next = work;
    }
    queue->tail = work;
    if (work->depth > queue->deepest)
        queue->deepest = work->depth;
    if (!work->own)
        atomic_fetch_add(&queue->foreign, 1);
    atomic_fetch_add(&queue->count, 1);
}

void gas_work_push(gas_job_t *job, gas_work_t *work)
{
    gas_workq_t *queue = &job->workq;

    pthread_mutex_lock(&queue->lock);
    gas_workq_append_locked(queue, work);
    pthread_mutex_unlock(&queue->lock);
    gas_progress_notify(job);
}

void gas_work_hasten(gas_job_t *job)
{
    gas_workq_t *queue = &job->workq;
    bool hasten;

    if (atomic_load(&queue->count) == 0 || atomic_load(&queue->hastened))
        return;
    pthread_mutex_lock(&queue->lock);
    hasten = queue->head != NULL;
    atomic_store(&queue->hastened, hasten);
    pthread_mutex_unlock(&queue->lock);
    if (hasten)
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
    if (queue->head == NULL) {
        queue->deepest = 0;
        atomic_store(&queue->hastened, false);
    } else if (before == NULL) {
        queue->since = gas_clock_now();
    }
    if (self.depth > 1 && queue->head != NULL)
        queue->taken = gas_clock_now();
    if (!work->own)
        atomic_fetch_sub(&queue->foreign, 1);
    atomic_fetch_sub(&queue->count, 1);
}

static gas_work_t *take(gas_workq_t *queue, depths_t depths)
{
    gas_work_t *before, *work;

    if (atomic_load(&queue->count) == 0)
        return NULL;
    pthread_mutex_lock(&queue->lock);
    work = find_locked(queue, depths, &before);
    if (work != NULL)
        unlink_locked(queue, work, before);
    pthread_mutex_unlock(&queue->lock);
    return work;
}

gas_work_t *gas_workq_take(gas_workq_t *queue)
{
    return take(queue, any);
}

gas_work_t *gas_work_take(gas_job_t *job)
{
    gas_work_t *work = gas_workq_take(&job->workq);

    if (work != NULL)
        return work;
    pthread_mutex_lock(&job->progress.lock);
    for (gas_home_t *home = job->progress.homes; home != NULL && work == NULL; home = home->next)
        work = gas_workq_take(&home->queue);
    pthread_mutex_unlock(&job->progress.lock);
    return work;
}

size_t gas_work_queued(gas_job_t *job, uint64_t *age)
{
    size_t queued = atomic_load(&job->workq.count);
    uint64_t since = UINT64_MAX, now = gas_clock_now();

    pthread_mutex_lock(&job->workq.lock);
    if (queued > 0)
        since = job->workq.since;
    pthread_mutex_unlock(&job->workq.lock);
    pthread_mutex_lock(&job->progress.lock);
    for (gas_home_t *home = job->progress.homes; home != NULL; home = home->next) {
        pthread_mutex_lock(&home->queue.lock);
        if (home->queue.head != NULL && home->queue.since < since)
            since = home->queue.since;
        queued += atomic_load(&home->queue.count);
        pthread_mutex_unlock(&home->queue.lock);
    }
    pthread_mutex_unlock(&job->progress.lock);
    *age = since < now ? now - since : 0;
    return queued;
}

/* ---- the right to drain the general queue ---- */

static bool right_take(gas_workq_t *queue)
{
    void *token = gas_work_token();
    void *expected = NULL;

    if (atomic_load(&queue->drainer) != token &&
        !atomic_compare_exchange_strong(&queue->drainer, &expected, token))
        return false;
    queue->nesting++;
    return true;
}

static void right_drop(gas_job_t *job)
{
    if (--job->workq.nesting == 0)
        atomic_store(&job->workq.drainer, NULL);
    /* What was pushed while this thread had the right notified nobody else. */
    if (atomic_load(&job->workq.count) > 0)
        gas_progress_notify(job);
}

/* ---- draining ---- */

/* A drain on its way: it has the right to drain the general queue only as long as it needs it. */
typedef struct drain {
    gas_job_t *job;
    gas_home_t *home; /* to drain, or NULL */
    bool general;     /* the general queue is to be drained */
    bool right;       /* the thread has the right, for this drain */
    bool home_next;   /* whose turn it is */
} drain_t;

/* An item of a queue that the calling thread may run. */
static gas_work_t *take_fit(drain_t *drain, gas_workq_t *queue)
{
    return take(queue, depths_now(drain->job, queue, self.depth));
}

static gas_work_t *take_home(drain_t *drain)
{
    gas_work_t *work = drain->home != NULL ? take_fit(drain, &drain->home->queue) : NULL;

    if (work != NULL && drain->right) { /* it may take long */
        drain->right = false;
        right_drop(drain->job);
    }
    return work;
}

static gas_work_t *take_general(drain_t *drain)
{
    gas_workq_t *queue = &drain->job->workq;

    if (!drain->general || atomic_load(&queue->count) == 0)
        return NULL;
    if (!drain->right)
        drain->right = right_take(queue);
    return drain->right ? take_fit(drain, queue) : NULL;
}

/* The next item, of the queue whose turn it is, else of the other. */
static gas_work_t *take_next(drain_t *drain)
{
    gas_work_t *work = drain->home_next ? take_home(drain) : take_general(drain);

    drain->home_next = !drain->home_next;
    if (work == NULL)
        work = drain->home_next ? take_home(drain) : take_general(drain);
    return work;
}

static void run(gas_work_t *work)
{
    unsigned running = self.running, loose = self.loose;
    bool callback = self.callback;

    if (!is_within(work, depths_always(self.depth)))
        self.loose++;
    self.callback = work->depth >= GAS_WORK_CALLBACK;
    if (!self.callback)
        self.running = work->depth;
    work->run(work);
    self.running = running;
    self.callback = callback;
    self.loose = loose;
}

/* True if the drain, which has run `ran` items, is to go on. *end: of its time; 0: not set yet. */
static bool goes_on(const gas_drain_t *how, size_t ran, uint64_t *end)
{
    uint64_t now;

    if (ran == 0)
        return true;
    if (ran >= how->most || (how->until != NULL && gas_event_is_set(how->until)))
        return false;
    if (how->limit == GAS_FOREVER)
        return true;
    now = gas_clock_now();
    if (*end == 0)
        *end = now + how->limit;
    return now < *end;
}

size_t gas_work_drain_some(gas_job_t *job, const gas_drain_t *how)
{
    drain_t drain = {.job = job,
                     .home = (how->which & GAS_WORK_HOME) != 0 ? gas_home_mine(job) : NULL,
                     .general = (how->which & GAS_WORK_GENERAL) != 0,
                     .home_next = true};
    bool entered = false;
    gas_work_t *work;
    uint64_t end = 0;
    size_t ran = 0;

    if ((!drain.general || atomic_load(&job->workq.count) == 0) &&
        (drain.home == NULL || atomic_load(&drain.home->queue.count) == 0))
        return 0;
    if (!self.active) {
        if (!gas_gate_enter(&job->gate, gas_work_token()))
            return 0;
        entered = self.active = true;
    }
    self.depth++;
    while (goes_on(how, ran, &end) && (work = take_next(&drain)) != NULL) {
        run(work);
        ran++;
    }
    self.depth--;
    if (entered) {
        self.active = false;
        gas_gate_leave(&job->gate);
    }
    if (drain.right)
        right_drop(job);
    if (drain.home != NULL && atomic_load(&drain.home->queue.count) > 0)
        gas_home_notify(job, drain.home);
    return ran;
}

size_t gas_work_drain(gas_job_t *job, size_t most, uint64_t limit)
{
    return gas_work_drain_some(job,
                               &(gas_drain_t){.which = GAS_WORK_ALL, .most = most, .limit = limit});
}

/* ---- waits and sections ---- */

bool gas_work_park(gas_job_t *job)
{
    bool parked = self.active;

    if (parked) {
        self.active = false;
        gas_gate_leave(&job->gate);
    }
    return parked;
}

bool gas_work_resume(gas_job_t *job, bool parked, uint64_t deadline)
{
    if (parked)
        self.active = gas_gate_enter_waiting(&job->gate, gas_work_token(), deadline);
    return self.active == parked;
}

bool gas_work_hold(gas_job_t *job, uint64_t deadline)
{
    bool parked = gas_work_park(job), closed;

    closed = gas_gate_close(&job->gate, gas_work_token(), deadline);
    if (closed && job->gate.nesting == 1) {
        self.was_active = parked;
    } else if (parked) {
        while (!gas_work_resume(job, true, GAS_FOREVER))
            ;
    }
    return closed;
}

void gas_work_release(gas_job_t *job)
{
    if (job->gate.nesting == 1 && self.was_active) {
        atomic_fetch_add(&job->gate.active, 1); /* before anybody else can close it */
        self.active = true;
        self.was_active = false;
    }
    if (!gas_gate_open(&job->gate))
        return;
    if (atomic_load(&job->workq.count) > 0)
        gas_progress_notify(job);
    if (atomic_load(&job->progress.home_count) > 0)
        gas_homes_remind(job);
}
