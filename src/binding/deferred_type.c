/*
 * The type of functions and methods that were decorated with @pygas.deferred: like the function,
 * but a caller on this rank waits for what it returned, as a remote caller does. Requests go to the
 * function itself (deferred.c).
 */
#include "deferred.h"

#include <stddef.h>
#include <structmember.h>

typedef struct decorated {
    PyObject_HEAD PyObject *function; /* constant */
    PyObject *dict;                   /* what functools.update_wrapper() leaves */
    PyObject *weakrefs;
    vectorcallfunc vectorcall;
} decorated_t;

PyObject *pg_deferred_function(PyObject *decorated)
{
    return ((decorated_t *)decorated)->function;
}

static PyObject *Deferred_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                                     PyObject *names)
{
    return pg_deferred_wait(
        PyObject_Vectorcall(((decorated_t *)self)->function, args, nargsf, names));
}

static PyObject *Deferred_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *function, *functools, *done = NULL;
    decorated_t *self;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "deferred() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:deferred", &function))
        return NULL;
    if (!PyFunction_Check(function))
        return PyErr_Format(PyExc_TypeError, "deferred() decorates functions, not a %.200s",
                            Py_TYPE(function)->tp_name);
    self = (decorated_t *)type->tp_alloc(type, 0);
    functools = self != NULL ? PyImport_ImportModule("functools") : NULL;
    if (functools != NULL) {
        self->function = Py_NewRef(function);
        self->vectorcall = Deferred_vectorcall;
        done = PyObject_CallMethod(functools, "update_wrapper", "OO", self, function);
    }
    if (done == NULL)
        Py_CLEAR(self);
    else
        atomic_store(&pg.deferred_used, true);
    Py_XDECREF(done);
    Py_XDECREF(functools);
    return (PyObject *)self;
}

static int Deferred_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((decorated_t *)self)->function);
    Py_VISIT(((decorated_t *)self)->dict);
    return 0;
}

static int Deferred_clear(PyObject *self)
{
    Py_CLEAR(((decorated_t *)self)->dict); /* not the function, for it may still be called */
    return 0;
}

static void Deferred_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (((decorated_t *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Deferred_clear(self);
    Py_XDECREF(((decorated_t *)self)->function);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Deferred_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

static PyObject *Deferred_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<pygas.deferred %R>", ((decorated_t *)self)->function);
}

/* Pickled by name, as functions are. */
static PyObject *Deferred_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef Deferred_methods[] = {
    {"__reduce__", Deferred_reduce, METH_NOARGS, PyDoc_STR("Pickled by its name.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("deferred[P, T]: a function of P whose result is a T.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Deferred_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(decorated_t, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(decorated_t, weakrefs), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(decorated_t, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *Deferred_wrapped(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((decorated_t *)self)->function);
}

/* update_wrapper() sets it, to what it is. */
static int Deferred_set_wrapped(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value == ((decorated_t *)self)->function)
        return 0;
    PyErr_SetString(PyExc_AttributeError, "__wrapped__ of a @pygas.deferred function is constant");
    return -1;
}

static PyGetSetDef Deferred_getset[] = {
    {"__wrapped__", Deferred_wrapped, Deferred_set_wrapped, PyDoc_STR("The function itself."),
     NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    deferred_doc,
    "deferred(function, /)\n--\n\n"
    "Decorate a function or method whose result comes later: one that returns a\n"
    "`pygas.Future` (or a value, if it has it at once), or is ``async def``.\n\n"
    "Whoever calls it, on whichever rank, blocks until the result is there and gets that. The\n"
    "owner of the object goes on meanwhile; requests to the caller's rank run. With\n"
    "`pygas.async_` it gives a Future. Without the decorator all this holds for other ranks, too,\n"
    "but a caller on the owner gets the function's own Future or coroutine.\n\n"
    "The function itself is ``function.__wrapped__``.");

static PyType_Slot Deferred_slots[] = {
    {Py_tp_doc, (void *)deferred_doc},   {Py_tp_new, Deferred_new},
    {Py_tp_traverse, Deferred_traverse}, {Py_tp_clear, Deferred_clear},
    {Py_tp_dealloc, Deferred_dealloc},   {Py_tp_descr_get, Deferred_get},
    {Py_tp_call, PyVectorcall_Call},     {Py_tp_repr, Deferred_repr},
    {Py_tp_methods, Deferred_methods},   {Py_tp_members, Deferred_members},
    {Py_tp_getset, Deferred_getset},     {0, NULL},
};

static PyType_Spec Deferred_spec = {
    .name = "pygas.deferred",
    .basicsize = sizeof(decorated_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = Deferred_slots,
};

PyTypeObject *pg_deferred_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Deferred_spec, NULL);
}
