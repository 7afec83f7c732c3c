/*
 * Deferred replies: a request whose result is not there yet replies when it is, and does not keep
 * its owner from anything meanwhile.
 *
 * The result of a call (of a function, an object, a method) that is a pygas.Future, a coroutine or
 * something else to await, or a concurrent.futures.Future, is waited for. Attributes, items and the
 * results of operators are not: they are values, even if one happens to be a Future.
 *
 * Attached, all of these, unless they say otherwise.
 */
#ifndef PYGAS_BINDING_DEFERRED_H
#define PYGAS_BINDING_DEFERRED_H

#include "call.h"
#include "cancel.h"

typedef struct pg_future pg_future_t;
typedef struct pg_deferred pg_deferred_t;

/* ---- requests ---- */

/* The function of a @pygas.deferred function or method that the operation calls, bound: *function,
 * a new reference; NULL: it calls something else. -1 with an exception. Runs no Python code. */
int pg_deferred_find(pg_op_t op, PyObject *object, PyObject *args, PyObject **function);

/* pg_op_evaluate() for a request; `function` is what pg_deferred_find() found, which does not wait
 * in here. */
PyObject *pg_deferred_evaluate(pg_op_t op, PyObject *object, PyObject *args, PyObject *function);

/* True if `result` of a request is to be waited for. Not if it is the object itself. */
bool pg_deferred_is(pg_op_t op, PyObject *object, PyObject *result);

/* Replies to the request of rank `source` once `result`, for which pg_deferred_is() holds, has an
 * outcome: now, or from the thread that settles it. `running`: the request's (cancel.h). 0, or -1
 * with an exception: not replied. */
int pg_deferred_start(int source, const pg_request_head_t *head, pg_cancellable_t *running,
                      PyObject *object, PyObject *result);

/* ---- Futures ---- */

/* The Future is settled: sends the replies that wait for it, and frees them. Raises nothing. */
void pg_deferred_settled(pg_deferred_t *list, pg_future_t *future);

/* The Future goes away unsettled: its callers will be told from the queue of work. Neither blocks
 * nor sends. */
void pg_deferred_dropped(pg_deferred_t *list);

int pg_deferred_traverse(pg_deferred_t *list, visitproc visit, void *arg);

/* ---- the functions of the module ---- */

/* What a function that may return something to wait for has returned: its outcome, waiting for it.
 * Steals `result`; NULL is allowed. NULL with an exception. */
PyObject *pg_deferred_wait(PyObject *result);

/* push(callable, home=None): calls it from the queue of work, among the requests; from that of a
 * home, as pg_home_of_request() gives it. RuntimeError if its thread has ended. */
PyObject *pg_push(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* The function behind a @pygas.deferred one. Borrowed. */
PyObject *pg_deferred_function(PyObject *decorated);

#endif
