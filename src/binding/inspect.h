/* Functions of the module that look into the job: what is shared, what has been sent. */
#ifndef PYGAS_BINDING_INSPECT_H
#define PYGAS_BINDING_INSPECT_H

#include "state.h"

/* How many messages by which the ranks' objects are connected this rank has exchanged: requests,
 * replies, weight. Weight that has been dropped here and is not on its way home yet is one that was
 * sent and has not come. */
typedef struct pg_flow_count {
    uint64_t sent, received;
} pg_flow_count_t;

pg_flow_count_t pg_flow_now(void);

PyObject *pg_counts(PyObject *module, PyObject *unused);
PyObject *pg_numbers(PyObject *module, PyObject *unused);
PyObject *pg_release(PyObject *module, PyObject *unused);
PyObject *pg_exported(PyObject *module, PyObject *unused);
PyObject *pg_imported(PyObject *module, PyObject *unused);
PyObject *pg_traffic(PyObject *module, PyObject *unused);
PyObject *pg_hold(PyObject *module, PyObject *on);
PyObject *pg_flow(PyObject *module, PyObject *unused);
PyObject *pg_recounted(PyObject *module, PyObject *unused);
PyObject *pg_trace_exports(PyObject *module, PyObject *where);

#endif
