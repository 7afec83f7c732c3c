/*
 * Calls: the asking side of a request and its reply.
 *
 * A call has a slot in a table, whose index and generation travel with the request and come back
 * with the reply. It is shared by its table slot and by whoever waits for it.
 */
#ifndef PYGAS_BINDING_CALL_H
#define PYGAS_BINDING_CALL_H

#include "completion.h"
#include "heads.h"
#include "state.h"

typedef struct pg_call {
    atomic_int references;
    int owner;
    uint64_t id;
    uint64_t object;      /* of the request, 0: none; constant, as are the next two */
    uint32_t thread;      /* whose it is (request.h) */
    bool shared;          /* a Future's; else it has one waiter, pg_call_blocking() */
    bool forsaken;        /* that one has left; written under the table's lock while it is open */
    gas_event_t event;    /* of a call with one waiter: set when reply is there */
    pg_reply_head_t head; /* of the reply, once that has arrived */
    gas_msg_t *reply;     /* the call's, once it has arrived; NULL if it never will: the owner has
                           * failed, or the job is over */
    bool orphaned;        /* the owner has failed */
    /* Of shared calls: */
    pg_completion_t arrived;      /* the reply is there; failed: with an exception */
    pg_completion_t refused;      /* its owner has said that it is too late to cancel it */
    atomic_bool cancel_asked;     /* it has been asked to */
    gas_work_t work;              /* the notice of `arrived` */
    struct pg_prefetch *prefetch; /* of the reply's buffers; NULL: none */
    void (*notify)(void *arg);
    void *notify_arg;
} pg_call_t;

/* Sends a request whose reply a Future will wait for: `shared`. A new reference to the call, or
 * NULL with an exception. `args`: a tuple. Takes over the pin (exports.h) that an `object` of this
 * rank must have; the caller keeps one of another rank alive until this returns. */
pg_call_t *pg_call_start(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want);

/*
 * What the reply says: the result, a new reference, or NULL with the exception that was raised over
 * there; CancelledError if it was cancelled. Only once it has arrived, once per call, and after
 * pg_enter(). *outcome, if not NULL, says what the result is; for those with which nothing travels
 * it is None.
 */
PyObject *pg_call_result(pg_call_t *call, pg_outcome_t *outcome);

/* pg_call_start(), wait, pg_call_result(). */
PyObject *pg_call_blocking(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want,
                           pg_outcome_t *outcome);

/* How many requests this process has sent: whoever has fetched something ahead can see whether the
 * program has asked for something since. */
uint64_t pg_call_count(void);

void pg_call_unref(pg_call_t *call);

/* True if the owner answered that it has cancelled the request. Once it has arrived, before
 * pg_call_result(). */
bool pg_call_is_cancelled(const pg_call_t *call);

/* True if there is no result since the job is over, here or at the owner: nothing that the program
 * would have to be told of. Once it has arrived, before pg_call_result(). */
bool pg_call_is_over(const pg_call_t *call);

/* Has `notify` called with `arg`, by an attached thread that drains the queue of work, when the
 * reply has arrived. Once per call. False, and it will not be called, if it has arrived already. */
bool pg_call_notify(pg_call_t *call, void (*notify)(void *arg), void *arg);

/* Lets go of a call whose result nobody will ask for. If it failed, or will, that is reported from
 * the queue of work. For finalizers: does not block. Takes over the reference. */
void pg_call_abandon(pg_call_t *call);

/* Somebody has seen that the reply has arrived: what it hands over does not go back, also if the
 * call is abandoned. Once it has arrived. */
void pg_call_keep(pg_call_t *call);

/* The job is over and no handler runs any more: open calls arrive without a reply, and who waits
 * for them gets the exception of pg_require_job(). */
void pg_calls_end(void);

/* `rank` has failed: open calls to it arrive without a reply, and who waits for them gets
 * RankFailedError. Not attached, inside a poll. */
void pg_calls_rank_failed(gas_job_t *job, int rank);

/* True inside pg_calls_end(): what fails now fails because the job is over. */
bool pg_calls_are_ending(void);

/* In a forked child, where another thread of the rank may have held a lock. */
void pg_calls_after_fork(void);

/* From now on the program's other threads wait before they begin something, for up to
 * PG_CALL_HOLD_NS each; what requests ask for in their turn goes on. The calling thread ends it. */
#define PG_CALL_HOLD_NS 2000000000u
void pg_calls_hold(bool hold);

/* The handler of replies. */
void pg_call_replied(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
