/*
 * Homes: work that only one particular thread may run.
 *
 * Beside the queue that any thread may drain (work.h) a thread can have a queue of its own, its
 * home. What is pushed there runs in that thread alone: while it is in gas_wait() with
 * GAS_WAIT_WORK or GAS_WAIT_HOME and then calls gas_work_drain(). Nobody else can help out, so the
 * layer above says how the thread can be reached while it does something else: for a home with
 * `kickable` set it is kicked, for the others the work waits.
 */
#ifndef GAS_HOME_H
#define GAS_HOME_H

#include "work.h"

typedef struct gas_waiter gas_waiter_t;
typedef struct gas_home gas_home_t;

struct gas_home {
    gas_workq_t queue;    /* `drainer` is not used: it is the home's thread, always */
    gas_job_t *job;       /* NULL once the job is over */
    gas_home_t *next;     /* of the job's homes; guarded by progress.lock */
    gas_waiter_t *waiter; /* its thread sleeps with this one; guarded by progress.lock */
    void *token;          /* of its thread */
    atomic_bool awake;    /* its thread is in gas_wait() for it, polling */
    atomic_int references;
    bool kickable; /* constant */
    bool closed;   /* guarded by the queue's lock */
    uint64_t tag;  /* the layer's own; constant */
};

/* The calling thread's home, made if it has none: one reference belongs to the thread. NULL: out of
 * memory. */
gas_home_t *gas_home_open(gas_job_t *job, bool kickable, uint64_t tag);

/* The calling thread's home in this job, or NULL. */
gas_home_t *gas_home_mine(gas_job_t *job);

/* The thread ends: nothing can be pushed any more. What is left in the queue is the caller's to
 * take out (gas_home_take()). The thread's reference is to be dropped, too. Any thread, while the
 * job lives. */
void gas_home_close(gas_job_t *job, gas_home_t *home);

/* True if `home` is the calling thread's. */
bool gas_home_is_here(const gas_home_t *home);

gas_home_t *gas_home_ref(gas_home_t *home); /* NULL is allowed in both */
void gas_home_unref(gas_home_t *home);

/* Queue an item for the home's thread. False, and the item is still the caller's, if that thread
 * has ended. Any thread, also inside handlers. */
bool gas_home_push(gas_job_t *job, gas_home_t *home, gas_work_t *work);

/* Take the oldest item without running it; NULL when there is none. */
gas_work_t *gas_home_take(gas_home_t *home);

/* Sees to it that the home's queue gets drained, if that can be done. */
void gas_home_notify(gas_job_t *job, gas_home_t *home);

/* The same for all homes. Returns how old the oldest item is that has nobody but the kicked layer
 * above; GAS_FOREVER if there is none. */
uint64_t gas_homes_remind(gas_job_t *job);

/* Internal: the job ends; homes that are still open are closed, and no thread is in gas_wait(). */
void gas_homes_end(gas_job_t *job);

#endif
