/*
 * Design notes. An event has one waiter, a Future any number of threads: the first that asks
 * becomes the leader (`led`), who waits for the event; the others look in every millisecond. Who
 * sees the reply first decodes it. That need not be the leader: it may be running a request
 * meanwhile which asks for the same Future, on the same thread, and cannot go on before that is
 * done.
 */
#include "future.h"

#include "compat.h"
#include "wait.h"

#define FOLLOW_NS 1000000u

typedef struct future {
    PyObject_HEAD pg_call_t *call;
    PyObject *value;         /* once settled without an exception */
    PyObject *exception;     /* once settled with one */
    atomic_bool settled;     /* one of the two is there */
    atomic_bool led;         /* a thread waits for the event */
    _Atomic(void *) decoder; /* token of the thread that decodes or has decoded; NULL: none */
} future_t;

PyObject *pg_future_new(pg_call_t *call)
{
    future_t *future = PyObject_GC_New(future_t, pg.future_type);

    if (future == NULL) {
        pg_call_unref(call);
        return NULL;
    }
    future->call = call;
    future->value = future->exception = NULL;
    atomic_init(&future->settled, false);
    atomic_init(&future->led, false);
    atomic_init(&future->decoder, NULL);
    PyObject_GC_Track(future);
    return (PyObject *)future;
}

static int Future_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((future_t *)self)->value);
    Py_VISIT(((future_t *)self)->exception);
    return 0;
}

static int Future_clear(PyObject *self)
{
    Py_CLEAR(((future_t *)self)->value);
    Py_CLEAR(((future_t *)self)->exception);
    return 0;
}

static void Future_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Future_clear(self);
    pg_call_unref(((future_t *)self)->call);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Decodes the reply, which is there, unless another thread is at it. 0 or -1 with an exception. */
static int decode(future_t *future)
{
    void *decoder = NULL;

    if (atomic_compare_exchange_strong(&future->decoder, &decoder, gas_work_token())) {
        future->value = pg_call_result(future->call, NULL);
        if (future->value == NULL)
            future->exception = PyErr_GetRaisedException();
        atomic_store(&future->settled, true);
        return 0;
    }
    if (decoder == gas_work_token() && !atomic_load(&future->settled)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the result of this Future is needed while it is being decoded");
        return -1;
    }
    return 0;
}

/* Waits a while for the event. 1: it may be set; 0: the deadline passed; -1: an exception. */
static int await_event(future_t *future, uint64_t deadline)
{
    uint64_t next = gas_clock_now() + FOLLOW_NS;
    bool free = false;
    int outcome;

    if (!gas_event_is_set(&future->call->event) &&
        atomic_compare_exchange_strong(&future->led, &free, true)) {
        outcome = pg_wait(&future->call->event, deadline);
        atomic_store(&future->led, false);
        return outcome;
    }
    outcome = pg_wait(NULL, next < deadline ? next : deadline);
    if (outcome == 0)
        outcome = gas_clock_left(deadline) > 0;
    return outcome;
}

/* Waits until the future is settled. 1: it is; 0: the deadline passed; -1: an exception that is not
 * the request's own. */
static int settle(future_t *future, uint64_t deadline)
{
    while (!atomic_load(&future->settled)) {
        int outcome;

        if (gas_event_is_set(&future->call->event)) {
            if (decode(future) < 0)
                return -1;
            if (atomic_load(&future->settled))
                break;
        }
        outcome = await_event(future, deadline);
        if (outcome < 0)
            return -1;
        if (outcome == 0)
            return atomic_load(&future->settled);
    }
    return 1;
}

/* settle(), with Python's timeout; TimeoutError if that is over. */
static int settle_within(future_t *future, PyObject *timeout)
{
    uint64_t deadline;
    int outcome;

    if (pg_deadline(timeout, &deadline) < 0)
        return -1;
    if (atomic_load(&future->settled))
        return 0;
    if (pg_enter() < 0)
        return -1;
    outcome = settle(future, deadline);
    pg_leave();
    if (outcome == 0)
        PyErr_Format(PyExc_TimeoutError, "rank %d has not answered within %S s",
                     future->call->owner, timeout);
    return outcome > 0 ? 0 : -1;
}

static int parse_timeout(PyObject *args, PyObject *kwargs, const char *format, PyObject **timeout)
{
    static char *names[] = {"timeout", NULL};

    *timeout = Py_None;
    return PyArg_ParseTupleAndKeywords(args, kwargs, format, names, timeout) ? 0 : -1;
}

PyDoc_STRVAR(
    result_doc,
    "result($self, /, timeout=None)\n--\n\n"
    "Wait for the result and return it; raise what the request raised.\n\n"
    "Requests to this rank run meanwhile. TimeoutError after `timeout` seconds; the request\n"
    "goes on, and result() may be called again.");

static PyObject *Future_result(PyObject *self, PyObject *args, PyObject *kwargs)
{
    future_t *future = (future_t *)self;
    PyObject *timeout;

    if (parse_timeout(args, kwargs, "|O:result", &timeout) < 0 ||
        settle_within(future, timeout) < 0)
        return NULL;
    if (future->exception != NULL) {
        PyErr_SetRaisedException(Py_NewRef(future->exception));
        return NULL;
    }
    return Py_NewRef(future->value);
}

PyDoc_STRVAR(exception_doc,
             "exception($self, /, timeout=None)\n--\n\n"
             "Wait like result() and return the exception that the request raised, or None.");

static PyObject *Future_exception(PyObject *self, PyObject *args, PyObject *kwargs)
{
    future_t *future = (future_t *)self;
    PyObject *timeout;

    if (parse_timeout(args, kwargs, "|O:exception", &timeout) < 0 ||
        settle_within(future, timeout) < 0)
        return NULL;
    return Py_NewRef(future->exception != NULL ? future->exception : Py_None);
}

PyDoc_STRVAR(done_doc,
             "done($self, /)\n--\n\n"
             "True if the reply is there, so that result() does not wait for the peer.\n\n"
             "Does not block.");

static PyObject *Future_done(PyObject *self, PyObject *unused)
{
    future_t *future = (future_t *)self;

    (void)unused;
    if (!atomic_load(&future->settled) && !gas_event_is_set(&future->call->event)) {
        if (pg_enter() < 0)
            return NULL;
        gas_wait(pg.job, &future->call->event, gas_clock_now(), GAS_WAIT_BRIEFLY);
        pg_leave();
    }
    return PyBool_FromLong(atomic_load(&future->settled) || gas_event_is_set(&future->call->event));
}

static PyObject *Future_repr(PyObject *self)
{
    future_t *future = (future_t *)self;

    return PyUnicode_FromFormat("<pygas.Future from rank %d, %s>", future->call->owner,
                                gas_event_is_set(&future->call->event) ? "done" : "pending");
}

static PyMethodDef Future_methods[] = {
    {"result", (PyCFunction)(void (*)(void))Future_result, METH_VARARGS | METH_KEYWORDS,
     result_doc},
    {"exception", (PyCFunction)(void (*)(void))Future_exception, METH_VARARGS | METH_KEYWORDS,
     exception_doc},
    {"done", Future_done, METH_NOARGS, done_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("Future[T]: a future whose result is a T.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Future_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The result of a request that its caller did not wait for.")},
    {Py_tp_traverse, Future_traverse},
    {Py_tp_clear, Future_clear},
    {Py_tp_dealloc, Future_dealloc},
    {Py_tp_repr, Future_repr},
    {Py_tp_methods, Future_methods},
    {0, NULL},
};

static PyType_Spec Future_spec = {
    .name = "pygas.Future",
    .basicsize = sizeof(future_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Future_slots,
};

PyTypeObject *pg_future_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Future_spec, NULL);
}
