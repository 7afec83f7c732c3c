/* The evaluators of iteration, for the table in ops.c; pygas/_iterate.py is the other side. */
#include "iteration.h"

#include "compat.h"

#define ARG(i) PyTuple_GET_ITEM(args, i)
#define FIRST_ITEMS 16

/* True if iterating over `object` is asking it for items 0, 1, 2, ... and nothing else. */
static bool has_positions(PyObject *object)
{
    getiterfunc iter = Py_TYPE(object)->tp_iter;

    return iter == PyList_Type.tp_iter || iter == PyTuple_Type.tp_iter ||
           iter == PyUnicode_Type.tp_iter || iter == PyBytes_Type.tp_iter ||
           iter == PyByteArray_Type.tp_iter || iter == PyRange_Type.tp_iter;
}

/* What the class of `object` says when it changes size while it is iterated over; NULL if `object`
 * is no container that complains about that. */
static const char *change_message(PyObject *object)
{
    getiterfunc iter = Py_TYPE(object)->tp_iter;

    if (iter == PyDict_Type.tp_iter || iter == PyDictKeys_Type.tp_iter ||
        iter == PyDictValues_Type.tp_iter || iter == PyDictItems_Type.tp_iter)
        return "dictionary changed size during iteration";
    if (iter == PySet_Type.tp_iter)
        return "Set changed size during iteration";
    return NULL;
}

/* NULL at the end. */
static PyObject *byte_at(PyObject *bytearray, Py_ssize_t index)
{
    int byte = -1;

    Py_BEGIN_CRITICAL_SECTION(bytearray);
    if (index < PyByteArray_GET_SIZE(bytearray))
        byte = (unsigned char)PyByteArray_AS_STRING(bytearray)[index];
    Py_END_CRITICAL_SECTION();
    return byte >= 0 ? PyLong_FromLong(byte) : NULL;
}

/* Items of an object with positions, by its own class's rules and not by a subclass's __getitem__.
 */
static PyObject *item_at(PyObject *object, Py_ssize_t index)
{
    PySequenceMethods *methods;

    if (PyList_Check(object))
        methods = PyList_Type.tp_as_sequence;
    else if (PyTuple_Check(object))
        methods = PyTuple_Type.tp_as_sequence;
    else if (PyUnicode_Check(object))
        methods = PyUnicode_Type.tp_as_sequence;
    else if (PyBytes_Check(object))
        return index < PyBytes_GET_SIZE(object)
                   ? PyLong_FromLong((unsigned char)PyBytes_AS_STRING(object)[index])
                   : NULL;
    else if (PyByteArray_Check(object))
        return byte_at(object, index);
    else
        methods = Py_TYPE(object)->tp_as_sequence;
    return methods->sq_item(object, index);
}

/* Up to `count` items from `start` on, as a list; shorter at the end. */
static PyObject *items(PyObject *object, Py_ssize_t start, Py_ssize_t count)
{
    PyObject *list = PyList_New(0);

    for (Py_ssize_t i = start; list != NULL && i < start + count; i++) {
        PyObject *item = item_at(object, i);

        if (item == NULL) {
            if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_IndexError))
                Py_CLEAR(list);
            else
                PyErr_Clear();
            break;
        }
        if (PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_DECREF(item);
    }
    return list;
}

PyObject *op_items(PyObject *object, PyObject *args)
{
    Py_ssize_t start = PyLong_AsSsize_t(ARG(0));
    Py_ssize_t count = PyLong_AsSsize_t(ARG(1));

    if ((start == -1 || count == -1) && PyErr_Occurred())
        return NULL;
    if (!has_positions(object) || start < 0 || count < 0 || count > PY_SSIZE_T_MAX - start) {
        PyErr_SetString(PyExc_TypeError, "no such items");
        return NULL;
    }
    return items(object, start, count);
}

PyObject *op_iter(PyObject *object, PyObject *args)
{
    const char *message = change_message(object);
    PyObject *list;

    (void)args;
    if (has_positions(object)) {
        list = items(object, 0, FIRST_ITEMS);
        return list != NULL ? Py_BuildValue("(iN)", PG_PLAN_SEQUENCE, list) : NULL;
    }
    if (message != NULL) {
        list = PySequence_List(object);
        return list != NULL
                   ? Py_BuildValue("(iNns)", PG_PLAN_SNAPSHOT, list, PyList_GET_SIZE(list), message)
                   : NULL;
    }
    return PyObject_GetIter(object);
}
