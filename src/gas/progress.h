/*
 * Progress: who polls the conduit, who sleeps on it, and who gets queued work done.
 *
 * Every rank has one progress thread, for the times when no thread of the program is inside a
 * runtime call. It never runs work of the layer above; it only pushes it. Internal to the runtime.
 */
#ifndef GAS_PROGRESS_H
#define GAS_PROGRESS_H

#include "status.h"
#include "waiter.h"
#include "waiting.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;
typedef struct gas_home gas_home_t;

typedef struct gas_progress {
    pthread_mutex_t lock;          /* a leaf; see the lock order in progress.c */
    gas_waiter_t *waiters;         /* threads in the third phase of gas_wait(); guarded by lock */
    gas_waiter_t *idle;            /* waiters to use again; guarded by lock */
    gas_waiting_t *waitings;       /* what threads wait for (waiting.h); guarded by lock */
    gas_waiter_t *watch;           /* who sleeps on the conduit, never NULL; guarded by lock */
    _Atomic(gas_waiter_t *) armed; /* the watch, while it relies on an armed conduit; else NULL */
    gas_home_t *homes;             /* that are open; guarded by lock */
    atomic_uint home_count;        /* of them; written under lock */
    gas_waiter_t self;             /* the progress thread's own */
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool drowsy;         /* the progress thread is about to sleep for longer than a tick */
    atomic_uint awake_workers;  /* threads in gas_wait(WORK) that are polling, not sleeping */
    _Atomic(uint64_t) waits;    /* counts gas_wait() calls, to see that the program is active */
    _Atomic(uint64_t) yield_ns; /* for how long a wait yields before it sleeps; adapts */
    atomic_uint handovers;      /* waits in a row whose answer came while others ran; see wait.c */
    _Atomic(uint64_t) crowded_until; /* until then it does not yield; see wait.c */
    _Atomic(uint64_t) crowded_ns;    /* for how long that was; adapts */
} gas_progress_t;

/* Init and fini are for what is there without the thread: gas_progress_rouse() works in between. */
gas_status_t gas_progress_init(gas_job_t *job);
void gas_progress_fini(gas_job_t *job);

gas_status_t gas_progress_start(gas_job_t *job);

/* No thread is in gas_wait() any more. */
void gas_progress_stop(gas_job_t *job);

/* Has somebody poll soon. Any thread, any context. */
void gas_progress_rouse(gas_job_t *job);

/* Polls the conduit unless somebody else is at it; what gas_conduit's poll says. */
unsigned gas_progress_poll(gas_job_t *job);

/* Sleeps on the conduit for `waiter`, which has announced it and got the watch. True if a signal
 * handler ran. `busy` is the caller's count of fruitless calls since it
 * last saw something done; starts at 0. */
bool gas_progress_sleep(gas_job_t *job, gas_waiter_t *waiter, uint64_t timeout, unsigned *busy);

/* Sees to it that queued work gets drained. What this rank has asked of itself (gas_work_t.own)
 * waits up to a millisecond for a thread that waits: the one that asked most likely is about to,
 * and the program is not interrupted for each of many; unless gas_work_hasten() has said that
 * nobody will. Any thread, also inside handlers. */
void gas_progress_notify(gas_job_t *job);

/* Gets the progress thread to come round, and to call gas_job_params_t.tend, within a tick, half a
 * millisecond. Cheap
 * if it is looking around anyway. Any thread; takes no lock. */
void gas_progress_hurry(gas_job_t *job);

/* The conduit was given something: notes its backlog, and sees to it that somebody polls if it may
 * not have passed everything on. Under the job lock. */
void gas_progress_given(gas_job_t *job);

#endif
