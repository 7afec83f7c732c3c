/*
 * Design notes. The section is the gate of the runtime (gas/gate.h), closed; everything else here
 * is for the report that one takes too long while requests wait: in whose thread (`ident`) and if
 * it was reported. These are written by the holder, under the gate, and read by the reporter, which
 * may be late by a section; then the report is wrong by that much, and harmless.
 *
 * The reporter is the executor, since the holder may be waiting for ever for something that needs
 * the requests it holds off; if the executor is the holder itself, the report is made at the end.
 */
#include "section.h"

#include "compat.h"
#include "settle.h"

#define RETRY_NS GAS_WAIT_SIGNALS

static struct {
    atomic_ulong ident; /* of the thread that holds the section */
    atomic_bool reported;
} section;

static uint64_t limit_ns(void)
{
    return pg.job->config.section_warn_ms * 1000000u;
}

bool pg_section_is_overdue(uint64_t age)
{
    return limit_ns() > 0 && age >= limit_ns() && gas_gate_holder(&pg.job->gate) != NULL &&
           !atomic_load(&section.reported);
}

void pg_section_report(void)
{
    uint64_t age;
    size_t queued = gas_work_queued(pg.job, &age);
    PyObject *module, *done;

    if (!pg_section_is_overdue(age) || atomic_exchange(&section.reported, true))
        return;
    module = PyImport_ImportModule("pygas._sections");
    done = module != NULL
               ? PyObject_CallMethod(module, "report", "kdn", atomic_load(&section.ident),
                                     (double)age * 1e-9, (Py_ssize_t)queued)
               : NULL;
    if (done == NULL)
        pg_unraisable("while reporting that no_requests() takes long");
    Py_XDECREF(module);
    Py_XDECREF(done);
}

/* Waits for its turn. 0, or -1 with the exception of a signal handler. */
static int hold_waiting(void)
{
    bool held = false;

    while (!held) {
        Py_BEGIN_ALLOW_THREADS held = gas_work_hold(pg.job, gas_clock_now() + RETRY_NS);
        Py_END_ALLOW_THREADS if (!held &&
                                 (PyErr_CheckSignals() != 0 || pg_require_job() < 0)) return -1;
    }
    return 0;
}

static PyObject *Section_enter(PyObject *self, PyObject *unused)
{
    int failed = 0;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    if (!gas_work_hold(pg.job, 0))
        failed = hold_waiting();
    if (!failed && pg.job->gate.nesting == 1) {
        atomic_store(&section.ident, PyThread_get_thread_ident());
        atomic_store(&section.reported, false);
    }
    /* The body may change what results that are on their way refer to. */
    if (!failed && pg.job->gate.nesting == 1 && pg_settle() < 0) {
        gas_work_release(pg.job);
        failed = -1;
    }
    pg_leave();
    return failed < 0 ? NULL : Py_NewRef(self);
}

static PyObject *Section_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *result = Py_None;

    (void)self;
    (void)args;
    (void)count;
    if (!pg_enter_if_running())
        Py_RETURN_NONE; /* the job has ended within the section, or this is a forked child */
    if (!gas_work_is_holding(pg.job)) {
        PyErr_SetString(PyExc_RuntimeError, "this thread is in no section of no_requests()");
        result = NULL;
    } else {
        uint64_t age;

        if (pg.job->gate.nesting == 1 && atomic_load(&pg.job->workq.count) > 0 &&
            gas_work_queued(pg.job, &age) > 0 && pg_section_is_overdue(age)) {
            PyObject *pending = PyErr_GetRaisedException();

            pg_section_report();
            if (pending != NULL)
                PyErr_SetRaisedException(pending);
        }
        gas_work_release(pg.job);
    }
    pg_leave();
    return Py_XNewRef(result);
}

static PyMethodDef Section_methods[] = {
    {"__enter__", Section_enter, METH_NOARGS, PyDoc_STR("Begin the section.")},
    {"__exit__", (PyCFunction)(void (*)(void))Section_exit, METH_FASTCALL,
     PyDoc_STR("End the section.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Section_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("What no_requests() returns.")},
    {Py_tp_methods, Section_methods},
    {0, NULL},
};

static PyType_Spec Section_spec = {
    .name = "pygas._core.Section",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Section_slots,
};

PyTypeObject *pg_section_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Section_spec, NULL);
}

PyObject *pg_no_requests(PyObject *module, PyObject *unused)
{
    static _Atomic(PyObject *) kept;
    PyObject *only = pg_kept(&kept); /* it has no state of its own */

    (void)module;
    (void)unused;
    if (only == NULL)
        only = pg_keep(&kept, PyType_GenericAlloc(pg.section_type, 0));
    return Py_XNewRef(only);
}
