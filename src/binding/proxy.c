/* Proxy: making and exporting references, and how an operation reaches its object. The slots are in
 * proxy_slots.c. */
#include "proxy.h"

#include "affinity.h"
#include "call.h"
#include "exports.h"
#include "future.h"
#include "method.h"
#include "ops.h"
#include "references.h"

static atomic_size_t count;

size_t pg_proxy_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

/* Takes over the caller's hold of the shape, also on failure. */
static PyObject *proxy_alloc(int owner, pg_shape_t *shape, pg_mode_t mode)
{
    pg_proxy_t *proxy = PyObject_GC_New(pg_proxy_t, shape->type);

    if (proxy == NULL) {
        pg_shape_let_go(shape);
        return NULL;
    }
    proxy->owner = owner;
    proxy->mode = mode;
    proxy->import = NULL;
    if (owner == pg.rank)
        atomic_init(&proxy->kept_id, 0);
    proxy->object = NULL;
    proxy->home = NULL;
    proxy->shape = shape;
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    proxy->weak_references = NULL;
    return (PyObject *)proxy;
}

PyObject *pg_proxy_new_local(PyObject *object, gas_home_t *home)
{
    pg_shape_t *shape;
    PyObject *proxy;

    /* A Proxy to a Proxy of this rank is one to its object, however long the chain. */
    while (PG_PROXY_CHECK(object) && pg_proxy_is_direct((pg_proxy_t *)object)) {
        if (((pg_proxy_t *)object)->home != NULL)
            home = ((pg_proxy_t *)object)->home;
        object = ((pg_proxy_t *)object)->object;
    }
    shape = pg_shape_of(object);
    proxy = shape != NULL ? proxy_alloc(pg.rank, shape, PG_MODE_VALUE) : NULL;
    if (proxy == NULL)
        return NULL;
    ((pg_proxy_t *)proxy)->object = Py_NewRef(object);
    ((pg_proxy_t *)proxy)->home = gas_home_ref(home);
    PyObject_GC_Track(proxy);
    return proxy;
}

/* A Proxy to an object of this rank, and its home; takes over all that. */
static PyObject *from_wire_here(PyObject *object, gas_home_t *home, pg_shape_t *shape,
                                pg_mode_t mode)
{
    PyObject *proxy;

    if (object == NULL) {
        pg_shape_let_go(shape);
        return NULL;
    }
    proxy = proxy_alloc(pg.rank, shape, mode);
    if (proxy == NULL) {
        pg_home_drop(home, object);
        gas_home_unref(home);
        return NULL;
    }
    ((pg_proxy_t *)proxy)->object = object;
    ((pg_proxy_t *)proxy)->home = home;
    PyObject_GC_Track(proxy);
    return proxy;
}

/* A Proxy to an object of another rank; takes over the reference. */
static PyObject *from_wire_there(pg_import_t *import, pg_shape_t *shape, pg_mode_t mode)
{
    PyObject *proxy = proxy_alloc(import->owner, shape, mode);

    if (proxy == NULL) {
        pg_import_unref(import);
        return NULL;
    }
    ((pg_proxy_t *)proxy)->import = import;
    PyObject_GC_Track(proxy);
    return proxy;
}

PyObject *pg_proxy_from_held(const pg_reference_t *held, pg_shape_t *shape, pg_mode_t mode)
{
    gas_home_t *home;
    PyObject *object;

    if (held->import != NULL)
        return from_wire_there(held->import, shape, mode);
    object = pg_exports_redeem(held->id, &home);
    return from_wire_here(object, home, shape, mode);
}

PyObject *pg_proxy_from_wire(int owner, uint64_t id, pg_shape_t *shape, pg_mode_t mode)
{
    pg_import_t *import;
    gas_home_t *home;
    PyObject *object;

    if (owner < 0 || owner >= pg.size) {
        pg_shape_let_go(shape);
        return PyErr_Format(PyExc_ReferenceError, "a Proxy to rank %d in a job of %d", owner,
                            pg.size);
    }
    if (owner == pg.rank) {
        object = pg_exports_get(id, &home);
        return from_wire_here(object, home, shape, mode);
    }
    import = pg_import_find(owner, id);
    if (import == NULL)
        import = pg_import_obtain(owner, id);
    if (import == NULL) {
        pg_shape_let_go(shape);
        return NULL;
    }
    return from_wire_there(import, shape, mode);
}

int pg_proxy_pin(pg_proxy_t *proxy, uint64_t *id)
{
    if (proxy->object != NULL)
        return pg_exports_pin_object(proxy->object, proxy->home, id);
    PyErr_SetString(PyExc_ReferenceError, "the garbage collector has cleared this Proxy");
    return -1;
}

int pg_proxy_keep_id(pg_proxy_t *proxy, uint64_t *id)
{
    uint64_t none = 0, kept;

    if (!pg_proxy_is_here(proxy)) {
        *id = proxy->import->id;
        return 0;
    }
    *id = atomic_load(&proxy->kept_id);
    if (*id != 0)
        return 0;
    if (pg_proxy_pin(proxy, &kept) < 0)
        return -1;
    *id = kept;
    if (!atomic_compare_exchange_strong(&proxy->kept_id, &none, kept)) {
        pg_exports_unpin(kept); /* another thread was faster */
        *id = none;
    }
    return 0;
}

void pg_proxy_let_go(pg_proxy_t *proxy)
{
    if (!pg_proxy_is_here(proxy))
        pg_import_unref(proxy->import);
    else if (atomic_load(&proxy->kept_id) != 0)
        pg_exports_unpin(atomic_load(&proxy->kept_id));
    pg_shape_let_go(proxy->shape);
    atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
    pg_proxy_drop_object(proxy);
    gas_home_unref(proxy->home);
}

void pg_proxy_drop_object(pg_proxy_t *proxy)
{
    PyObject *object = proxy->object;

    proxy->object = NULL;
    if (object != NULL)
        pg_home_drop(proxy->home, object);
}

PyObject *pg_proxy_with_mode(pg_proxy_t *proxy, pg_mode_t mode)
{
    PyObject *other;

    pg_shape_hold(proxy->shape);
    other = proxy_alloc(proxy->owner, proxy->shape, mode);
    if (other == NULL)
        return NULL;
    if (!pg_proxy_is_here(proxy)) {
        pg_import_ref(proxy->import);
        ((pg_proxy_t *)other)->import = proxy->import;
    }
    ((pg_proxy_t *)other)->object = Py_XNewRef(proxy->object);
    ((pg_proxy_t *)other)->home = gas_home_ref(proxy->home);
    PyObject_GC_Track(other);
    return other;
}

int pg_proxy_address(pg_proxy_t *proxy, uint64_t *id)
{
    if (pg_proxy_is_here(proxy))
        return pg_proxy_pin(proxy, id);
    *id = proxy->import->id;
    return 0;
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

static PyObject *operate_async(pg_proxy_t *proxy, uint64_t id, int op, PyObject *args)
{
    pg_call_t *call = pg_call_start(proxy->owner, op, id, args, PG_WANT_PLAIN);

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
    uint64_t id;

    if (args == NULL)
        return NULL;
    if (pg_proxy_is_direct(proxy)) {
        result = pg_proxy_own(proxy, pg_op_evaluate(op, proxy->object, args));
    } else if (pg_require_job() == 0 && pg_proxy_address(proxy, &id) == 0) {
        if (proxy->mode == PG_MODE_ASYNC) {
            result = operate_async(proxy, id, op, args);
        } else {
            pg_want_t want = proxy->mode == PG_MODE_REFERENCE ? PG_WANT_PROXY : PG_WANT_VALUE;

            result = pg_call_blocking(proxy->owner, op, id, args, want, &outcome);
            result = finish(proxy, op, args, result, outcome);
        }
    }
    Py_DECREF(args);
    return result;
}

PyObject *pg_proxy_operate_async(pg_proxy_t *proxy, int op, PyObject *args)
{
    PyObject *result = NULL;
    uint64_t id;

    if (args == NULL)
        return NULL;
    if (pg_require_job() == 0 && pg_proxy_address(proxy, &id) == 0)
        result = operate_async(proxy, id, op, args);
    Py_DECREF(args);
    return result;
}

PyObject *pg_proxy_referent(pg_proxy_t *proxy)
{
    if (pg_proxy_is_at_hand(proxy))
        return Py_NewRef(proxy->object);
    return pg_proxy_operate_now(proxy, PG_OP_RESOLVE, PyTuple_New(0));
}

PyObject *pg_proxy_operate_now(pg_proxy_t *proxy, int op, PyObject *args)
{
    PyObject *result = NULL;
    uint64_t id;

    if (args == NULL)
        return NULL;
    if (proxy->mode == PG_MODE_ASYNC)
        PyErr_SetString(PyExc_TypeError,
                        "async_(p) has operations that give futures; this one must have its result "
                        "at once: use p itself");
    else if (pg_proxy_is_at_hand(proxy))
        result = pg_op_evaluate(op, proxy->object, args);
    else if (pg_proxy_address(proxy, &id) == 0)
        result = pg_call_blocking(proxy->owner, op, id, args, PG_WANT_COPY, NULL);
    Py_DECREF(args);
    return result;
}
