/*
 * Cancelling a request.
 *
 * The caller sends CANCEL with the call's id, once. The owner's handler takes note of it, without
 * Python and whatever its program does, and what then happens depends on how far the request is:
 *
 *   queued    it is cancelled and will not run: the reply PG_OUTCOME_CANCELLED.
 *   running   REFUSED at once, for it may run for long. If it then leaves a Future (deferred.h)
 *             instead of replying, that is cancelled, and the reply says so after all.
 *   promised  it runs a @pygas.deferred function, which returns soon: no answer until then. The
 *             reply is the answer, or it is owed and asked to be cancelled.
 *   owed      it has left a Future, which decides, in the queue of work: its cancelling is the
 *             reply, or REFUSED is sent, beside the reply that comes or has come.
 *   replied   REFUSED, beside the reply.
 *
 * So nothing that waits is left waiting after a CANCEL, but for Futures that refuse it. As messages
 * from one rank to another stay in order, CANCEL never comes before its request.
 */
#ifndef PYGAS_BINDING_CANCEL_H
#define PYGAS_BINDING_CANCEL_H

#include "call.h"

/* ---- the owner's side ---- */

typedef enum pg_cancel_stage {
    PG_CANCEL_QUEUED,
    PG_CANCEL_RUNNING,
    PG_CANCEL_PROMISED,
    PG_CANCEL_OWED
} pg_cancel_stage_t;

/* Embedded in a request, and in a reply that is owed; zeroed memory is one that cannot be
 * cancelled. */
typedef struct pg_cancellable {
    struct pg_cancellable *next; /* of the bucket; under the lock of cancel.c, as is the rest */
    uint64_t call;               /* constant, as is `source` */
    int source;
    pg_cancel_stage_t stage;
    bool listed;       /* it is in the table */
    atomic_bool asked; /* CANCEL has come; if it was queued then, it is cancelled */
    /* Of a reply that is owed, else NULL: the work that asks its Future, which the handler of
     * CANCEL queues. Called at most once, under the lock, not attached. */
    gas_work_t *(*ask)(struct pg_cancellable *cancellable);
} pg_cancellable_t;

/* The request has come and can be cancelled from now on, until pg_cancellable_end(). Any thread,
 * also inside handlers; as are the others. */
void pg_cancellable_queue(pg_cancellable_t *cancellable, int source, uint64_t call);

/* True if it was cancelled while it was queued, which has been answered: it must not run. */
bool pg_cancellable_is_cancelled(pg_cancellable_t *cancellable);

/* The request is about to run (or to be refused); `promised`: something that soon returns. False if
 * it was cancelled. */
bool pg_cancellable_start(pg_cancellable_t *cancellable, bool promised);

/* The running request will not reply itself: `owed`, with its `ask`, takes its place. True if it
 * has been asked to be cancelled: then whoever calls this queues that work, and the handler will
 * not. */
bool pg_cancellable_owe(pg_cancellable_t *running, pg_cancellable_t *owed, int source,
                        uint64_t call);

/* It has been replied to, or will be by whoever calls this; it may be freed. */
void pg_cancellable_end(pg_cancellable_t *cancellable);

/* The two answers, for the work that decides. If they cannot be sent, no reply reaches the caller
 * any more: its rank is gone, or this one is. Any thread, also inside handlers. */
void pg_cancel_confirm(gas_job_t *job, int caller, uint64_t call);
void pg_cancel_refuse(gas_job_t *job, int caller, uint64_t call);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_cancel_after_fork(void);

/* The handler of CANCEL. */
void pg_cancel_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

/* ---- the caller's side ---- */

/* Asks the owner, once, to cancel a shared call: `arrived` or `refused` will be done, or both.
 * Inside pg_enter(). 0, or -1 with an exception. */
int pg_cancel_ask(pg_call_t *call);

/* The handler of REFUSED. */
void pg_cancel_refused(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
