/*
 * Design notes. A reply that is owed hangs on its Future: a list of them, beside the callbacks and
 * under the same rules (future.c), which the thread that settles the Future takes and sends. A list
 * of its own instead of callbacks, since a callback holds its Future: a Future that nobody can
 * settle any more must go away at once, for its callers wait. Its finalizer then queues an error
 * for them.
 *
 * While a reply is owed, the caller can cancel it: it is in the table of cancel.c, whose handler
 * queues `cancel`, and that asks the Future. If the request was asked to be cancelled while it ran,
 * `cancel` is queued when it has left the Future. Who wins, the cancelling or somebody who settles
 * it, is decided in one place, where the Future's settler is claimed; so nothing is handed to a
 * caller that was told of a cancelling. `cancel` has a reference of its own to the pg_deferred_t;
 * it finds the Future by a weak reference, as that may go away at any time.
 *
 * A reply to a request on an object of a home (affinity.h) may be sent by any thread, but the
 * object is let go of on its own, and what cannot be copied of the result belongs there, too. The
 * callbacks of a coroutine that such a request has started are pushed there (pygas/_loop.py).
 *
 * At the end of the job replies that are still owed are forgotten: their callers are told by their
 * own rank that the job is over.
 */
#include "deferred.h"

#include "affinity.h"
#include "blocked.h"
#include "compat.h"
#include "giveback.h"
#include "proxy.h"
#include "request.h"

#include <stddef.h>

#define OF_MEMBER(work, member)                                                                    \
    ((pg_deferred_t *)((char *)(work) - offsetof(pg_deferred_t, member)))

struct pg_deferred {
    pg_deferred_t *next;    /* of the Future's list */
    atomic_int references;  /* the list's, and that of `cancel` while it is queued */
    pg_request_head_t head; /* constant, as are the next three */
    int source;             /* whose request it is */
    PyObject *object;       /* on which it was, or NULL */
    gas_home_t *home;       /* where that belongs, a reference; or NULL */
    PyObject *future;       /* a weak reference */
    pg_cancellable_t cancellable;
    gas_work_t cancel; /* asks the Future to be cancelled */
    gas_work_t broken; /* tells the caller that there will be no result */
};

static void unref(pg_deferred_t *deferred)
{
    if (atomic_fetch_sub(&deferred->references, 1) > 1)
        return;
    if (deferred->object != NULL)
        pg_home_drop(deferred->home, deferred->object);
    gas_home_unref(deferred->home);
    Py_XDECREF(deferred->future);
    PyMem_Free(deferred);
}

/* The work of cancel.c's handler. */
static void cancel_run(gas_work_t *work)
{
    pg_deferred_t *deferred = OF_MEMBER(work, cancel);
    PyObject *pending = PyErr_GetRaisedException(); /* as in call.c */
    PyObject *future;

    if (PyWeakref_GetRef(deferred->future, &future) > 0 && atomic_load(&pg.phase) == PG_RUNNING) {
        int cancelled = pg_future_cancel((pg_future_t *)future, false);

        if (cancelled < 0)
            PyErr_WriteUnraisable(future);
        if (cancelled <= 0)
            pg_cancel_refuse(pg.job, deferred->source, deferred->head.call);
    }
    Py_XDECREF(future);
    unref(deferred);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

/* Not attached, under the lock of cancel.c; or for a new one. */
static gas_work_t *ask(pg_cancellable_t *cancellable)
{
    pg_deferred_t *deferred = OF_MEMBER(cancellable, cancellable);

    atomic_fetch_add(&deferred->references, 1);
    return &deferred->cancel;
}

static void broken_run(gas_work_t *work)
{
    pg_deferred_t *deferred = OF_MEMBER(work, broken);
    PyObject *pending = PyErr_GetRaisedException();

    if (atomic_load(&pg.phase) == PG_RUNNING) {
        PyErr_Format(PyExc_RuntimeError,
                     "this request returned a Future on rank %d, which was dropped there before it "
                     "had a result: whoever is to settle it has to keep it",
                     pg.rank);
        pg_request_reply(deferred->source, &deferred->head, deferred->object, NULL, false);
    }
    unref(deferred);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

static pg_deferred_t *create(int source, const pg_request_head_t *head, pg_cancellable_t *running,
                             PyObject *object, pg_future_t *future)
{
    pg_deferred_t *deferred = PyMem_Calloc(1, sizeof(*deferred));

    if (deferred == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    deferred->future = PyWeakref_NewRef((PyObject *)future, NULL);
    if (deferred->future == NULL) {
        PyMem_Free(deferred);
        return NULL;
    }
    atomic_init(&deferred->references, 1);
    deferred->head = *head;
    deferred->source = source;
    deferred->object = Py_XNewRef(object);
    deferred->home = gas_home_ref(pg_home_of_results());
    deferred->cancel = (gas_work_t){.run = cancel_run, .depth = GAS_WORK_NOTICE};
    deferred->broken = (gas_work_t){.run = broken_run, .depth = GAS_WORK_NOTICE};
    deferred->cancellable.ask = ask;
    if (pg_cancellable_owe(running, &deferred->cancellable, source, head->call))
        gas_work_push(pg.job, ask(&deferred->cancellable));
    return deferred;
}

/* What the settled Future says is the reply. Sets no exception. */
static void reply(int source, const pg_request_head_t *head, PyObject *object, pg_future_t *future)
{
    if (!pg_enter_if_running())
        return;
    if (future->cancelled) {
        pg_cancel_confirm(pg.job, source, head->call);
    } else if (future->exception != NULL) {
        atomic_store(&future->retrieved, true);
        PyErr_SetRaisedException(Py_NewRef(future->exception));
        pg_request_reply(source, head, object, NULL, false);
    } else {
        bool returnable = future->giver != NULL && future->giver == object;
        bool sent = pg_request_reply(source, head, object, future->value, returnable);

        atomic_store(&future->taking, sent ? PG_TAKEN : PG_UNSEEN);
        if (!sent)
            pg_give_back(future, true);
    }
    pg_leave();
}

void pg_deferred_settled(pg_deferred_t *list, pg_future_t *future)
{
    PyObject *pending = list != NULL ? PyErr_GetRaisedException() : NULL;
    gas_home_t *outer;

    while (list != NULL) {
        pg_deferred_t *deferred = list;

        list = deferred->next;
        pg_cancellable_end(&deferred->cancellable); /* it cannot be cancelled any more */
        outer = pg_home_set_of_results(deferred->home);
        reply(deferred->source, &deferred->head, deferred->object, future);
        pg_home_set_of_results(outer);
        unref(deferred);
    }
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

void pg_deferred_dropped(pg_deferred_t *list)
{
    while (list != NULL) {
        pg_deferred_t *deferred = list;

        list = deferred->next;
        pg_cancellable_end(&deferred->cancellable);
        if (pg_enter_if_running()) {
            gas_work_push(pg.job, &deferred->broken);
            pg_leave();
        } else {
            unref(deferred);
        }
    }
}

int pg_deferred_traverse(pg_deferred_t *list, visitproc visit, void *arg)
{
    for (pg_deferred_t *deferred = list; deferred != NULL; deferred = deferred->next)
        Py_VISIT(deferred->object);
    return 0;
}

/* ---- what is to be waited for ---- */

/* True for instances of concurrent.futures.Future, if that has been loaded at all. */
static bool is_concurrent(PyObject *object)
{
    static _Atomic(PyObject *) kept;
    PyObject *type = pg_kept(&kept);

    if (type == NULL) {
        PyObject *name = PyUnicode_FromString("concurrent.futures._base");
        PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;

        type = pg_keep(&kept, module != NULL ? PyObject_GetAttrString(module, "Future") : NULL);
        Py_XDECREF(name);
        Py_XDECREF(module);
        PyErr_Clear();
    }
    return type != NULL && PyType_Check(type) && PyObject_TypeCheck(object, (PyTypeObject *)type);
}

static bool is_awaited(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    if (type == pg.future_type)
        return true;
    if (type->tp_as_async != NULL && type->tp_as_async->am_await != NULL)
        return !PG_PROXY_CHECK(object);
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && is_concurrent(object);
}

bool pg_deferred_is(pg_op_t op, PyObject *object, PyObject *result)
{
    if (op != PG_OP_METHOD && op != PG_OP_FUNCTION && op != PG_OP_CALL && op != PG_OP_SPECIAL)
        return false;
    if (result == object) /* `await` of a Future, see pg_deferred_evaluate(); else it is a value */
        return op == PG_OP_SPECIAL && Py_IS_TYPE(result, pg.future_type);
    return is_awaited(result);
}

/* A Future with the outcome of `awaited`. A new reference, or NULL with an exception. */
static pg_future_t *as_future(PyObject *awaited)
{
    PyObject *module, *future;

    if (Py_IS_TYPE(awaited, pg.future_type))
        return (pg_future_t *)Py_NewRef(awaited);
    module = PyImport_ImportModule("pygas._deferred");
    future = module != NULL ? PyObject_CallMethod(module, "adopt", "O", awaited) : NULL;
    Py_XDECREF(module);
    return (pg_future_t *)future;
}

int pg_deferred_start(int source, const pg_request_head_t *head, pg_cancellable_t *running,
                      PyObject *object, PyObject *result)
{
    pg_future_t *future = as_future(result);
    pg_deferred_t *deferred;

    if (future == NULL)
        return -1;
    if (pg_future_is_settled(future)) {
        reply(source, head, object, future);
        Py_DECREF(future);
        return 0;
    }
    deferred = create(source, head, running, object, future);
    if (deferred != NULL)
        pg_future_add_deferred(future, deferred, &deferred->next);
    Py_DECREF(future);
    return deferred != NULL ? 0 : -1;
}

PyObject *pg_deferred_wait(PyObject *result)
{
    pg_future_t *future;

    if (result == NULL || !is_awaited(result))
        return result;
    future = as_future(result);
    Py_DECREF(result);
    if (future == NULL)
        return NULL;
    if (pg_future_settle(future, GAS_FOREVER) < 0) {
        PyObject *interruption = PyErr_GetRaisedException();

        /* If it is too late to cancel it, what it has goes back; what it will have, too, in its
         * finalizer. */
        if (pg_future_cancel(future, false) < 0)
            PyErr_Clear();
        pg_give_back(future, false);
        PyErr_SetRaisedException(interruption);
        result = NULL;
    } else {
        result = pg_future_outcome(future);
    }
    Py_DECREF(future);
    return result;
}

/* ---- evaluation ---- */

/* The function that a @pygas.deferred callable wraps, bound to what it is bound to; NULL if it is
 * none. A new reference. */
static PyObject *bare(PyObject *callable)
{
    if (PyMethod_Check(callable) && Py_IS_TYPE(PyMethod_GET_FUNCTION(callable), pg.deferred_type))
        return PyMethod_New(pg_deferred_function(PyMethod_GET_FUNCTION(callable)),
                            PyMethod_GET_SELF(callable));
    if (Py_IS_TYPE(callable, pg.deferred_type))
        return Py_NewRef(pg_deferred_function(callable));
    return NULL;
}

/* The same for a method, by its name. */
static PyObject *bare_method(PyObject *object, PyObject *text)
{
    PyObject *name, *found, *method = NULL;

    if (!PyUnicode_CheckExact(text) || !PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE))
        return NULL;
    name = Py_NewRef(text);
    PyUnicode_InternInPlace(&name);
    found = pg_type_find(Py_TYPE(object), name);
    Py_DECREF(name);
    if (found != NULL && Py_IS_TYPE(found, pg.deferred_type))
        method = PyMethod_New(pg_deferred_function(found), object);
    pg_found_drop(found);
    return method;
}

int pg_deferred_find(pg_op_t op, PyObject *object, PyObject *args, PyObject **function)
{
    Py_ssize_t count;

    *function = NULL;
    if (!atomic_load_explicit(&pg.deferred_used, memory_order_relaxed) || !PyTuple_Check(args))
        return 0;
    count = PyTuple_GET_SIZE(args);
    if ((op == PG_OP_METHOD && count == 3) || (op == PG_OP_SPECIAL && count == 2))
        *function = bare_method(object, PyTuple_GET_ITEM(args, 0));
    else if (op == PG_OP_CALL && count == 2)
        *function = bare(object);
    else if (op == PG_OP_FUNCTION && count == 3)
        *function = bare(PyTuple_GET_ITEM(args, 0));
    return *function == NULL && PyErr_Occurred() ? -1 : 0;
}

/* `function`, found by pg_deferred_find(), with what the request has for it. */
static PyObject *call_bare(pg_op_t op, PyObject *function, PyObject *args)
{
    Py_ssize_t at = op == PG_OP_CALL ? 0 : 1; /* behind what is called, if that is in there */
    PyObject *positional = PyTuple_GET_ITEM(args, at);
    PyObject *named = at + 1 < PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, at + 1) : Py_None;

    if (PyTuple_Check(positional) && (named == Py_None || PyDict_Check(named)))
        return PyObject_Call(function, positional, named != Py_None ? named : NULL);
    PyErr_SetString(PyExc_TypeError, "a call needs a tuple and a dict of arguments");
    return NULL;
}

PyObject *pg_deferred_evaluate(pg_op_t op, PyObject *object, PyObject *args, PyObject *function)
{
    if (function != NULL)
        return call_bare(op, function, args);
    /* `await proxy`: not the iterator, which would have to be moved on from over there. */
    if (op == PG_OP_SPECIAL && is_awaited(object) && PyTuple_Check(args) &&
        PyTuple_GET_SIZE(args) == 2 && PyUnicode_Check(PyTuple_GET_ITEM(args, 0)) &&
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(args, 0), "__await__") == 0)
        return (PyObject *)as_future(object);
    return pg_op_evaluate(op, object, args);
}

/* ---- the queue of work, for Python ---- */

typedef struct pushed {
    gas_work_t work;
    PyObject *callable;
} pushed_t;

static void pushed_run(gas_work_t *work)
{
    pushed_t *pushed = (pushed_t *)work;
    PyObject *pending = PyErr_GetRaisedException();
    pg_running_t running;

    pg_running_begin(&running, NULL, pg.rank);
    pg_running_with(&running, pushed->callable, NULL);
    if (atomic_load(&pg.phase) == PG_RUNNING && !pg_home_is_closing()) {
        PyObject *result = PyObject_CallNoArgs(pushed->callable);

        if (result == NULL)
            PyErr_WriteUnraisable(pushed->callable);
        Py_XDECREF(result);
    }
    pg_running_end(&running);
    Py_DECREF(pushed->callable);
    PyMem_Free(pushed);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

PyObject *pg_push(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    gas_home_t *home = NULL;
    pushed_t *pushed;
    bool queued = true;

    (void)module;
    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "push() takes a callable and a home");
    if ((count == 2 && pg_home_parse(args[1], &home) < 0) || pg_enter() < 0)
        return NULL;
    pushed = PyMem_Calloc(1, sizeof(*pushed));
    if (pushed != NULL) {
        pushed->work = (gas_work_t){.run = pushed_run, .depth = GAS_WORK_CALLBACK};
        pushed->callable = Py_NewRef(args[0]);
        if (home == NULL)
            gas_work_push(pg.job, &pushed->work);
        else
            queued = gas_home_push(pg.job, home, &pushed->work);
    }
    pg_leave();
    if (pushed == NULL)
        return PyErr_NoMemory();
    if (queued)
        Py_RETURN_NONE;
    Py_DECREF(pushed->callable);
    PyMem_Free(pushed);
    PyErr_SetString(PyExc_RuntimeError, "the thread that this is to run on has ended");
    return NULL;
}
