/*
 * Cancelling a request that its owner has not started.
 *
 * The caller sends CANCEL with the call's id. The owner answers in the handler, without Python and
 * whatever its program does: with the reply PG_OUTCOME_CANCELLED if the request is still queued,
 * which then will not run; else with REFUSED, beside the reply that comes or has come anyway. Only
 * of a request that has started and left a Future (deferred.h) the answer is that Future's, from
 * the queue of work. As messages from one rank to another stay in order, CANCEL never comes before
 * its request.
 */
#ifndef PYGAS_BINDING_CANCEL_H
#define PYGAS_BINDING_CANCEL_H

#include "call.h"

/* ---- the owner's side ---- */

/* Embedded in a queued request; zeroed memory is one that cannot be cancelled. */
typedef struct pg_cancellable {
    struct pg_cancellable *next; /* of the bucket */
    uint64_t call;
    int source;
    bool queued;    /* it can be cancelled */
    bool cancelled; /* it was; both are under the lock of cancel.c */
    /* Of a request that has started and whose reply is owed (deferred.h), else NULL: not the
     * handler decides, but the work that this returns and that it queues. Called at most once,
     * under the lock of cancel.c, not attached. */
    gas_work_t *(*asked)(struct pg_cancellable *cancellable);
} pg_cancellable_t;

/* The request can be cancelled from now on. Any thread, also inside handlers. */
void pg_cancellable_queue(pg_cancellable_t *cancellable, int source, uint64_t call);

/* The request is about to start and cannot be cancelled any more. False if it was. */
bool pg_cancellable_start(pg_cancellable_t *cancellable);

/* The two answers, for the work that decides. If they cannot be sent, no reply reaches the caller
 * any more: its rank is gone, or this one is. Any thread, also inside handlers. */
void pg_cancel_confirm(gas_job_t *job, int caller, uint64_t call);
void pg_cancel_refuse(gas_job_t *job, int caller, uint64_t call);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_cancel_after_fork(void);

/* The handler of CANCEL. */
void pg_cancel_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

/* ---- the caller's side ---- */

/* Asks the owner, once, to cancel a shared call: either `arrived` or `refused` will be done. Inside
 * pg_enter(). 0, or -1 with an exception. */
int pg_cancel_ask(pg_call_t *call);

/* The handler of REFUSED. */
void pg_cancel_refused(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
