#include "proxy.h"

#include "call.h"
#include "exports.h"
#include "method.h"
#include "ops.h"

#include <stddef.h>
#include <structmember.h>

static pg_proxy_t *proxy_alloc(int owner)
{
    pg_proxy_t *proxy = PyObject_GC_New(pg_proxy_t, pg.proxy_type);

    if (proxy == NULL)
        return NULL;
    proxy->owner = owner;
    proxy->id = 0;
    proxy->object = NULL;
    proxy->weak_references = NULL;
    return proxy;
}

PyObject *pg_proxy_new_local(PyObject *object)
{
    pg_proxy_t *proxy = proxy_alloc(pg.rank);

    if (proxy == NULL)
        return NULL;
    proxy->object = Py_NewRef(object);
    PyObject_GC_Track(proxy);
    return (PyObject *)proxy;
}

PyObject *pg_proxy_from_wire(int owner, uint64_t id)
{
    pg_proxy_t *proxy;

    if (owner < 0 || owner >= pg.size)
        return PyErr_Format(PyExc_ReferenceError, "a Proxy to rank %d in a job of %d", owner,
                            pg.size);
    proxy = proxy_alloc(owner);
    if (proxy == NULL)
        return NULL;
    proxy->id = id;
    if (owner == pg.rank)
        proxy->object = pg_exports_get(id);
    PyObject_GC_Track(proxy);
    if (owner == pg.rank && proxy->object == NULL)
        Py_CLEAR(proxy);
    return (PyObject *)proxy;
}

int pg_proxy_to_wire(pg_proxy_t *proxy, int *owner, uint64_t *id)
{
    if (proxy->object != NULL && proxy->id == 0 && pg_exports_add(proxy->object, &proxy->id) < 0)
        return -1;
    *owner = proxy->owner;
    *id = proxy->id;
    return 0;
}

PyObject *pg_proxy_operate(pg_proxy_t *proxy, int op, PyObject *args)
{
    PyObject *result;

    if (args == NULL)
        return NULL;
    if (proxy->object != NULL)
        result = pg_op_evaluate(op, proxy->object, args);
    else
        result = pg_call_blocking(proxy->owner, op, proxy->id, args, PG_WANT_VALUE, NULL);
    Py_DECREF(args);
    return result;
}

/* ---- slots ---- */

static PyObject *Proxy_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", NULL};
    PyObject *object;

    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Proxy", names, &object))
        return NULL;
    if (pg_require_job() < 0)
        return NULL;
    return pg_proxy_new_local(object);
}

static int Proxy_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((pg_proxy_t *)self)->object);
    return 0;
}

static int Proxy_clear(PyObject *self)
{
    Py_CLEAR(((pg_proxy_t *)self)->object);
    return 0;
}

static void Proxy_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (((pg_proxy_t *)self)->weak_references != NULL)
        PyObject_ClearWeakRefs(self);
    Proxy_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *Proxy_getattro(PyObject *self, PyObject *name)
{
    pg_proxy_t *proxy = (pg_proxy_t *)self;
    bool is_method = false;
    PyObject *args, *result;

    if (proxy->object != NULL)
        return PyObject_GetAttr(proxy->object, name);
    args = PyTuple_Pack(1, name);
    if (args == NULL)
        return NULL;
    result =
        pg_call_blocking(proxy->owner, PG_OP_GETATTR, proxy->id, args, PG_WANT_VALUE, &is_method);
    Py_DECREF(args);
    if (result != NULL && is_method)
        Py_SETREF(result, pg_method_new(proxy, name));
    return result;
}

/* The outcome of an operation that has none but success. */
static int finish(PyObject *result)
{
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

static int Proxy_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    pg_proxy_t *proxy = (pg_proxy_t *)self;

    if (proxy->object != NULL)
        return PyObject_SetAttr(proxy->object, name, value);
    if (value == NULL)
        return finish(pg_proxy_operate(proxy, PG_OP_DELATTR, PyTuple_Pack(1, name)));
    return finish(pg_proxy_operate(proxy, PG_OP_SETATTR, PyTuple_Pack(2, name, value)));
}

static PyObject *Proxy_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    pg_proxy_t *proxy = (pg_proxy_t *)self;

    if (proxy->object != NULL)
        return PyObject_Call(proxy->object, args, kwargs);
    return pg_proxy_operate(proxy, PG_OP_CALL,
                            PyTuple_Pack(2, args, kwargs != NULL ? kwargs : Py_None));
}

static PyObject *Proxy_subscript(PyObject *self, PyObject *key)
{
    return pg_proxy_operate((pg_proxy_t *)self, PG_OP_GETITEM, PyTuple_Pack(1, key));
}

static int Proxy_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    pg_proxy_t *proxy = (pg_proxy_t *)self;

    if (value == NULL)
        return finish(pg_proxy_operate(proxy, PG_OP_DELITEM, PyTuple_Pack(1, key)));
    return finish(pg_proxy_operate(proxy, PG_OP_SETITEM, PyTuple_Pack(2, key, value)));
}

static Py_ssize_t Proxy_length(PyObject *self)
{
    PyObject *result = pg_proxy_operate((pg_proxy_t *)self, PG_OP_LEN, PyTuple_New(0));
    Py_ssize_t length;

    if (result == NULL)
        return -1;
    length = PyLong_AsSsize_t(result);
    Py_DECREF(result);
    return length;
}

/* The truth of a bool that an operation returned. */
static int finish_truth(PyObject *result)
{
    int truth;

    if (result == NULL)
        return -1;
    truth = PyObject_IsTrue(result);
    Py_DECREF(result);
    return truth;
}

static int Proxy_contains(PyObject *self, PyObject *item)
{
    return finish_truth(
        pg_proxy_operate((pg_proxy_t *)self, PG_OP_CONTAINS, PyTuple_Pack(1, item)));
}

static int Proxy_bool(PyObject *self)
{
    return finish_truth(pg_proxy_operate((pg_proxy_t *)self, PG_OP_BOOL, PyTuple_New(0)));
}

static Py_hash_t Proxy_hash(PyObject *self)
{
    PyObject *result = pg_proxy_operate((pg_proxy_t *)self, PG_OP_HASH, PyTuple_New(0));
    Py_hash_t hash;

    if (result == NULL)
        return -1;
    hash = (Py_hash_t)PyLong_AsSsize_t(result);
    Py_DECREF(result);
    return hash;
}

static PyObject *Proxy_richcompare(PyObject *self, PyObject *other, int how)
{
    pg_proxy_t *proxy = (pg_proxy_t *)self;

    if (proxy->object != NULL)
        return PyObject_RichCompare(proxy->object, other, how);
    return pg_proxy_operate(proxy, PG_OP_COMPARE, Py_BuildValue("(Oi)", other, how));
}

static PyObject *Proxy_str(PyObject *self)
{
    return pg_proxy_operate((pg_proxy_t *)self, PG_OP_STR, PyTuple_New(0));
}

static PyObject *Proxy_repr(PyObject *self)
{
    return pg_proxy_operate((pg_proxy_t *)self, PG_OP_REPR, PyTuple_New(0));
}

static PyMemberDef Proxy_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pg_proxy_t, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    Proxy_doc,
    "Proxy(object, /)\n--\n\n"
    "A reference to an object of this rank, which behaves like it on every rank.\n\n"
    "Operations on a Proxy run on the rank that owns the object, and their results come back\n"
    "by value; what cannot be copied comes back as a Proxy. Proxies can be passed, stored and\n"
    "sent. On the owner itself operations go straight to the object.\n\n"
    "Questions about a Proxy are functions of the module: owner(), is_local(), local(),\n"
    "resolve(). Making the first Proxy starts the job (see init()).");

static PyType_Slot Proxy_slots[] = {
    {Py_tp_doc, (void *)Proxy_doc},
    {Py_tp_new, Proxy_new},
    {Py_tp_traverse, Proxy_traverse},
    {Py_tp_clear, Proxy_clear},
    {Py_tp_dealloc, Proxy_dealloc},
    {Py_tp_members, Proxy_members},
    {Py_tp_getattro, Proxy_getattro},
    {Py_tp_setattro, Proxy_setattro},
    {Py_tp_call, Proxy_call},
    {Py_tp_hash, Proxy_hash},
    {Py_tp_richcompare, Proxy_richcompare},
    {Py_tp_str, Proxy_str},
    {Py_tp_repr, Proxy_repr},
    {Py_nb_bool, Proxy_bool},
    {Py_mp_length, Proxy_length},
    {Py_mp_subscript, Proxy_subscript},
    {Py_mp_ass_subscript, Proxy_ass_subscript},
    {Py_sq_contains, Proxy_contains},
    {0, NULL},
};

static PyType_Spec Proxy_spec = {
    .name = "pygas.Proxy",
    .basicsize = sizeof(pg_proxy_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Proxy_slots,
};

PyTypeObject *pg_proxy_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Proxy_spec, NULL);
}
