/*
 * What the binding's files share: the one job of this process.
 *
 * Threads. A thread is "attached" when it may touch Python objects (it holds the interpreter lock
 * or, in a free-threaded build, has an attached thread state). Functions in the binding are called
 * attached unless they say otherwise; handlers of active messages never are, and never attach.
 *
 * Lock order: interpreter lock > the job's conduit lock > leaves (calls, exports, imports, work
 * queue).
 */
#ifndef PYGAS_BINDING_STATE_H
#define PYGAS_BINDING_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gas/gas.h"

/* Handler ids of the binding. */
#define PG_HANDLER_REQUEST (GAS_HANDLER_USER + 0)
#define PG_HANDLER_REPLY (GAS_HANDLER_USER + 1)
#define PG_HANDLER_CANCEL (GAS_HANDLER_USER + 2)
#define PG_HANDLER_REFUSED (GAS_HANDLER_USER + 3)
#define PG_HANDLER_PING (GAS_HANDLER_USER + 4)
#define PG_HANDLER_BLOCKED (GAS_HANDLER_USER + 5)
#define PG_HANDLER_RELEASE (GAS_HANDLER_USER + 6)
#define PG_HANDLER_WEIGHT_ASK (GAS_HANDLER_USER + 7)
#define PG_HANDLER_WEIGHT (GAS_HANDLER_USER + 8)
#define PG_HANDLER_RECOUNT (GAS_HANDLER_USER + 9)

typedef enum pg_phase {
    PG_BEFORE, /* the job has not been started */
    PG_STARTING,
    PG_RUNNING,
    PG_ENDED, /* over, or it could not be started */
    PG_FORKED /* a forked child of a rank, which is not part of the job */
} pg_phase_t;

typedef struct pg_state {
    atomic_int phase; /* a pg_phase_t */
    gas_job_t
        *job; /* valid while RUNNING; in a forked child it is the parent's: not to be touched */
    uint64_t job_key; /* the same on all ranks of a job, different in others */
    int rank;
    int size;
    atomic_bool ending; /* this rank has finished its program, and serves the others */
    atomic_uint users;  /* threads between pg_enter() and pg_leave() */
    PyTypeObject *proxy_type;
    PyTypeObject *method_type;
    PyTypeObject *future_type;
    PyTypeObject *encoded_type;
    PyTypeObject *completions_type;
    PyTypeObject *landing_type;
    PyTypeObject *members_type;
    PyTypeObject *notified_type;
    PyTypeObject *exchange_type;
    PyTypeObject *section_type;
    PyTypeObject *deferred_type;
    PyTypeObject *scan_type;
    atomic_bool deferred_used; /* there is something of that type */
    PyObject *errors;          /* the module pygas.errors */
    PyObject *protocol_error;  /* ProtocolError in it */
} pg_state_t;

extern pg_state_t pg;

/* 0 if the job runs, starting it if it has not been started; else -1 with an exception that says
 * why nothing can be done here. Every operation begins with it. */
int pg_require_job(void);

/*
 * Around everything that uses pg.job: the job is not taken down until pg_leave(). pg_enter() is
 * pg_require_job() and the same exceptions. Both nest; the executor and the waits do it too.
 */
int pg_enter(void);
void pg_leave(void);

/* The same for what is not to be done without the job: false, and nothing to leave, if it does not
 * run. Starts nothing, sets no exception. Any thread, attached or not. */
bool pg_enter_if_running(void);

/* Has the progress thread come round soon; nothing if the job does not run. Any thread, attached or
 * not, without the locks of the tables. */
void pg_hurry(void);

/* module.c's helpers to make the types; each returns a new heap type. */
PyTypeObject *pg_proxy_type_create(PyObject *module);
PyTypeObject *pg_method_type_create(PyObject *module);
PyTypeObject *pg_future_type_create(PyObject *module);
PyTypeObject *pg_encoded_type_create(PyObject *module);
PyTypeObject *pg_completions_type_create(PyObject *module);
PyTypeObject *pg_deferred_type_create(PyObject *module);
PyTypeObject *pg_scan_type_create(PyObject *module);

#endif
