/* The job's start and end, as this process sees them. Functions of the module; see their
 * docstrings. */
#ifndef PYGAS_BINDING_LIFECYCLE_H
#define PYGAS_BINDING_LIFECYCLE_H

#include "state.h"

/* From now on a forked child of a rank knows that it is one. -1 with an exception. */
int pg_lifecycle_init(void);

PyObject *pg_start(PyObject *module, PyObject *spec);
PyObject *pg_meet(PyObject *module, PyObject *unused);
PyObject *pg_finish(PyObject *module, PyObject *proper);
PyObject *pg_phase_name(PyObject *module, PyObject *unused);

#endif
