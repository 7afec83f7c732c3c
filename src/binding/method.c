#include "method.h"

#include "call.h"
#include "ops.h"

#include <stddef.h>
#include <structmember.h>

typedef struct method {
    PyObject_HEAD pg_proxy_t *proxy;
    PyObject *name;
} method_t;

PyObject *pg_method_new(pg_proxy_t *proxy, PyObject *name)
{
    method_t *method = PyObject_GC_New(method_t, pg.method_type);

    if (method == NULL)
        return NULL;
    method->proxy = (pg_proxy_t *)Py_NewRef((PyObject *)proxy);
    method->name = Py_NewRef(name);
    PyObject_GC_Track(method);
    return (PyObject *)method;
}

static int Method_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((method_t *)self)->proxy);
    return 0;
}

static int Method_clear(PyObject *self)
{
    Py_CLEAR(((method_t *)self)->proxy);
    return 0;
}

static void Method_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Method_clear(self);
    Py_XDECREF(((method_t *)self)->name);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *Method_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    method_t *method = (method_t *)self;
    PyObject *request = PyTuple_Pack(3, method->name, args, kwargs != NULL ? kwargs : Py_None);

    /* NumPy insists on an array, and an array's own __array__ returns itself: no Proxy, then. */
    if (PyUnicode_CompareWithASCIIString(method->name, "__array__") == 0)
        return pg_proxy_operate_now(method->proxy, PG_OP_METHOD, request);
    return pg_proxy_operate(method->proxy, PG_OP_METHOD, request);
}

/* What only the method itself knows: its text of help, a cache's cache_info(). */
static PyObject *attribute_there(method_t *method, PyObject *name)
{
    PyObject *operators = PyImport_ImportModule("operator");
    PyObject *getter = operators != NULL
                           ? PyObject_CallMethod(operators, "attrgetter", "N",
                                                 PyUnicode_FromFormat("%U.%U", method->name, name))
                           : NULL;
    PyObject *request =
        getter != NULL ? Py_BuildValue("(N(O)O)", getter, method->proxy, Py_None) : NULL;
    PyObject *result = NULL;

    if (request != NULL)
        result =
            pg_call_blocking(method->proxy->owner, PG_OP_FUNCTION, 0, request, PG_WANT_VALUE, NULL);
    Py_XDECREF(operators);
    Py_XDECREF(request);
    return result;
}

static PyObject *Method_getattro(PyObject *self, PyObject *name)
{
    static const char *const there[] = {"__doc__", "__module__", "__qualname__"};
    PyObject *result;

    for (size_t i = 0; i < Py_ARRAY_LENGTH(there); i++)
        if (PyUnicode_CompareWithASCIIString(name, there[i]) == 0)
            return attribute_there((method_t *)self, name);
    result = PyObject_GenericGetAttr(self, name);
    if (result != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return result;
    PyErr_Clear();
    return attribute_there((method_t *)self, name);
}

/* What is the same for all Proxies to an object, and different for others. */
static const void *identity(const pg_proxy_t *proxy)
{
    return pg_proxy_is_here(proxy) ? (const void *)proxy->object : proxy->import;
}

/* Methods of the same name of the same object are equal, as bound methods are. */
static PyObject *Method_richcompare(PyObject *self, PyObject *other, int how)
{
    method_t *one = (method_t *)self, *two = (method_t *)other;
    bool equal;

    if ((how != Py_EQ && how != Py_NE) || Py_TYPE(other) != pg.method_type)
        Py_RETURN_NOTIMPLEMENTED;
    equal = identity(one->proxy) == identity(two->proxy) && one->proxy->mode == two->proxy->mode &&
            PyUnicode_Compare(one->name, two->name) == 0;
    return PyBool_FromLong(equal == (how == Py_EQ));
}

static Py_hash_t Method_hash(PyObject *self)
{
    method_t *method = (method_t *)self;
    Py_hash_t hash =
        PyObject_Hash(method->name) ^ (Py_hash_t)((uintptr_t)identity(method->proxy) >> 4);

    return hash != -1 ? hash : -2;
}

static PyObject *Method_repr(PyObject *self)
{
    method_t *method = (method_t *)self;

    return PyUnicode_FromFormat("<method %R of an object on rank %d>", method->name,
                                method->proxy->owner);
}

/* On the owner this gives the object's own bound method, elsewhere a Method again. */
static PyObject *Method_reduce(PyObject *self, PyObject *unused)
{
    method_t *method = (method_t *)self;
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *getter = builtins != NULL ? PyObject_GetAttrString(builtins, "getattr") : NULL;
    PyObject *reduced = NULL;

    (void)unused;
    if (getter != NULL)
        reduced = Py_BuildValue("N(OO)", getter, method->proxy, method->name);
    Py_XDECREF(builtins);
    return reduced;
}

static PyMethodDef Method_methods[] = {
    {"__reduce__", Method_reduce, METH_NOARGS, PyDoc_STR("Pickled as a reference.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Method_members[] = {
    {"__self__", T_OBJECT, offsetof(method_t, proxy), READONLY,
     PyDoc_STR("A Proxy to the object.")},
    {"__name__", T_OBJECT, offsetof(method_t, name), READONLY, PyDoc_STR("The method's name.")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Method_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A method of an object on another rank.")},
    {Py_tp_traverse, Method_traverse},
    {Py_tp_clear, Method_clear},
    {Py_tp_dealloc, Method_dealloc},
    {Py_tp_call, Method_call},
    {Py_tp_repr, Method_repr},
    {Py_tp_getattro, Method_getattro},
    {Py_tp_richcompare, Method_richcompare},
    {Py_tp_hash, Method_hash},
    {Py_tp_methods, Method_methods},
    {Py_tp_members, Method_members},
    {0, NULL},
};

static PyType_Spec Method_spec = {
    .name = "pygas.Method",
    .basicsize = sizeof(method_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Method_slots,
};

PyTypeObject *pg_method_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Method_spec, NULL);
}
