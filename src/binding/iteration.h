/* The evaluators of iteration, for the table in ops.c. `args` is a tuple of the length that ops.def
 * says. */
#ifndef PYGAS_BINDING_ITERATION_H
#define PYGAS_BINDING_ITERATION_H

#include "state.h"

PyObject *op_iter(PyObject *object, PyObject *args);
PyObject *op_items(PyObject *object, PyObject *args); /* start, count */

/* What op_iter() returns for objects whose items can be fetched ahead. */
typedef enum pg_plan {
    PG_PLAN_SEQUENCE = 1, /* (plan, first items): the items have positions */
    PG_PLAN_SNAPSHOT = 2  /* (plan, all items, length, what the class says when that changes) */
} pg_plan_t;

#endif
