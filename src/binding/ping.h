/* The conduit's raw round trip, for benchmarks: an active message that is answered in its handler.
 */
#ifndef PYGAS_BINDING_PING_H
#define PYGAS_BINDING_PING_H

#include "state.h"

/* Sleeps; detached. */
void pg_pause(uint64_t nanoseconds);

/* A list of `count` numbers: nanoseconds in seconds. NULL with an exception. */
PyObject *pg_seconds_list(const uint64_t *elapsed, Py_ssize_t count);

/* Function of the module; see its docstring. */
PyObject *pg_ping(PyObject *module, PyObject *args);

/* The handler of pings and of their answers. */
void pg_ping_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
