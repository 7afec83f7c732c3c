/* The job's start and end, as this process sees them. Functions of the module; see their
 * docstrings. */
#ifndef PYGAS_BINDING_LIFECYCLE_H
#define PYGAS_BINDING_LIFECYCLE_H

#include "state.h"

PyObject *pg_start(PyObject *module, PyObject *spec);
PyObject *pg_meet(PyObject *module, PyObject *unused);
PyObject *pg_finish(PyObject *module, PyObject *proper);
PyObject *pg_after_fork(PyObject *module, PyObject *unused);
PyObject *pg_phase_name(PyObject *module, PyObject *unused);

#endif
