/*
 * Carrying on an operation on objects for a caller that waits. The algorithms are generators
 * (pygas/collectives/objects.py).
 */
#ifndef PYGAS_BINDING_DRIVE_H
#define PYGAS_BINDING_DRIVE_H

#include "team.h"

/* A method of Members; see its docstring. */
PyObject *pg_members_run(PyObject *self, PyObject *const *args, Py_ssize_t count);

#endif
