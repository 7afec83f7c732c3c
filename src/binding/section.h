/*
 * Critical sections: `with pygas.no_requests():`. No request of this rank starts in it, on any
 * thread; it begins when those that run on other threads have ended or wait.
 */
#ifndef PYGAS_BINDING_SECTION_H
#define PYGAS_BINDING_SECTION_H

#include "state.h"

PyTypeObject *pg_section_type_create(PyObject *module);

/* Function of the module; see its docstring. */
PyObject *pg_no_requests(PyObject *module, PyObject *unused);

/* Makes it known, once for each section, that one has held off work of this age for too long: the
 * runtime's kick asks if there is something to report; then the executor reports it. The first:
 * any thread; the second: attached. */
bool pg_section_is_overdue(uint64_t age);
void pg_section_report(void);

#endif
