/* The machine's own wake-up round trip, for benchmarks: two processes, each asleep in epoll. */
#ifndef PYGAS_BINDING_WAKEUP_H
#define PYGAS_BINDING_WAKEUP_H

#include "state.h"

/* Functions of the module; see their docstrings. */
PyObject *pg_wakeup_ask(PyObject *module, PyObject *args);
PyObject *pg_wakeup_answer(PyObject *module, PyObject *args);

#endif
