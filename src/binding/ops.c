/* Operations: attributes, items, calls, and the table. Operators are in operators.c. */
#include "ops.h"

#include "giveback.h"
#include "iteration.h"
#include "operators.h"
#include "proxy.h"
#include "texts.h"

static struct {
    PyObject *method_wrapper_type; /* of `object().__str__`, which has no name in the C interface */
    PyObject *copy, *deepcopy;
} ops;

int pg_ops_init(void)
{
    PyObject *types = PyImport_ImportModule("types");
    PyObject *copy = PyImport_ImportModule("copy");

    if (types != NULL && copy != NULL) {
        ops.method_wrapper_type = PyObject_GetAttrString(types, "MethodWrapperType");
        ops.copy = PyObject_GetAttrString(copy, "copy");
        ops.deepcopy = PyObject_GetAttrString(copy, "deepcopy");
    }
    Py_XDECREF(types);
    Py_XDECREF(copy);
    return ops.method_wrapper_type && ops.copy && ops.deepcopy ? 0 : -1;
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

static PyObject *get_attribute(PyObject *object, PyObject *text)
{
    PyObject *name = pg_text_as_name(text);
    PyObject *value = PyObject_GetAttr(object, name);

    Py_DECREF(name);
    return value;
}

static PyObject *set_attribute(PyObject *object, PyObject *text, PyObject *value)
{
    PyObject *name = pg_text_as_name(text);
    int failed = PyObject_SetAttr(object, name, value);

    Py_DECREF(name);
    return none_if(failed);
}

static PyObject *op_getattr(PyObject *object, PyObject *args)
{
    return get_attribute(object, ARG(0));
}

static PyObject *op_setattr(PyObject *object, PyObject *args)
{
    return set_attribute(object, ARG(0), ARG(1));
}

static PyObject *op_delattr(PyObject *object, PyObject *args)
{
    return set_attribute(object, ARG(0), NULL);
}

static PyObject *op_getitem(PyObject *object, PyObject *args)
{
    return PyObject_GetItem(object, ARG(0));
}

/* The item at a position, as C code asks for it: a negative one was counted from the end already.
 */
static PyObject *op_item(PyObject *object, PyObject *args)
{
    PySequenceMethods *methods = Py_TYPE(object)->tp_as_sequence;
    Py_ssize_t index = PyNumber_AsSsize_t(ARG(0), PyExc_IndexError);

    if (index == -1 && PyErr_Occurred())
        return NULL;
    if (methods == NULL || methods->sq_item == NULL)
        return PyObject_GetItem(object, ARG(0));
    return methods->sq_item(object, index);
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

/* True for texts and numbers: their methods keep nothing of their arguments and insist on types, so
 * they get values instead of Proxies. */
static bool is_plain(PyObject *object)
{
    return PyUnicode_CheckExact(object) || PyBytes_CheckExact(object) ||
           PyByteArray_CheckExact(object) || PyLong_CheckExact(object) ||
           PyFloat_CheckExact(object) || PyComplex_CheckExact(object);
}

/* A tuple with values in place of its Proxies. */
static PyObject *tuple_of_values(PyObject *args)
{
    PyObject *values = PyTuple_New(PyTuple_GET_SIZE(args));

    for (Py_ssize_t i = 0; values != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *value = pg_operand(PyTuple_GET_ITEM(args, i), true);

        if (value == NULL)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, i, value);
    }
    return values;
}

/* A dict likewise. */
static PyObject *dict_of_values(PyObject *kwargs)
{
    PyObject *values = PyDict_New(), *name, *argument;
    Py_ssize_t position = 0;

    while (values != NULL && PyDict_Next(kwargs, &position, &name, &argument)) {
        PyObject *value = pg_operand(argument, true);

        if (value == NULL || PyDict_SetItem(values, name, value) < 0)
            Py_CLEAR(values);
        Py_XDECREF(value);
    }
    return values;
}

/* object.name(*args, **kwargs), as the interpreter does it: without a bound method in between. */
static PyObject *call_method(PyObject *object, PyObject *name, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t positional = PyTuple_GET_SIZE(args), count = positional + 1, at = 0;
    PyObject *small[8], **all = small, *names = NULL, *keyword, *value, *result = NULL;

    if (kwargs != Py_None && PyDict_GET_SIZE(kwargs) > 0) {
        count += PyDict_GET_SIZE(kwargs);
        names = PyTuple_New(PyDict_GET_SIZE(kwargs));
        if (names == NULL)
            return NULL;
    }
    if (count > (Py_ssize_t)Py_ARRAY_LENGTH(small))
        all = PyMem_Calloc((size_t)count, sizeof(*all));
    if (all == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    all[0] = object;
    memcpy(all + 1, ((PyTupleObject *)args)->ob_item, (size_t)positional * sizeof(*all));
    for (Py_ssize_t i = 0; names != NULL && PyDict_Next(kwargs, &at, &keyword, &value); i++) {
        if (!PyUnicode_Check(keyword)) {
            PyErr_SetString(PyExc_TypeError, "keywords must be strings");
            goto out;
        }
        PyTuple_SET_ITEM(names, i, Py_NewRef(keyword));
        all[1 + positional + i] = value;
    }
    result = PyObject_VectorcallMethod(name, all, (size_t)positional + 1, names);
out:
    if (all != small)
        PyMem_Free(all);
    Py_XDECREF(names);
    return result;
}

static PyObject *op_method(PyObject *object, PyObject *args)
{
    PyObject *name, *arguments, *kwargs, *result = NULL;
    bool plain = is_plain(object);

    if (!PyUnicode_Check(ARG(0)) || !PyTuple_Check(ARG(1)) ||
        (ARG(2) != Py_None && !PyDict_Check(ARG(2)))) {
        PyErr_SetString(PyExc_TypeError, "a method needs a name, a tuple and a dict of arguments");
        return NULL;
    }
    name = pg_text_as_name(ARG(0));
    arguments = plain ? tuple_of_values(ARG(1)) : Py_NewRef(ARG(1));
    kwargs = plain && ARG(2) != Py_None ? dict_of_values(ARG(2)) : Py_NewRef(ARG(2));
    if (arguments != NULL && kwargs != NULL)
        result = call_method(object, name, arguments, kwargs);
    Py_DECREF(name);
    Py_XDECREF(arguments);
    Py_XDECREF(kwargs);
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
    PyObject *item = pg_operand(ARG(0), is_plain(object));
    int found = item != NULL ? PySequence_Contains(object, item) : -1;

    Py_XDECREF(item);
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
    return hash == -1 && PyErr_Occurred() ? NULL : PyLong_FromSsize_t(hash);
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

static PyObject *op_dir(PyObject *object, PyObject *args)
{
    (void)args;
    return PyObject_Dir(object);
}

static PyObject *op_format(PyObject *object, PyObject *args)
{
    return PyObject_Format(object, ARG(0));
}

/* A special method as the interpreter looks it up: in the class, not in the instance. */
static PyObject *op_special(PyObject *object, PyObject *args)
{
    PyObject *function, *bound, *result;
    descrgetfunc get;

    if (!PyUnicode_Check(ARG(0)) || !PyTuple_Check(ARG(1))) {
        PyErr_SetString(PyExc_TypeError, "a special method needs a name and a tuple");
        return NULL;
    }
    function = pg_type_find(Py_TYPE(object), ARG(0));
    if (function == NULL)
        return PyErr_Format(PyExc_TypeError, "'%.200s' object has no %U()",
                            Py_TYPE(object)->tp_name, ARG(0));
    Py_INCREF(function);
    get = Py_TYPE(function)->tp_descr_get;
    bound = get != NULL ? get(function, object, (PyObject *)Py_TYPE(object)) : Py_NewRef(function);
    Py_DECREF(function);
    pg_found_drop(function);
    result = bound != NULL ? PyObject_CallObject(bound, ARG(1)) : NULL;
    Py_XDECREF(bound);
    return result;
}

static PyObject *op_next(PyObject *object, PyObject *args)
{
    (void)args;
    if (!PyIter_Check(object))
        return PyErr_Format(PyExc_TypeError, "'%.200s' object is not an iterator",
                            Py_TYPE(object)->tp_name);
    return Py_TYPE(object)->tp_iternext(object);
}

/* A copy, shallow or (argument true) deep. */
static PyObject *op_copy(PyObject *object, PyObject *args)
{
    int deep = PyObject_IsTrue(ARG(0));

    return deep < 0 ? NULL : PyObject_CallOneArg(deep ? ops.deepcopy : ops.copy, object);
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

const char *pg_op_name(pg_op_t op)
{
    return op < PG_OP_COUNT ? rows[op].name : "?";
}

PyObject *pg_op_evaluate(pg_op_t op, PyObject *object, PyObject *args)
{
    if (op >= PG_OP_COUNT || !PyTuple_Check(args) || PyTuple_GET_SIZE(args) != rows[op].arguments) {
        PyErr_SetString(PyExc_TypeError, "a request with an unknown operation or wrong arguments");
        return NULL;
    }
    return rows[op].evaluate(object, args);
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
        return (PyObject *)Py_TYPE(value) == ops.method_wrapper_type;
    return self == object || self == (PyObject *)Py_TYPE(object);
}

bool pg_op_is_reference(PyObject *result)
{
    if (PyCFunction_Check(result)) {
        PyObject *self = PyCFunction_GET_SELF(result);

        return self != NULL && !PyModule_Check(self) && !PyType_Check(self);
    }
    if (PyMethod_Check(result))
        return !PyType_Check(PyMethod_GET_SELF(result));
    return (PyObject *)Py_TYPE(result) == ops.method_wrapper_type || PyModule_Check(result) ||
           PyIter_Check(result);
}

bool pg_op_is_self(PyObject *object, PyObject *result)
{
    return result == object && result != NULL && !PyLong_CheckExact(result) &&
           !PyFloat_CheckExact(result) && !PyUnicode_CheckExact(result) &&
           !PyBytes_CheckExact(result) && !PyTuple_CheckExact(result) &&
           !PyFrozenSet_CheckExact(result) && !PyComplex_CheckExact(result) &&
           !PyBool_Check(result) && !Py_IS_TYPE(result, &PyRange_Type) && result != Py_None;
}
