#include "arguments.h"

#include "affinity.h"
#include "compat.h"
#include "proxy.h"

bool pg_cannot_copy(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError) &&
           !PyErr_ExceptionMatches(PyExc_RecursionError);
}

/* `item`, or a Proxy to it if it cannot be copied. A new reference. */
static PyObject *copyable(PyObject *item)
{
    pg_payload_t *payload = pg_payload_encode(item);

    if (payload != NULL) {
        pg_payload_unref(payload);
        return Py_NewRef(item);
    }
    if (!pg_cannot_copy())
        return NULL;
    PyErr_Clear();
    return pg_proxy_new_local(item, pg_home_of_results());
}

PyObject *pg_copyable_items(PyObject *items)
{
    PyObject *list = PySequence_List(items);

    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *item = copyable(PyList_GET_ITEM(list, i));

        if (item == NULL || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *copyable_tuple(PyObject *items)
{
    PyObject *list = pg_copyable_items(items);
    PyObject *tuple = list != NULL ? PyList_AsTuple(list) : NULL;

    Py_XDECREF(list);
    return tuple;
}

static PyObject *copyable_dict(PyObject *items)
{
    PyObject *dict = PyDict_New(), *key, *value;
    Py_ssize_t position = 0;

    while (dict != NULL && PyDict_Next(items, &position, &key, &value)) {
        PyObject *item = copyable(value);

        if (item == NULL || PyDict_SetItem(dict, key, item) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

/* Where the tuple of a call's arguments is among those of the operation; -1: there is none. */
static Py_ssize_t call_at(pg_op_t op)
{
    switch (op) {
    case PG_OP_CALL:
        return 0;
    case PG_OP_METHOD:
    case PG_OP_SPECIAL:
        return 1;
    default:
        return -1;
    }
}

/* A new tuple like `args` that can be copied. */
static PyObject *substitute(pg_op_t op, PyObject *args)
{
    PyObject *result = PyTuple_New(PyTuple_GET_SIZE(args));

    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *item = PyTuple_GET_ITEM(args, i);

        if (i == call_at(op))
            item = copyable_tuple(item);
        else if (i == call_at(op) + 1 && i > 0 && PyDict_Check(item))
            item = copyable_dict(item);
        else
            item = copyable(item);
        if (item == NULL)
            Py_CLEAR(result);
        else
            PyTuple_SET_ITEM(result, i, item);
    }
    return result;
}

pg_payload_t *pg_arguments_encode(pg_op_t op, PyObject *args)
{
    pg_payload_t *payload = pg_payload_encode(args);
    PyObject *refusal, *other;

    if (payload != NULL || !pg_op_has_object(op) || !pg_cannot_copy())
        return payload;
    refusal = PyErr_GetRaisedException();
    other = substitute(op, args);
    payload = other != NULL ? pg_payload_encode(other) : NULL;
    Py_XDECREF(other);
    if (payload == NULL && pg_cannot_copy())
        PyErr_SetRaisedException(refusal); /* the clearer one */
    else
        Py_DECREF(refusal);
    return payload;
}

PyObject *pg_arguments_beside_name(pg_op_t op, PyObject *args)
{
    switch (op) {
    case PG_OP_GETATTR:
    case PG_OP_DELATTR:
        return Py_None;
    case PG_OP_SETATTR:
    case PG_OP_SPECIAL:
        return PyTuple_GET_ITEM(args, 1);
    case PG_OP_METHOD:
        return PyTuple_GET_ITEM(args, 2) == Py_None ? PyTuple_GET_ITEM(args, 1) : NULL;
    default:
        return NULL;
    }
}

PyObject *pg_arguments_with_name(pg_op_t op, PyObject *name, PyObject *beside)
{
    switch (op) {
    case PG_OP_GETATTR:
    case PG_OP_DELATTR:
        return PyTuple_Pack(1, name);
    case PG_OP_SETATTR:
    case PG_OP_SPECIAL:
        return PyTuple_Pack(2, name, beside);
    case PG_OP_METHOD:
        return PyTuple_Pack(3, name, beside, Py_None);
    default:
        return pg_malformed("a name for an operation that has none");
    }
}
