/* The Python type of Futures: methods and memory. What they do is in future.c. */
#include "compat.h"
#include "giveback.h"
#include "wait.h"

#include <stddef.h>
#include <structmember.h>

static PyObject *Future_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)) {
        PyErr_SetString(PyExc_TypeError, "Future() takes no arguments");
        return NULL;
    }
    return pg_future_new(NULL);
}

static int Future_traverse(PyObject *self, visitproc visit, void *arg)
{
    pg_future_t *future = (pg_future_t *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(future->value);
    Py_VISIT(future->exception);
    Py_VISIT(future->giver);
    if (pg_deferred_traverse(future->deferred, visit, arg) != 0)
        return -1;
    return pg_callbacks_traverse(&future->callbacks, visit, arg);
}

static int Future_clear(PyObject *self)
{
    pg_future_t *future = (pg_future_t *)self;

    Py_CLEAR(future->value);
    Py_CLEAR(future->exception);
    Py_CLEAR(future->giver);
    pg_callbacks_clear(&future->callbacks);
    return 0;
}

static void Future_finalize(PyObject *self)
{
    pg_future_t *future = (pg_future_t *)self;
    PyObject *pending;

    pg_give_back(future, true);
    if (!pg_future_is_settled(future) || future->exception == NULL ||
        atomic_exchange(&future->retrieved, true))
        return;
    pending = PyErr_GetRaisedException();
    pg_future_report(Py_NewRef(future->exception), future->call != NULL ? future->call->owner : -1);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

static void Future_dealloc(PyObject *self)
{
    pg_future_t *future = (pg_future_t *)self;
    PyTypeObject *type = Py_TYPE(self);

    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    /* A chain of then() is as long as the program likes. */
    Py_TRASHCAN_BEGIN(self, Future_dealloc);
    if (future->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    pg_deferred_dropped(future->deferred);
    Future_clear(self);
    if (future->call != NULL) {
        if (atomic_load(&future->taking) != PG_UNSEEN)
            pg_call_keep(future->call); /* it was seen, so it has arrived */
        if (pg_future_is_settled(future))
            pg_call_unref(future->call);
        else
            pg_call_abandon(future->call);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Waits until it is settled, with Python's timeout; TimeoutError if that is over. */
static int settle_within(pg_future_t *future, PyObject *timeout)
{
    uint64_t deadline;
    int outcome;

    if (pg_deadline(timeout, &deadline) < 0)
        return -1;
    outcome = pg_future_settle(future, deadline);
    if (outcome == 0 && future->call != NULL)
        PyErr_Format(PyExc_TimeoutError, "rank %d has not answered within %S s",
                     future->call->owner, timeout);
    else if (outcome == 0)
        PyErr_Format(PyExc_TimeoutError, "the Future has not been settled within %S s", timeout);
    if (outcome > 0 && future->cancelled) {
        pg_future_raise("CancelledError", NULL);
        return -1;
    }
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
    "Requests to this rank run meanwhile; any number of threads may wait.\n\n"
    "Parameters\n"
    "----------\n"
    "timeout : float, optional\n"
    "    Seconds to wait at most. The request goes on, and result() may be called again.\n\n"
    "Raises\n"
    "------\n"
    "Exception\n"
    "    What the request raised, with the remote traceback as a note.\n"
    "TimeoutError\n"
    "    If it is not done in time.\n"
    "concurrent.futures.CancelledError\n"
    "    If it was cancelled.\n"
    "RuntimeError\n"
    "    If it is not done and never will be: the job is over, or this is a forked child.");

static PyObject *Future_result(PyObject *self, PyObject *args, PyObject *kwargs)
{
    pg_future_t *future = (pg_future_t *)self;
    PyObject *timeout;

    if (parse_timeout(args, kwargs, "|O:result", &timeout) < 0 ||
        settle_within(future, timeout) < 0)
        return NULL;
    return pg_future_outcome(future);
}

PyDoc_STRVAR(exception_doc,
             "exception($self, /, timeout=None)\n--\n\n"
             "Wait like result() and return the exception that the request raised, or None.\n\n"
             "Raises\n"
             "------\n"
             "TimeoutError, concurrent.futures.CancelledError, RuntimeError\n"
             "    As result().");

static PyObject *Future_exception(PyObject *self, PyObject *args, PyObject *kwargs)
{
    pg_future_t *future = (pg_future_t *)self;
    PyObject *timeout;

    if (parse_timeout(args, kwargs, "|O:exception", &timeout) < 0 ||
        settle_within(future, timeout) < 0)
        return NULL;
    pg_future_seen(future);
    if (future->exception == NULL)
        Py_RETURN_NONE;
    atomic_store(&future->retrieved, true);
    return Py_NewRef(future->exception);
}

PyDoc_STRVAR(done_doc, "done($self, /)\n--\n\n"
                       "True if the outcome is there, so that result() does not wait for the peer."
                       "\n\nDoes not block. A cancelled Future is done.");

static PyObject *Future_done(PyObject *self, PyObject *unused)
{
    pg_completion_t *completion = pg_future_completion((pg_future_t *)self);

    (void)unused;
    if (!pg_completion_is_done(completion) && completion != &((pg_future_t *)self)->settled) {
        if (pg_enter() < 0)
            return NULL;
        gas_wait(pg.job, NULL, gas_clock_now(), GAS_WAIT_BRIEFLY);
        pg_leave();
    }
    if (!pg_completion_is_done(completion))
        Py_RETURN_FALSE;
    pg_future_seen((pg_future_t *)self);
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(cancelled_doc, "cancelled($self, /)\n--\n\n"
                            "True if it was cancelled before it began. Does not block.");

static PyObject *Future_cancelled(PyObject *self, PyObject *unused)
{
    pg_future_t *future = (pg_future_t *)self;

    (void)unused;
    if (!pg_future_is_settled(future) && pg_completion_is_done(pg_future_completion(future)) &&
        pg_future_settle(future, GAS_FOREVER) < 0)
        return NULL;
    return PyBool_FromLong(pg_future_is_settled(future) && future->cancelled);
}

PyDoc_STRVAR(
    cancel_doc,
    "cancel($self, /, *, wait=True)\n--\n\n"
    "Cancel the request unless its owner has started it; return whether it is cancelled.\n\n"
    "The owner answers without Python, whatever its program does: this blocks for one round\n"
    "trip, in which requests to this rank run. A request that runs is not interrupted. One that\n"
    "has returned a Future or coroutine (docs/synchronization.md) passes it on to that, when\n"
    "the owner runs the next request.\n\n"
    "While the owner runs it, this is false; if the request then returns a Future or coroutine,\n"
    "that is cancelled, and so is this Future after all. If it runs a `pygas.deferred` function,\n"
    "which returns soon, this blocks until then and the answer is final.\n\n"
    "Parameters\n"
    "----------\n"
    "wait : bool, default True\n"
    "    If false, only ask, and return whether it is cancelled already; whether the owner\n"
    "    agreed is known when the Future is done.\n\n"
    "Raises\n"
    "------\n"
    "RuntimeError\n"
    "    If it is not done and the job is over, or this is a forked child.");

static PyObject *Future_cancel(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"wait", NULL};
    int wait = true, cancelled;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:cancel", names, &wait))
        return NULL;
    cancelled = pg_future_cancel((pg_future_t *)self, wait);
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}

PyDoc_STRVAR(
    running_doc,
    "running($self, /)\n--\n\n"
    "True if it was made by hand and set_running_or_notify_cancel() was called, but it has\n"
    "no outcome yet. Does not block.");

static PyObject *Future_running(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(pg_future_is_running((pg_future_t *)self));
}

PyDoc_STRVAR(
    begin_doc,
    "set_running_or_notify_cancel($self, /)\n--\n\n"
    "Decide that a Future made by hand will be settled: True, and cancel() is too late from\n"
    "now on. False if it has been cancelled. So who has something to give away once can\n"
    "first make sure of its taker. Does not block and calls no callbacks.\n\n"
    "Raises\n"
    "------\n"
    "concurrent.futures.InvalidStateError\n"
    "    If it is running or settled, or is the reply to a request.");

static PyObject *Future_begin(PyObject *self, PyObject *unused)
{
    int begun = pg_future_begin((pg_future_t *)self);

    (void)unused;
    return begun < 0 ? NULL : PyBool_FromLong(begun);
}

PyDoc_STRVAR(set_result_doc,
             "set_result($self, result, /)\n--\n\n"
             "Settle a Future that was made by hand, and call its callbacks. Does not block.\n\n"
             "Raises\n"
             "------\n"
             "concurrent.futures.InvalidStateError\n"
             "    If it is settled, or is the reply to a request.");

static PyObject *Future_set_result(PyObject *self, PyObject *result)
{
    return pg_future_set((pg_future_t *)self, result, NULL) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(set_exception_doc, "set_exception($self, exception, /)\n--\n\n"
                                "Like set_result(), with an exception that result() raises.");

static PyObject *Future_set_exception(PyObject *self, PyObject *exception)
{
    if (!PyExceptionInstance_Check(exception))
        return PyErr_Format(PyExc_TypeError, "an exception is needed, not a %.200s",
                            Py_TYPE(exception)->tp_name);
    return pg_future_set((pg_future_t *)self, NULL, exception) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    add_done_callback_doc,
    "add_done_callback($self, fn, /)\n--\n\n"
    "Call ``fn(future)`` once when the Future is done: now if it is, else when it will be.\n\n"
    "Then it runs like a request to this rank, between those, in whichever thread runs them; or\n"
    "in the thread that settles it. Callbacks are called in the order in which they were added.\n"
    "What one raises goes to ``sys.unraisablehook``. A Future with callbacks lives until its\n"
    "reply is there. At the end of the job what has not been answered fails. Does not block.\n\n"
    "Raises\n"
    "------\n"
    "RuntimeError\n"
    "    If it is not done and the job is over, or this is a forked child.");

static PyObject *Future_add_done_callback(PyObject *self, PyObject *function)
{
    if (!PyCallable_Check(function))
        return PyErr_Format(PyExc_TypeError, "a callable is needed, not a %.200s",
                            Py_TYPE(function)->tp_name);
    return pg_future_add_callback((pg_future_t *)self, function) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    then_doc,
    "then($self, fn, /)\n--\n\n"
    "Return a Future of ``fn(result)``; `fn` is called as add_done_callback() calls it.\n\n"
    "If this Future fails or is cancelled, so is the new one, and `fn` is not called. If `fn`\n"
    "returns a Future, the new one stands for that one's result. Cancelling the new one keeps\n"
    "`fn` from being called and leaves this one alone. Does not block.");

static PyObject *Future_then(PyObject *self, PyObject *function)
{
    PyObject *half = pg_future_half();

    if (half == NULL)
        return NULL;
    if (!PyCallable_Check(function))
        return PyErr_Format(PyExc_TypeError, "a callable is needed, not a %.200s",
                            Py_TYPE(function)->tp_name);
    return PyObject_CallMethod(half, "_then", "OO", self, function);
}

static PyObject *Future_await(PyObject *self)
{
    PyObject *half = pg_future_half();

    return half != NULL ? PyObject_CallMethod(half, "_await", "O", self) : NULL;
}

static const char *state_name(pg_future_t *future)
{
    if (!pg_completion_is_done(pg_future_completion(future)))
        return "pending";
    if (!pg_future_is_settled(future))
        return "done";
    return future->cancelled ? "cancelled" : future->exception != NULL ? "failed" : "done";
}

static PyObject *Future_repr(PyObject *self)
{
    pg_future_t *future = (pg_future_t *)self;

    if (future->call == NULL)
        return PyUnicode_FromFormat("<pygas.Future at %p, %s>", self, state_name(future));
    return PyUnicode_FromFormat("<pygas.Future from rank %d, %s>", future->call->owner,
                                state_name(future));
}

static PyMethodDef Future_methods[] = {
    {"result", (PyCFunction)(void (*)(void))Future_result, METH_VARARGS | METH_KEYWORDS,
     result_doc},
    {"exception", (PyCFunction)(void (*)(void))Future_exception, METH_VARARGS | METH_KEYWORDS,
     exception_doc},
    {"done", Future_done, METH_NOARGS, done_doc},
    {"cancel", (PyCFunction)(void (*)(void))Future_cancel, METH_VARARGS | METH_KEYWORDS,
     cancel_doc},
    {"cancelled", Future_cancelled, METH_NOARGS, cancelled_doc},
    {"running", Future_running, METH_NOARGS, running_doc},
    {"set_running_or_notify_cancel", Future_begin, METH_NOARGS, begin_doc},
    {"set_result", Future_set_result, METH_O, set_result_doc},
    {"set_exception", Future_set_exception, METH_O, set_exception_doc},
    {"add_done_callback", Future_add_done_callback, METH_O, add_done_callback_doc},
    {"then", Future_then, METH_O, then_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("Future[T]: a future whose result is a T.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Future_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pg_future_t, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(future_doc,
             "Future()\n--\n\n"
             "A result that is not there yet.\n\n"
             "That of a request whose caller did not wait; or one made by hand, which somebody\n"
             "settles with set_result() or set_exception(). Used like a\n"
             "concurrent.futures.Future, or awaited in an asyncio event loop of any thread (a\n"
             "cancelled one raises concurrent.futures.CancelledError there, too). One that\n"
             "failed and is dropped without having been asked is reported once through\n"
             "``sys.unraisablehook``; of all those that fail since a rank has failed the first\n"
             "one is, unless this rank knows of it.");

static PyType_Slot Future_slots[] = {
    {Py_tp_doc, (void *)future_doc},
    {Py_tp_new, Future_new},
    {Py_tp_traverse, Future_traverse},
    {Py_tp_clear, Future_clear},
    {Py_tp_finalize, Future_finalize},
    {Py_tp_dealloc, Future_dealloc},
    {Py_tp_repr, Future_repr},
    {Py_am_await, Future_await},
    {Py_tp_methods, Future_methods},
    {Py_tp_members, Future_members},
    {0, NULL},
};

static PyType_Spec Future_spec = {
    .name = "pygas.Future",
    .basicsize = sizeof(pg_future_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Future_slots,
};

PyTypeObject *pg_future_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Future_spec, NULL);
}
