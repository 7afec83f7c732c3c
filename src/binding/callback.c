/*
 * Design notes. A callback often settles another Future (`then`, `gather`), whose callbacks settle
 * the next: done by recursion, a chain of some thousand links overflows the C stack. So from
 * NEST_MAX on callbacks are put off: appended to a list of this thread, which the innermost loop
 * works through. Up to there they are called in place, so that a set_result() has called them when
 * it returns, as in concurrent.futures.
 *
 * A callback refers to its Future while it waits, which makes the Future a cycle; the collector
 * sees it through pg_callbacks_traverse(). A Future whose reply is on its way is also kept by its
 * call (future.c), so that one with callbacks in flight is not collected.
 */
#include "callback.h"

#include "compat.h"

#define NEST_MAX 16u

struct pg_callback {
    pg_callback_t *next;
    PyObject *future, *function;
};

static _Thread_local unsigned nesting;
static _Thread_local pg_callbacks_t put_off;

pg_callback_t *pg_callback_new(PyObject *future, PyObject *function)
{
    pg_callback_t *callback = PyMem_Malloc(sizeof(*callback));

    if (callback == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    callback->next = NULL;
    callback->future = Py_NewRef(future);
    callback->function = Py_NewRef(function);
    return callback;
}

static void callback_free(pg_callback_t *callback)
{
    PyObject *future = callback->future, *function = callback->function;

    PyMem_Free(callback);
    Py_DECREF(function);
    Py_DECREF(future);
}

void pg_callbacks_append(pg_callbacks_t *callbacks, pg_callback_t *callback)
{
    if (callbacks->last != NULL)
        callbacks->last->next = callback;
    else
        callbacks->first = callback;
    callbacks->last = callback;
}

static pg_callback_t *take(pg_callbacks_t *callbacks)
{
    pg_callback_t *callback = callbacks->first;

    if (callback != NULL) {
        callbacks->first = callback->next;
        if (callbacks->first == NULL)
            callbacks->last = NULL;
        callback->next = NULL;
    }
    return callback;
}

static void call(pg_callback_t *callback)
{
    PyObject *result = PyObject_CallOneArg(callback->function, callback->future);

    if (result == NULL) {
        bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);

        PyErr_WriteUnraisable(callback->function);
        if (interrupted)
            PyErr_SetInterrupt(); /* Ctrl-C was meant for the program */
    }
    Py_XDECREF(result);
    callback_free(callback);
}

static void call_all(pg_callbacks_t *callbacks)
{
    pg_callback_t *callback;

    while ((callback = take(callbacks)) != NULL)
        call(callback);
}

void pg_callbacks_run(pg_callbacks_t callbacks)
{
    PyObject *pending;

    if (callbacks.first == NULL)
        return;
    if (nesting == NEST_MAX) {
        pg_callback_t *callback;

        while ((callback = take(&callbacks)) != NULL)
            pg_callbacks_append(&put_off, callback);
        return;
    }
    /* Whoever settles a Future may have an exception on its way. */
    pending = PyErr_GetRaisedException();
    nesting++;
    call_all(&callbacks);
    if (nesting == NEST_MAX)
        call_all(&put_off);
    nesting--;
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

void pg_callbacks_catch_up(void)
{
    call_all(&put_off);
}

void pg_callbacks_clear(pg_callbacks_t *callbacks)
{
    pg_callback_t *callback;

    while ((callback = take(callbacks)) != NULL)
        callback_free(callback);
}

int pg_callbacks_traverse(const pg_callbacks_t *callbacks, visitproc visit, void *arg)
{
    for (pg_callback_t *callback = callbacks->first; callback != NULL; callback = callback->next) {
        Py_VISIT(callback->future);
        Py_VISIT(callback->function);
    }
    return 0;
}
