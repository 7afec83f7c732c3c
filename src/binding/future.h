/*
 * Future: a result that is not there yet. That of a request whose caller did not wait, or one that
 * Python code makes by hand.
 */
#ifndef PYGAS_BINDING_FUTURE_H
#define PYGAS_BINDING_FUTURE_H

#include "call.h"
#include "callback.h"
#include "deferred.h"
#include "request.h"

/* The fields are for the files future*.c and completions.c; see the design notes of future.c. */
struct pg_future {
    PyObject_HEAD pg_call_t *call; /* constant; NULL: made by hand */
    pg_completion_t settled;
    _Atomic(void *) settler; /* token of the thread that settles or has settled it; NULL: none */
    PyObject *value;         /* the settler's, constant once settled; as are the next two */
    PyObject *exception;     /* NULL: none, or cancelled */
    bool cancelled;
    PyObject *giver;          /* made by hand and returnable (giveback.h): to whom; else NULL */
    pg_caller_t asker;        /* then: for whom */
    atomic_int taking;        /* a pg_taking_t */
    atomic_bool retrieved;    /* somebody has seen the exception, or has been told of it */
    pg_callbacks_t callbacks; /* under the Future's critical section, as are the next three */
    pg_deferred_t *deferred;  /* replies that wait for it (deferred.c) */
    bool closed;              /* the settler has taken the callbacks */
    bool watched;             /* the call will tell this Future, and keeps it until then */
    PyObject *weakrefs;
};

/* Attached, all of these. */

/* Takes over the reference to `call` (NULL: made by hand), also on failure. NULL with an exception.
 */
PyObject *pg_future_new(pg_call_t *call);

static inline bool pg_future_is_settled(pg_future_t *future)
{
    return pg_completion_is_done(&future->settled);
}

/* What is done when the Future is: the arrival of its reply, else its settlement. */
static inline pg_completion_t *pg_future_completion(pg_future_t *future)
{
    return future->call != NULL ? &future->call->arrived : &future->settled;
}

/* Waits until it is settled, and settles it if its reply has arrived. Requests to this rank run
 * meanwhile. 1: it is; 0: the deadline passed; -1: an exception that is not the result. */
int pg_future_settle(pg_future_t *future, uint64_t deadline);

/* Settles one that was made by hand with one of the two, and runs its callbacks. 0, or -1 with
 * InvalidStateError. */
int pg_future_set(pg_future_t *future, PyObject *value, PyObject *exception);

/* One that was made by hand cannot be cancelled from now on, only settled by pg_future_set(). 1; 0
 * if it has been cancelled; -1 with InvalidStateError. Runs no Python code if it returns 1. */
int pg_future_begin(pg_future_t *future);

/* True between pg_future_begin() and pg_future_set(). */
bool pg_future_is_running(pg_future_t *future);

/* The result of a settled Future, a new reference, or NULL with its exception. */
PyObject *pg_future_outcome(pg_future_t *future);

/* Has `deferred`, whose link to the next one is *next, told by pg_deferred_settled(): when the
 * Future is settled, or now. If nobody keeps a Future made by hand, by pg_deferred_dropped(). */
void pg_future_add_deferred(pg_future_t *future, pg_deferred_t *deferred, pg_deferred_t **next);

/* Cancels it if that is still possible, asking the owner, and waits for the answer if `wait`. 1: it
 * is cancelled; 0: it is not (or not yet); -1: an exception. */
int pg_future_cancel(pg_future_t *future, bool wait);

/* 0, or -1 with an exception. */
int pg_future_add_callback(pg_future_t *future, PyObject *function);

/* The Python half, pygas.futures, which is loaded at its first use. Borrowed, or NULL with an
 * exception. */
PyObject *pg_future_half(void);

/* Raises an exception of concurrent.futures, by name; `text` may be NULL. Takes over its reference.
 */
void pg_future_raise(const char *name, PyObject *text);

/* Hands an exception that nobody has asked for to sys.unraisablehook, unless it is the failure of a
 * rank that the program knows of (told.h). Takes over the reference.
 * `owner`: of the Future; -1 if it was made by hand. */
void pg_future_report(PyObject *exception, int owner);

#endif
