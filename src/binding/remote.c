#include "remote.h"

#include "call.h"
#include "failure.h"
#include "future.h"
#include "payload.h"
#include "proxy.h"
#include "references.h"
#include "wait.h"

/* ---- requests to a rank ---- */

/* (rank, callable, args, kwargs or None) of the Python side. *request: what travels. */
static int parse_remote(PyObject *args, const char *format, int *rank, PyObject **request)
{
    PyObject *callable, *call_args, *kwargs;

    if (!PyArg_ParseTuple(args, format, rank, &callable, &PyTuple_Type, &call_args, &kwargs) ||
        pg_require_job() < 0)
        return -1;
    if (*rank < 0 || *rank >= pg.size) {
        PyErr_Format(PyExc_ValueError, "there is no rank %d in a job of %d", *rank, pg.size);
        return -1;
    }
    *request = PyTuple_Pack(3, callable, call_args, kwargs);
    return *request != NULL ? 0 : -1;
}

static PyObject *remote_blocking(PyObject *args, const char *format, pg_op_t op, pg_want_t want)
{
    PyObject *request, *result;
    int rank;

    if (parse_remote(args, format, &rank, &request) < 0)
        return NULL;
    result = pg_call_blocking(rank, op, 0, request, want, NULL);
    Py_DECREF(request);
    return result;
}

PyObject *pg_remote_call(PyObject *module, PyObject *args)
{
    (void)module;
    return remote_blocking(args, "iOO!O:call", PG_OP_FUNCTION, PG_WANT_VALUE);
}

PyObject *pg_remote_new(PyObject *module, PyObject *args)
{
    (void)module;
    return remote_blocking(args, "iOO!O:new", PG_OP_NEW, PG_WANT_PROXY);
}

PyObject *pg_remote_submit(PyObject *module, PyObject *args)
{
    PyObject *request;
    pg_call_t *call;
    int rank;

    (void)module;
    if (parse_remote(args, "iOO!O:submit", &rank, &request) < 0)
        return NULL;
    call = pg_call_start(rank, PG_OP_FUNCTION, 0, request, PG_WANT_VALUE);
    Py_DECREF(request);
    return call != NULL ? pg_future_new(call) : NULL;
}

/* ---- questions about a Proxy ---- */

static pg_proxy_t *as_proxy(PyObject *object)
{
    if (PG_PROXY_CHECK(object))
        return (pg_proxy_t *)object;
    PyErr_Format(PyExc_TypeError, "this needs a pygas.Proxy, and a %.200s is none",
                 Py_TYPE(object)->tp_name);
    return NULL;
}

PyObject *pg_proxy_owner(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);

    (void)module;
    return proxy != NULL ? PyLong_FromLong(proxy->owner) : NULL;
}

PyObject *pg_proxy_is_local(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);

    (void)module;
    return proxy != NULL ? PyBool_FromLong(proxy->object != NULL) : NULL;
}

PyObject *pg_proxy_local(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);

    (void)module;
    if (proxy == NULL)
        return NULL;
    if (pg_proxy_is_at_hand(proxy))
        return Py_NewRef(proxy->object);
    if (proxy->object != NULL)
        return PyErr_Format(PyExc_ValueError,
                            "the object belongs to another thread of this rank (thread=True): use "
                            "the Proxy itself, or resolve() for a copy");
    PyErr_Format(PyExc_ValueError,
                 "the object lives on rank %d, and this is rank %d: use the Proxy itself, or "
                 "resolve() for a copy",
                 proxy->owner, pg.rank);
    return NULL;
}

PyObject *pg_proxy_resolve(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);
    PyObject *args, *copy;
    pg_payload_t *payload;
    uint64_t id;

    (void)module;
    if (proxy == NULL || pg_enter() < 0)
        return NULL;
    if (pg_proxy_is_at_hand(proxy)) {
        payload = pg_payload_encode(proxy->object);
        copy = payload != NULL ? pg_payload_decode_copy(payload) : NULL;
        pg_payload_unref(payload);
        pg_leave();
        return copy;
    }
    pg_leave();
    args = PyTuple_New(0);
    if (args == NULL)
        return NULL;
    copy = pg_proxy_address(proxy, &id) == 0
               ? pg_call_blocking(proxy->owner, PG_OP_RESOLVE, id, args, PG_WANT_COPY, NULL)
               : NULL;
    Py_DECREF(args);
    return copy;
}

PyObject *pg_proxy_by_ref(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);

    (void)module;
    return proxy != NULL ? pg_proxy_with_mode(proxy, PG_MODE_REFERENCE) : NULL;
}

PyObject *pg_proxy_async(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);

    (void)module;
    return proxy != NULL ? pg_proxy_with_mode(proxy, PG_MODE_ASYNC) : NULL;
}

PyObject *pg_proxy_items(PyObject *module, PyObject *args)
{
    PyObject *object, *start, *count;
    pg_proxy_t *proxy;

    (void)module;
    if (!PyArg_ParseTuple(args, "OOO:items", &object, &start, &count))
        return NULL;
    proxy = as_proxy(object);
    return proxy != NULL ? pg_proxy_operate(proxy, PG_OP_ITEMS, PyTuple_Pack(2, start, count))
                         : NULL;
}

PyObject *pg_requests_sent(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLongLong(pg_call_count());
}

PyObject *pg_proxy_reduce(PyObject *module, PyObject *object)
{
    pg_proxy_t *proxy = as_proxy(object);
    PyObject *rebuild;
    uint64_t id;

    if (proxy == NULL || pg_require_job() < 0 || pg_references_note(proxy, &id) < 0)
        return NULL;
    rebuild = PyObject_GetAttrString(module, "rebuild_proxy");
    if (rebuild == NULL)
        return NULL;
    return Py_BuildValue("N(KiKisKK)", rebuild, (unsigned long long)pg.job_key, proxy->owner,
                         (unsigned long long)id, (int)proxy->mode, proxy->shape->name,
                         (unsigned long long)proxy->shape->slots[0],
                         (unsigned long long)proxy->shape->slots[1]);
}

PyObject *pg_proxy_rebuild(PyObject *module, PyObject *args)
{
    unsigned long long key, id, slots[PG_SHAPE_WORDS];
    pg_shape_t *shape;
    const char *name;
    PyObject *proxy;
    int owner, mode;

    (void)module;
    if (!PyArg_ParseTuple(args, "KiKisKK:rebuild_proxy", &key, &owner, &id, &mode, &name, &slots[0],
                          &slots[1]) ||
        pg_require_job() < 0)
        return NULL;
    if (key != pg.job_key) {
        PyErr_Format(PyExc_ReferenceError,
                     "this is a Proxy to a %s of another job, which cannot be reached from here: "
                     "save a copy (pygas.resolve) instead of the Proxy",
                     name);
        return NULL;
    }
    if (mode < 0 || mode >= PG_MODE_COUNT) {
        PyErr_SetString(PyExc_ValueError, "a malformed reference to a shared object");
        return NULL;
    }
    if (pg_enter() < 0)
        return NULL;
    shape = pg_shape_get(name, (const uint64_t[PG_SHAPE_WORDS]){slots[0], slots[1]});
    proxy = shape != NULL ? pg_proxy_from_wire(owner, id, shape, (pg_mode_t)mode) : NULL;
    pg_leave();
    return proxy;
}

/* ---- the whole job ---- */

PyObject *pg_progress(PyObject *module, PyObject *unused)
{
    int outcome;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    outcome = pg_wait(NULL, gas_clock_now());
    pg_leave();
    return outcome < 0 ? NULL : Py_NewRef(Py_None);
}
