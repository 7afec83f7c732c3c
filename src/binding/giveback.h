/*
 * Giving back: what a reply has handed to this rank (a lock, an item of a queue) and nobody here
 * has taken.
 *
 * The owner decides alone who gets something, and hands it over with a reply. If its caller has
 * gone meanwhile (a Future that was dropped or whose `await` was cancelled, a wait that a signal
 * ended), the thing would be lost. So an object can mark a Future as *returnable*, and the reply
 * says so; then what arrives for nobody is sent back, to the object's method
 * `_pygas_take_back(value, holder)`.
 *
 * Attached, all of these.
 */
#ifndef PYGAS_BINDING_GIVEBACK_H
#define PYGAS_BINDING_GIVEBACK_H

#include "future.h"

/* What has become of the value of a returnable Future. */
typedef enum pg_taking {
    PG_UNSEEN, /* nobody knows that it is there */
    PG_SEEN,   /* somebody knows, and may rely on it: done() was true, a callback was called */
    PG_TAKEN,  /* somebody has it, or it was sent on */
    PG_GIVEN   /* it was given back */
} pg_taking_t;

/* Notes that somebody has seen that the Future is done. */
static inline void pg_future_seen(pg_future_t *future)
{
    int unseen = PG_UNSEEN;

    atomic_compare_exchange_strong(&future->taking, &unseen, PG_SEEN);
}

/* Gives the value of a settled Future back, from the queue of work, if it is returnable and nobody
 * has taken it; nor seen it, if `unseen`. Neither blocks nor sends. Raises nothing. */
void pg_give_back(pg_future_t *future, bool unseen);

/* The same for the reply of a call that nobody waits for, at once: `value` is what it says. */
void pg_give_back_reply(pg_call_t *call, PyObject *value);

/* op TAKE_BACK, on the owner: (value, thread of the caller). */
PyObject *pg_take_back(PyObject *object, PyObject *args);

/* returnable(future, giver): marks a Future that was made by hand; giver None: not any more. */
PyObject *pg_returnable(PyObject *module, PyObject *args);

/* give_back(future): pg_give_back(), also if it was seen. */
PyObject *pg_give_back_future(PyObject *module, PyObject *future);

#endif
