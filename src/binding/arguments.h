/* Arguments on their way to a Proxy's object: by value, else by reference, as results are. */
#ifndef PYGAS_BINDING_ARGUMENTS_H
#define PYGAS_BINDING_ARGUMENTS_H

#include "ops.h"
#include "payload.h"

/* True if the exception that is set says that an object cannot be copied, so that a Proxy to it is
 * to travel in its place. */
bool pg_cannot_copy(void);

/* `items` (a list or tuple) as a new list, with Proxies in place of those that cannot be copied. */
PyObject *pg_copyable_items(PyObject *items);

/* The arguments of `op`, a tuple, encoded. What cannot be copied of an operation on an object
 * travels as a Proxy; a function for a rank gets what it gets, or fails. NULL with an exception. */
pg_payload_t *pg_arguments_encode(pg_op_t op, PyObject *args);

/* Of the arguments of an operation that has a name: what travels if the name is in the request's
 * head (heads.h). Borrowed; NULL: the name has to travel with the arguments. */
PyObject *pg_arguments_beside_name(pg_op_t op, PyObject *args);

/* The arguments again: a new tuple, or NULL with an exception. */
PyObject *pg_arguments_with_name(pg_op_t op, PyObject *name, PyObject *beside);

#endif
