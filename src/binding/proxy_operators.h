/* The operators among the slots of Proxy types (slots.def): what proxy_slots.c puts into its table.
 */
#ifndef PYGAS_BINDING_PROXY_OPERATORS_H
#define PYGAS_BINDING_PROXY_OPERATORS_H

#include "proxy.h"

#define BINARY(slot, name, function, inplace_slot, inplace_function)                               \
    PyObject *pg_Proxy_##slot(PyObject *left, PyObject *right);                                    \
    PyObject *pg_Proxy_##inplace_slot(PyObject *self, PyObject *other);
#define UNARY(slot, function) PyObject *pg_Proxy_##slot(PyObject *self);
#include "slots.def"

PyObject *pg_Proxy_sq_concat(PyObject *self, PyObject *other);
PyObject *pg_Proxy_sq_inplace_concat(PyObject *self, PyObject *other);
PyObject *pg_Proxy_sq_repeat(PyObject *self, Py_ssize_t count);
PyObject *pg_Proxy_sq_inplace_repeat(PyObject *self, Py_ssize_t count);
PyObject *pg_Proxy_divmod(PyObject *left, PyObject *right);
PyObject *pg_Proxy_power(PyObject *base, PyObject *exponent, PyObject *modulus);
PyObject *pg_Proxy_inplace_power(PyObject *base, PyObject *exponent, PyObject *modulus);
PyObject *pg_Proxy_richcompare(PyObject *self, PyObject *other, int how);

#endif
