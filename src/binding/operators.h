/* The evaluators of operators and comparisons, for the table in ops.c. `args` is a tuple
 * of the length that ops.def says. */
#ifndef PYGAS_BINDING_OPERATORS_H
#define PYGAS_BINDING_OPERATORS_H

#include "state.h"

/*
 * The other operand, as an operation here is to see it: an object of this rank itself rather than a
 * Proxy to it, since many classes do nothing for a type they do not know. If the operation has to
 * know its operand (`insists`), then a copy of what is elsewhere, unless that is an iterator. A new
 * reference, or NULL with an exception.
 */
PyObject *pg_operand(PyObject *other, bool insists);

PyObject *op_unary(PyObject *object, PyObject *args);    /* slot */
PyObject *op_binary(PyObject *object, PyObject *args);   /* slot, stage, other */
PyObject *op_power(PyObject *object, PyObject *args);    /* stage, other, modulus */
PyObject *op_sequence(PyObject *object, PyObject *args); /* slot, other */
PyObject *op_compare(PyObject *object, PyObject *args);  /* how, stage, other */

#endif
