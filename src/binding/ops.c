#include "ops.h"

/* The type of `object().__str__`, which has no name in the C interface. */
static PyObject *method_wrapper_type;

int pg_ops_init(void)
{
    PyObject *types = PyImport_ImportModule("types");

    if (types == NULL)
        return -1;
    method_wrapper_type = PyObject_GetAttrString(types, "MethodWrapperType");
    Py_DECREF(types);
    return method_wrapper_type != NULL ? 0 : -1;
}

static PyObject *none_if(int failed)
{
    if (failed < 0)
        return NULL;
    Py_RETURN_NONE;
}

#define ARG(i) PyTuple_GET_ITEM(args, i)

/* Calls with a tuple and a dict or None. */
static PyObject *call(PyObject *callable, PyObject *args, PyObject *kwargs)
{
    if (!PyTuple_Check(args) || (kwargs != Py_None && !PyDict_Check(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "a call needs a tuple and a dict of arguments");
        return NULL;
    }
    return PyObject_Call(callable, args, kwargs == Py_None ? NULL : kwargs);
}

static PyObject *op_getattr(PyObject *object, PyObject *args)
{
    return PyObject_GetAttr(object, ARG(0));
}

static PyObject *op_setattr(PyObject *object, PyObject *args)
{
    return none_if(PyObject_SetAttr(object, ARG(0), ARG(1)));
}

static PyObject *op_delattr(PyObject *object, PyObject *args)
{
    return none_if(PyObject_SetAttr(object, ARG(0), NULL));
}

static PyObject *op_getitem(PyObject *object, PyObject *args)
{
    return PyObject_GetItem(object, ARG(0));
}

static PyObject *op_setitem(PyObject *object, PyObject *args)
{
    return none_if(PyObject_SetItem(object, ARG(0), ARG(1)));
}

static PyObject *op_delitem(PyObject *object, PyObject *args)
{
    return none_if(PyObject_DelItem(object, ARG(0)));
}

static PyObject *op_call(PyObject *object, PyObject *args)
{
    return call(object, ARG(0), ARG(1));
}

static PyObject *op_method(PyObject *object, PyObject *args)
{
    PyObject *method = PyObject_GetAttr(object, ARG(0));
    PyObject *result = method != NULL ? call(method, ARG(1), ARG(2)) : NULL;

    Py_XDECREF(method);
    return result;
}

static PyObject *op_len(PyObject *object, PyObject *args)
{
    Py_ssize_t length = PyObject_Size(object);

    (void)args;
    return length < 0 ? NULL : PyLong_FromSsize_t(length);
}

static PyObject *op_contains(PyObject *object, PyObject *args)
{
    int found = PySequence_Contains(object, ARG(0));

    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyObject *op_bool(PyObject *object, PyObject *args)
{
    int truth = PyObject_IsTrue(object);

    (void)args;
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

static PyObject *op_hash(PyObject *object, PyObject *args)
{
    Py_hash_t hash = PyObject_Hash(object);

    (void)args;
    return hash == -1 ? NULL : PyLong_FromSsize_t(hash);
}

static PyObject *op_compare(PyObject *object, PyObject *args)
{
    long how = PyLong_AsLong(ARG(1));

    if (how < Py_LT || how > Py_GE) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "no such comparison");
        return NULL;
    }
    return PyObject_RichCompare(object, ARG(0), (int)how);
}

static PyObject *op_str(PyObject *object, PyObject *args)
{
    (void)args;
    return PyObject_Str(object);
}

static PyObject *op_repr(PyObject *object, PyObject *args)
{
    (void)args;
    return PyObject_Repr(object);
}

static PyObject *op_resolve(PyObject *object, PyObject *args)
{
    (void)args;
    return Py_NewRef(object);
}

static PyObject *op_call_function(PyObject *object, PyObject *args)
{
    (void)object;
    return call(ARG(0), ARG(1), ARG(2));
}

typedef struct op_row {
    const char *name;
    PyObject *(*evaluate)(PyObject *object, PyObject *args);
    Py_ssize_t arguments;
} op_row_t;

static const op_row_t rows[PG_OP_COUNT] = {
#define OP(name, evaluator, arguments) {#name, evaluator, arguments},
#include "ops.def"
#undef OP
};

PyObject *pg_op_evaluate(pg_op_t op, PyObject *object, PyObject *args)
{
    if (op >= PG_OP_COUNT || !PyTuple_Check(args) || PyTuple_GET_SIZE(args) != rows[op].arguments) {
        PyErr_SetString(PyExc_TypeError, "a request with an unknown operation or wrong arguments");
        return NULL;
    }
    return rows[op].evaluate(object, args);
}

bool pg_op_is_bound(PyObject *value)
{
    PyObject *self = NULL;

    if (PyMethod_Check(value))
        self = PyMethod_GET_SELF(value);
    else if (PyCFunction_Check(value))
        self = PyCFunction_GET_SELF(value);
    else if ((PyObject *)Py_TYPE(value) == method_wrapper_type)
        return true;
    return self != NULL && !PyModule_Check(self) && !PyType_Check(self);
}

bool pg_op_is_method_of(PyObject *object, PyObject *value)
{
    PyObject *self;

    if (PyFunction_Check(value))
        return true;
    if (PyMethod_Check(value))
        self = PyMethod_GET_SELF(value);
    else if (PyCFunction_Check(value))
        self = PyCFunction_GET_SELF(value);
    else
        return (PyObject *)Py_TYPE(value) == method_wrapper_type;
    return self == object || self == (PyObject *)Py_TYPE(object);
}
