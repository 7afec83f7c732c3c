/*
 * Callbacks of a Future: Python functions that are called once with it when it is done.
 */
#ifndef PYGAS_BINDING_CALLBACK_H
#define PYGAS_BINDING_CALLBACK_H

#include "state.h"

typedef struct pg_callback pg_callback_t;

/* In the order in which they were added; {NULL, NULL} is empty. */
typedef struct pg_callbacks {
    pg_callback_t *first, *last;
} pg_callbacks_t;

/* Attached, all of these. */

/* A callback, with references of its own to both, or NULL with an exception. */
pg_callback_t *pg_callback_new(PyObject *future, PyObject *function);

void pg_callbacks_append(pg_callbacks_t *callbacks, pg_callback_t *callback);

/*
 * Calls and frees them all. What they raise goes to sys.unraisablehook. They have been called when
 * this returns, unless it is called from callbacks nested too deeply (each settling a Future whose
 * callbacks settle another ...): then the outer ones do it after the present one.
 */
void pg_callbacks_run(pg_callbacks_t callbacks);

/* Calls what this thread has put off: before it blocks, since it may wait for just that. */
void pg_callbacks_catch_up(void);

/* For a Future that is freed or collected before it was done. */
void pg_callbacks_clear(pg_callbacks_t *callbacks);

int pg_callbacks_traverse(const pg_callbacks_t *callbacks, visitproc visit, void *arg);

#endif
