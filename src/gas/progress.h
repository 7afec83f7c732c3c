/*
 * Progress: who polls the conduit, who sleeps on it, and how a thread waits.
 *
 * Every rank has one progress thread, for the times when no thread of the program is inside a
 * runtime call. It never runs work of the layer above; it only pushes it.
 */
#ifndef GAS_PROGRESS_H
#define GAS_PROGRESS_H

#include "event.h"
#include "status.h"

#include <pthread.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;
typedef struct gas_waiter gas_waiter_t;

/* Flags of gas_wait(). */
#define GAS_WAIT_WORK 1u    /* also return, with GAS_WORK, when there is work that I could drain */
#define GAS_WAIT_BRIEFLY 2u /* only spin, then return GAS_BUSY */

/* A gas_wait() that sleeps returns GAS_INTERRUPTED when a signal handler ran, and at least this
 * often (in nanoseconds), so that its caller can look at signals which another thread received. */
#define GAS_WAIT_SIGNALS 100000000u

struct gas_waiter {
    gas_waiter_t *next; /* of waiting threads, or of the free list; guarded by progress.lock */
    gas_waiter_t *prev;
    int wake_fd;        /* an eventfd of its own */
    unsigned flags;     /* of its gas_wait(); guarded by progress.lock */
    void *token;        /* of its thread; guarded by progress.lock */
    atomic_bool asleep; /* it sleeps, or is about to: whoever has news writes to wake_fd */
};

typedef struct gas_progress {
    pthread_mutex_t lock;  /* see the lock order in progress.c */
    gas_waiter_t *waiters; /* threads past the spinning part of gas_wait(); guarded by lock */
    gas_waiter_t *idle;    /* waiters to use again; guarded by lock */
    gas_waiter_t *watch;   /* who sleeps on the conduit, never NULL; guarded by lock */
    gas_waiter_t self;     /* the progress thread's own */
    pthread_t thread;
    atomic_bool stopping;
    atomic_uint awake_workers; /* threads in gas_wait(WORK) that are polling, not sleeping */
    atomic_uint waits;         /* counts gas_wait() calls, to see that the program is active */
    atomic_uint yield_ns;      /* for how long a wait yields before it sleeps; adapts */
} gas_progress_t;

gas_status_t gas_progress_start(gas_job_t *job);
void gas_progress_stop(gas_job_t *job);

/*
 * Blocks until `event` is set (GAS_OK), there is work for the caller (GAS_WORK, only with
 * GAS_WAIT_WORK), the deadline (gas_clock_now() terms) has passed (GAS_TIMEOUT) or signals should
 * be looked at (GAS_INTERRUPTED). `event` may be NULL: wait for the rest. Polls, so handlers run in
 * here. Any thread; several at once. Sleeps when nothing happens for long.
 */
gas_status_t gas_wait(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags);

/* Sets an event and wakes who waits for it. Any thread, also inside handlers. `event` may be freed
 * by its waiter as soon as this begins. */
void gas_event_set(gas_event_t *event);

/* Internal: sees to it that queued work gets drained. Any thread, also inside handlers. */
void gas_progress_notify(gas_job_t *job);

/* Internal: the conduit has a backlog, so somebody must poll. Any thread. */
void gas_progress_nudge(gas_job_t *job);

#endif
