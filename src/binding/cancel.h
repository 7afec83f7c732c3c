/*
 * Cancelling a request that its owner has not started.
 *
 * The caller sends CANCEL with the call's id. The owner answers in the handler, without Python and
 * whatever its program does: with the reply PG_OUTCOME_CANCELLED if the request is still queued,
 * which then will not run; else with REFUSED, beside the reply that comes or has come anyway. As
 * messages from one rank to another stay in order, CANCEL never comes before its request.
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
} pg_cancellable_t;

/* The request can be cancelled from now on. Any thread, also inside handlers. */
void pg_cancellable_queue(pg_cancellable_t *cancellable, int source, uint64_t call);

/* The request is about to start and cannot be cancelled any more. False if it was. */
bool pg_cancellable_start(pg_cancellable_t *cancellable);

/* The handler of CANCEL. */
void pg_cancel_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

/* ---- the caller's side ---- */

/* Asks the owner, once, to cancel a shared call: either `arrived` or `refused` will be done. Inside
 * pg_enter(). 0, or -1 with an exception. */
int pg_cancel_ask(pg_call_t *call);

/* The handler of REFUSED. */
void pg_cancel_refused(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
