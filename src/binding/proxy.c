/* Proxy: making and exporting references, and how an operation reaches its object. The slots are in
 * proxy_slots.c. */
#include "proxy.h"

#include "call.h"
#include "exports.h"
#include "future.h"
#include "method.h"
#include "ops.h"

static PyObject *proxy_alloc(int owner, const pg_shape_t *shape, pg_mode_t mode)
{
    pg_proxy_t *proxy = PyObject_GC_New(pg_proxy_t, shape->type);

    if (proxy == NULL)
        return NULL;
    proxy->owner = owner;
    proxy->mode = mode;
    proxy->id = 0;
    proxy->object = NULL;
    proxy->shape = shape;
    proxy->weak_references = NULL;
    return (PyObject *)proxy;
}

PyObject *pg_proxy_new_local(PyObject *object)
{
    const pg_shape_t *shape;
    PyObject *proxy;

    /* A Proxy to a Proxy of this rank is one to its object, however long the chain. */
    while (PG_PROXY_CHECK(object) && pg_proxy_is_direct((pg_proxy_t *)object))
        object = ((pg_proxy_t *)object)->object;
    shape = pg_shape_of(object);
    proxy = shape != NULL ? proxy_alloc(pg.rank, shape, PG_MODE_VALUE) : NULL;
    if (proxy == NULL)
        return NULL;
    ((pg_proxy_t *)proxy)->object = Py_NewRef(object);
    PyObject_GC_Track(proxy);
    return proxy;
}

PyObject *pg_proxy_from_wire(int owner, uint64_t id, const pg_shape_t *shape, pg_mode_t mode)
{
    PyObject *object = NULL, *proxy;

    if (owner < 0 || owner >= pg.size)
        return PyErr_Format(PyExc_ReferenceError, "a Proxy to rank %d in a job of %d", owner,
                            pg.size);
    if (owner == pg.rank) {
        object = pg_exports_get(id);
        if (object == NULL)
            return NULL;
    }
    proxy = proxy_alloc(owner, shape, mode);
    if (proxy == NULL) {
        Py_XDECREF(object);
        return NULL;
    }
    ((pg_proxy_t *)proxy)->id = id;
    ((pg_proxy_t *)proxy)->object = object;
    PyObject_GC_Track(proxy);
    return proxy;
}

int pg_proxy_export(pg_proxy_t *proxy)
{
    if (proxy->object == NULL || proxy->id != 0)
        return 0;
    return pg_exports_add(proxy->object, &proxy->id);
}

PyObject *pg_proxy_with_mode(pg_proxy_t *proxy, pg_mode_t mode)
{
    PyObject *other = proxy_alloc(proxy->owner, proxy->shape, mode);

    if (other == NULL)
        return NULL;
    ((pg_proxy_t *)other)->id = proxy->id;
    ((pg_proxy_t *)other)->object = Py_XNewRef(proxy->object);
    PyObject_GC_Track(other);
    return other;
}

/* What the mode makes of a result that came back. Steals `result`. */
static PyObject *finish(pg_proxy_t *proxy, int op, PyObject *args, PyObject *result,
                        pg_outcome_t outcome)
{
    if (result == NULL)
        return NULL;
    switch (outcome) {
    case PG_OUTCOME_SELF:
        Py_SETREF(result, Py_NewRef((PyObject *)proxy));
        break;
    case PG_OUTCOME_STOP:
        Py_CLEAR(result);
        break;
    case PG_OUTCOME_METHOD:
        if (op == PG_OP_GETATTR)
            Py_SETREF(result, pg_method_new(proxy, PyTuple_GET_ITEM(args, 0)));
        break;
    default:
        if (proxy->mode == PG_MODE_REFERENCE && PG_PROXY_CHECK(result))
            Py_SETREF(result, pg_proxy_with_mode((pg_proxy_t *)result, PG_MODE_REFERENCE));
    }
    return result;
}

static PyObject *operate_async(pg_proxy_t *proxy, int op, PyObject *args)
{
    pg_call_t *call = pg_call_start(proxy->owner, op, proxy->id, args, PG_WANT_PLAIN);

    return call != NULL ? pg_future_new(call) : NULL;
}

PyObject *pg_proxy_own(pg_proxy_t *proxy, PyObject *result)
{
    if (pg_op_is_self(proxy->object, result))
        Py_SETREF(result, Py_NewRef((PyObject *)proxy));
    return result;
}

PyObject *pg_proxy_operate(pg_proxy_t *proxy, int op, PyObject *args)
{
    pg_outcome_t outcome = PG_OUTCOME_VALUE;
    PyObject *result = NULL;

    if (args == NULL)
        return NULL;
    if (pg_proxy_is_direct(proxy)) {
        result = pg_proxy_own(proxy, pg_op_evaluate(op, proxy->object, args));
    } else if (pg_require_job() == 0 && pg_proxy_export(proxy) == 0) {
        if (proxy->mode == PG_MODE_ASYNC) {
            result = operate_async(proxy, op, args);
        } else {
            pg_want_t want = proxy->mode == PG_MODE_REFERENCE ? PG_WANT_PROXY : PG_WANT_VALUE;

            result = pg_call_blocking(proxy->owner, op, proxy->id, args, want, &outcome);
            result = finish(proxy, op, args, result, outcome);
        }
    }
    Py_DECREF(args);
    return result;
}

PyObject *pg_proxy_operate_async(pg_proxy_t *proxy, int op, PyObject *args)
{
    PyObject *result = NULL;

    if (args == NULL)
        return NULL;
    if (pg_require_job() == 0 && pg_proxy_export(proxy) == 0)
        result = operate_async(proxy, op, args);
    Py_DECREF(args);
    return result;
}

PyObject *pg_proxy_referent(pg_proxy_t *proxy)
{
    if (proxy->object != NULL)
        return Py_NewRef(proxy->object);
    return pg_proxy_operate_now(proxy, PG_OP_RESOLVE, PyTuple_New(0));
}

PyObject *pg_proxy_operate_now(pg_proxy_t *proxy, int op, PyObject *args)
{
    PyObject *result = NULL;

    if (args == NULL)
        return NULL;
    if (proxy->mode == PG_MODE_ASYNC)
        PyErr_SetString(PyExc_TypeError,
                        "async_(p) has operations that give futures; this one must have its result "
                        "at once: use p itself");
    else if (proxy->object != NULL)
        result = pg_op_evaluate(op, proxy->object, args);
    else
        result = pg_call_blocking(proxy->owner, op, proxy->id, args, PG_WANT_COPY, NULL);
    Py_DECREF(args);
    return result;
}
