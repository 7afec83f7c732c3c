/*
 * Work for the layer above: what has arrived for it and can only be done in its own context (for
 * Python, attached to the interpreter).
 *
 * Rules. There is one queue that any thread may drain, and one for each thread that has a home
 * (home.h). Items of a queue start in the order in which they were pushed (but see
 * GAS_WORK_DEPTH_MAX). One thread at a time has the right to drain the general queue; it may nest
 * (an item may wait, and the wait drains further items on the same thread), so an item is never
 * interrupted by another one of its queue unless it waits. Whoever pushes makes sure that somebody
 * will come: a thread that waits and may drain, else the one that is draining, else the layer above
 * is kicked (gas_job_params_t.kick), again and again until the queue is empty.
 *
 * No work starts while a thread of the rank has closed the gate (gate.h), but for notices
 * (GAS_WORK_NOTICE), which that thread may run.
 */
#ifndef GAS_WORK_H
#define GAS_WORK_H

#include "event.h"
#include "gate.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;
typedef struct gas_work gas_work_t;

/* The depth of what may run in any wait, also in a critical section: the news of something that is
 * over. */
#define GAS_WORK_NOTICE UINT_MAX

/* The depth of what may run in any wait, but not in a critical section: code of the program's that
 * no request asked for, such as finalizers. What such an item, or a notice, waits for counts as
 * waited for by the item within which it runs. */
#define GAS_WORK_CALLBACK (GAS_WORK_NOTICE - 1)

/* Embedded in whatever is to be done; `run` owns it from then on. */
struct gas_work {
    gas_work_t *next;
    void (*run)(gas_work_t *work);
    unsigned depth; /* how many items, each waiting for the next, led to this one; on any ranks */
    bool own;       /* this rank has asked itself for it: see gas_progress_notify() */
};

typedef struct gas_workq {
    pthread_mutex_t lock;    /* a leaf */
    gas_work_t *head, *tail; /* guarded by lock */
    uint64_t since;          /* when the oldest item became the oldest; guarded by lock */
    uint64_t taken;          /* when a nested drain took one and left others; guarded by lock */
    atomic_size_t count;     /* written under lock, read anywhere; likewise: */
    atomic_size_t foreign;   /* of those that are not `own` */
    atomic_bool hastened;    /* those that are `own` are no better; until the queue is empty */
    _Atomic(void *) drainer; /* token of the thread that may drain; NULL: free */
    unsigned nesting;        /* how often that thread has the right; its own */
    unsigned deepest;        /* no item is deeper; guarded by lock */
} gas_workq_t;

void gas_workq_init(gas_workq_t *queue);
void gas_workq_fini(gas_workq_t *queue); /* items left in it are the caller's to take out first */

/* Queue an item for any thread and see to it that it gets run. Any thread, also inside handlers. */
void gas_work_push(gas_job_t *job, gas_work_t *work);

/* Nobody is going to wait for what this rank has asked of itself, but go on when it is done: see to
 * it now. Any thread. */
void gas_work_hasten(gas_job_t *job);

/* Which queues. */
#define GAS_WORK_GENERAL 1u
#define GAS_WORK_HOME 2u /* that of the calling thread, if it has one */
#define GAS_WORK_ALL 3u

/* Until when to drain: all of this is checked between items. */
typedef struct gas_drain {
    unsigned which;
    size_t most;        /* items */
    uint64_t limit;     /* nanoseconds; GAS_FOREVER */
    gas_event_t *until; /* set: that is enough; may be NULL */
} gas_drain_t;

/*
 * Run queued items, oldest first, the two queues in turns, until they are empty or `how` says that
 * it is enough. At least one, if there is one. Returns how many ran; 0 also if another thread is
 * draining or has closed the gate. What is left has been taken care of.
 */
size_t gas_work_drain_some(gas_job_t *job, const gas_drain_t *how);

/* The same, from both queues. */
size_t gas_work_drain(gas_job_t *job, size_t most, uint64_t limit);

/* True if there is something that the calling thread could drain now. */
bool gas_work_is_ready(gas_job_t *job, unsigned which);

/* True if the calling thread runs an item, also if that waits. */
bool gas_work_is_nested(void);

/* True if the calling thread runs an item and that does not wait (gas_work_park()). */
bool gas_work_is_running(gas_job_t *job);

/*
 * Around a wait of the program, in which it may be interrupted by other items or by a section of
 * another thread. gas_work_resume() waits until `deadline` for such a section to end: false if it
 * has not, then call it again. To be called in this order even if nothing was running: `parked` is
 * what gas_work_park() has returned.
 */
bool gas_work_park(gas_job_t *job);
bool gas_work_resume(gas_job_t *job, bool parked, uint64_t deadline);

/* Close and open the gate (gate.h) for the calling thread, whether it runs an item or not. */
bool gas_work_hold(gas_job_t *job, uint64_t deadline);
void gas_work_release(gas_job_t *job);

/* True if the calling thread has closed the gate. */
bool gas_work_is_holding(gas_job_t *job);

/* How many items are queued, and for how long the oldest of any queue has been there. */
size_t gas_work_queued(gas_job_t *job, uint64_t *age);

/* An address that names the calling thread. */
void *gas_work_token(void);

/* Take the oldest item without running it, to tear down, also from the homes; NULL when there is
 * none. */
gas_work_t *gas_work_take(gas_job_t *job);

/*
 * What a wait within an item may run: items that are at least as deep as the one that waits, and
 * deeper ones if draining is nested more than DEPTH_MAX deep. So the deepest item anywhere can
 * always go on: what it waits for is deeper still, and nothing holds that up. Were a shallow item
 * run on top of a deep one, it would hold that one up, and might itself wait for a rank that does
 * the same.
 *
 * But an item may also wait for what a shallower one does, for a lock, say, or a callback for what
 * another one does. If nothing has been taken from a queue for STUCK_NS, any item of it is run;
 * then for twice as long before that is done again on top of it, and so on.
 */
#define GAS_WORK_DEPTH_MAX 64
#define GAS_WORK_STUCK_NS 20000000u

/* ---- internal: for home.c ---- */

/* Appends an item. Under the queue's lock. */
void gas_workq_append_locked(gas_workq_t *queue, gas_work_t *work);

/* Takes the oldest item; NULL when there is none. */
gas_work_t *gas_workq_take(gas_workq_t *queue);

#endif
