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

/*
 * What the two classes say to left OP right, in the interpreter's order, with the slot at `offset`
 * of PyNumberMethods; NotImplemented if neither can answer, so that the interpreter which asked a
 * Proxy goes on, and says in its own words what it was that nobody could do.
 */
PyObject *pg_ask_both(size_t offset, PyObject *left, PyObject *right);

/* The same for a Proxy's object at the right, where sequences have to be joined, too. */
PyObject *pg_ask_reverse(size_t offset, PyObject *left, PyObject *right);

/* The same for comparisons; how: Py_LT and so on. */
PyObject *pg_compare_both(PyObject *object, PyObject *other, int how);

PyObject *op_unary(PyObject *object, PyObject *args);    /* slot */
PyObject *op_binary(PyObject *object, PyObject *args);   /* slot, stage, other */
PyObject *op_power(PyObject *object, PyObject *args);    /* stage, other, modulus */
PyObject *op_sequence(PyObject *object, PyObject *args); /* slot, other */
PyObject *op_compare(PyObject *object, PyObject *args);  /* how, stage, other */

#endif
