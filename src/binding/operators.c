#include "operators.h"

#include "ops.h"
#include "proxy.h"
#include "shape.h"

#define ARG(i) PyTuple_GET_ITEM(args, i)
#define FIRST_ITEMS 16

/* Small numbers travel as ints; -1 with an exception if one is not what it should be. */
static int number(PyObject *object, int limit)
{
    long value = PyLong_AsLong(object);

    if (value >= 0 && value < limit)
        return (int)value;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a request for an operator that does not exist");
    return -1;
}

PyObject *pg_operand(PyObject *other, bool insists)
{
    pg_proxy_t *proxy = (pg_proxy_t *)other;

    if (PG_PROXY_CHECK(other) &&
        (proxy->object != NULL || (insists && !pg_shape_has(proxy->shape, PG_SLOT_tp_iternext))))
        return pg_proxy_referent(proxy);
    return Py_NewRef(other);
}

/* ---- numbers ---- */

typedef struct binary_row {
    pg_slot_t slot;
    const char *name; /* of the method */
    binaryfunc function;
    binaryfunc inplace;
} binary_row_t;

static const binary_row_t binary_rows[] = {
#define BINARY(slot, name, function, inplace_slot, inplace_function)                               \
    {PG_SLOT_##slot, name, function, inplace_function},
#include "slots.def"
    {PG_SLOT_nb_divmod, "__divmod__", PyNumber_Divmod, PyNumber_Divmod},
};

static const struct {
    pg_slot_t slot;
    unaryfunc function;
} unary_rows[] = {
#define UNARY(slot, function) {PG_SLOT_##slot, function},
#include "slots.def"
};

PyObject *op_unary(PyObject *object, PyObject *args)
{
    int slot = number(ARG(0), PG_SLOT_COUNT);

    if (slot < 0)
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(unary_rows); i++)
        if (unary_rows[i].slot == (pg_slot_t)slot)
            return unary_rows[i].function(object);
    PyErr_SetString(PyExc_TypeError, "no such unary operator");
    return NULL;
}

/* What the object's own class says to `object OP other`: the slot of a class written in Python
 * would ask the other one as well, so the method is called. */
static PyObject *ask_own(const char *method_name, PyObject *object, PyObject *other)
{
    PyObject *name = PyUnicode_InternFromString(method_name);
    PyObject *method = name != NULL ? _PyType_Lookup(Py_TYPE(object), name) : NULL;
    PyObject *result;

    Py_XDECREF(name);
    if (method == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_INCREF(method);
    result = PyObject_CallFunctionObjArgs(method, object, other, NULL);
    Py_DECREF(method);
    return result;
}

static PyObject *evaluate_binary(const binary_row_t *row, int stage, PyObject *object,
                                 PyObject *other)
{
    switch ((pg_stage_t)stage) {
    case PG_STAGE_FULL:
        return row->function(object, other);
    case PG_STAGE_REVERSE:
        return row->function(other, object);
    case PG_STAGE_OWN:
        return ask_own(row->name, object, other);
    case PG_STAGE_INPLACE:
        return row->inplace(object, other);
    }
    Py_UNREACHABLE();
}

PyObject *op_binary(PyObject *object, PyObject *args)
{
    int slot = number(ARG(0), PG_SLOT_COUNT);
    int stage = number(ARG(1), PG_STAGE_INPLACE + 1);
    PyObject *other, *result;

    if (slot < 0 || stage < 0)
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(binary_rows); i++) {
        if (binary_rows[i].slot != (pg_slot_t)slot)
            continue;
        other =
            pg_operand(ARG(2), stage == PG_STAGE_INPLACE && pg_type_is_builtin(Py_TYPE(object)));
        if (other == NULL)
            return NULL;
        result = evaluate_binary(&binary_rows[i], stage, object, other);
        Py_DECREF(other);
        return result;
    }
    PyErr_SetString(PyExc_TypeError, "no such binary operator");
    return NULL;
}

PyObject *op_power(PyObject *object, PyObject *args)
{
    int stage = number(ARG(0), PG_STAGE_INPLACE + 1);
    PyObject *other, *modulus, *result = NULL;

    if (stage < 0)
        return NULL;
    other = pg_operand(ARG(1), false);
    modulus = pg_operand(ARG(2), true);
    if (other != NULL && modulus != NULL) {
        switch ((pg_stage_t)stage) {
        case PG_STAGE_FULL:
            result = PyNumber_Power(object, other, modulus);
            break;
        case PG_STAGE_REVERSE:
            result = PyNumber_Power(other, object, modulus);
            break;
        case PG_STAGE_OWN:
            result = ask_own("__pow__", object, other);
            break;
        case PG_STAGE_INPLACE:
            result = PyNumber_InPlacePower(object, other, modulus);
            break;
        }
    }
    Py_XDECREF(other);
    Py_XDECREF(modulus);
    return result;
}

/* ---- sequences ---- */

static PyObject *repeat(PyObject *object, PyObject *count)
{
    Py_ssize_t n = PyNumber_AsSsize_t(count, PyExc_OverflowError);

    return n == -1 && PyErr_Occurred() ? NULL : PySequence_Repeat(object, n);
}

static PyObject *inplace_repeat(PyObject *object, PyObject *count)
{
    Py_ssize_t n = PyNumber_AsSsize_t(count, PyExc_OverflowError);

    return n == -1 && PyErr_Occurred() ? NULL : PySequence_InPlaceRepeat(object, n);
}

static const struct {
    pg_slot_t slot;
    binaryfunc function;
} sequence_rows[] = {
#define SEQUENCE(slot, function) {PG_SLOT_##slot, function},
#include "slots.def"
};

PyObject *op_sequence(PyObject *object, PyObject *args)
{
    int slot = number(ARG(0), PG_SLOT_COUNT);
    PyObject *other, *result;

    if (slot < 0)
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(sequence_rows); i++) {
        if (sequence_rows[i].slot != (pg_slot_t)slot)
            continue;
        other = pg_operand(ARG(1), pg_type_is_builtin(Py_TYPE(object)));
        result = other != NULL ? sequence_rows[i].function(object, other) : NULL;
        Py_XDECREF(other);
        return result;
    }
    PyErr_SetString(PyExc_TypeError, "no such operator of sequences");
    return NULL;
}

/* ---- comparisons ---- */

/* What the two classes say, in the interpreter's order; NotImplemented if neither can answer, so
 * that the caller's interpreter goes on, and names the operands in the order in which they stand
 * there. */
static PyObject *ask_both(PyObject *object, PyObject *other, int how)
{
    static const int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
    richcmpfunc own = Py_TYPE(object)->tp_richcompare;
    richcmpfunc others = Py_TYPE(other)->tp_richcompare;
    bool other_first = Py_TYPE(other) != Py_TYPE(object) &&
                       PyType_IsSubtype(Py_TYPE(other), Py_TYPE(object)) && others != NULL;
    PyObject *result;

    for (int turn = 0; turn < 3; turn++) {
        if (turn == 1 ? own == NULL : others == NULL || (turn == 0) != other_first)
            continue;
        result = turn == 1 ? own(object, other, how) : others(other, object, swapped[how]);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    Py_RETURN_NOTIMPLEMENTED;
}

PyObject *op_compare(PyObject *object, PyObject *args)
{
    int how = number(ARG(0), Py_GE + 1);
    int stage = number(ARG(1), PG_STAGE_INPLACE + 1);
    richcmpfunc own = Py_TYPE(object)->tp_richcompare;
    PyObject *other, *result;

    if (how < 0 || stage < 0)
        return NULL;
    other = pg_operand(ARG(2), false);
    if (other == NULL)
        return NULL;
    if (stage == PG_STAGE_FULL)
        result = PyObject_RichCompare(object, other, how);
    else if (stage == PG_STAGE_BOTH)
        result = ask_both(object, other, how);
    else
        result = own != NULL ? own(object, other, how) : Py_NewRef(Py_NotImplemented);
    Py_DECREF(other);
    return result;
}

/* ---- iteration ---- */

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
        return index < PyByteArray_GET_SIZE(object)
                   ? PyLong_FromLong((unsigned char)PyByteArray_AS_STRING(object)[index])
                   : NULL;
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
