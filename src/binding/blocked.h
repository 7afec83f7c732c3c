/*
 * Blocked requests: one that waits for something else than PyGAS (a threading.Lock, a queue.Queue)
 * keeps all others of its rank waiting, for ever if it needs one of them. That is reported, with
 * the stack of the thread that runs it.
 */
#ifndef PYGAS_BINDING_BLOCKED_H
#define PYGAS_BINDING_BLOCKED_H

#include "call.h"

/* A request that this thread runs: memory of the caller, from begin to end. */
typedef struct pg_running {
    struct pg_running *outer;      /* that it interrupted while that waited */
    const pg_request_head_t *head; /* NULL: a callback */
    int source;
    bool waiting;            /* the thread was, when it began this one */
    PyObject *object, *args; /* once they are there; borrowed; see pg_running_with() */
} pg_running_t;

/* Attached. */
void pg_running_begin(pg_running_t *running, const pg_request_head_t *head, int source);
void pg_running_end(pg_running_t *running);

/* What it runs on and with, either may be NULL: kept alive by the caller until it says otherwise or
 * the end. Attached. */
void pg_running_with(pg_running_t *running, PyObject *object, PyObject *args);

/* Around a wait in PyGAS, in which the thread runs other requests. Attached. */
void pg_running_wait_begin(void);
void pg_running_wait_end(void);

/* For how long a caller waits before it asks the owner whether it is blocked, in nanoseconds;
 * GAS_FOREVER: it does not. */
uint64_t pg_blocked_patience(void);

/* Asks rank `owner` to look; inside pg_enter(). Does not wait. */
void pg_blocked_ask(int owner);

/* The handler of that question. */
void pg_blocked_asked(gas_job_t *job, gas_msg_t *msg, void *arg);

/* In a forked child. */
void pg_blocked_after_fork(void);

#endif
