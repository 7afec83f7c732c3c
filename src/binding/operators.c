#include "operators.h"

#include "compat.h"
#include "ops.h"
#include "proxy.h"
#include "shape.h"

#include <stddef.h>

#define ARG(i) PyTuple_GET_ITEM(args, i)

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

    if (PG_PROXY_CHECK(other) && (pg_proxy_is_at_hand(proxy) ||
                                  (insists && !pg_shape_has(proxy->shape, PG_SLOT_tp_iternext))))
        return pg_proxy_referent(proxy);
    return Py_NewRef(other);
}

/* ---- numbers ---- */

typedef struct binary_row {
    pg_slot_t slot;
    const char *name; /* of the method */
    size_t offset;    /* of the slot in PyNumberMethods */
    binaryfunc function;
    binaryfunc inplace;
} binary_row_t;

static const binary_row_t binary_rows[] = {
#define BINARY(slot, name, function, inplace_slot, inplace_function)                               \
    {PG_SLOT_##slot, name, offsetof(PyNumberMethods, slot), function, inplace_function},
#include "slots.def"
    {PG_SLOT_nb_divmod, "__divmod__", offsetof(PyNumberMethods, nb_divmod), PyNumber_Divmod,
     PyNumber_Divmod},
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
    PyObject *method = name != NULL ? pg_type_find(Py_TYPE(object), name) : NULL;
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
    pg_found_drop(method);
    return result;
}

/* A slot among the numbers of a class, power's with no modulus. */
static PyObject *ask_slot(size_t offset, PyTypeObject *type, PyObject *left, PyObject *right)
{
    binaryfunc binary;
    ternaryfunc ternary;

    if (offset == offsetof(PyNumberMethods, nb_power)) {
        memcpy(&ternary, (char *)type->tp_as_number + offset, sizeof(ternary));
        return ternary(left, right, Py_None);
    }
    memcpy(&binary, (char *)type->tp_as_number + offset, sizeof(binary));
    return binary(left, right);
}

static void *slot_at(PyTypeObject *type, size_t offset)
{
    void *slot = NULL;

    if (type->tp_as_number != NULL)
        memcpy(&slot, (char *)type->tp_as_number + offset, sizeof(slot));
    return slot;
}

PyObject *pg_ask_both(size_t offset, PyObject *left, PyObject *right)
{
    void *lefts = slot_at(Py_TYPE(left), offset), *rights = slot_at(Py_TYPE(right), offset);
    bool right_first = lefts != NULL && PyType_IsSubtype(Py_TYPE(right), Py_TYPE(left));
    PyObject *result;

    if (rights == lefts)
        rights = NULL;
    for (int turn = 0; turn < 3; turn++) {
        if (turn == 1 ? lefts == NULL : rights == NULL || (turn == 0) != right_first)
            continue;
        result = ask_slot(offset, Py_TYPE(turn == 1 ? left : right), left, right);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    Py_RETURN_NOTIMPLEMENTED;
}

PyObject *pg_ask_reverse(size_t offset, PyObject *left, PyObject *right)
{
    PySequenceMethods *methods = Py_TYPE(left)->tp_as_sequence;
    PyObject *result = pg_ask_both(offset, left, right);

    if (result != Py_NotImplemented || offset != offsetof(PyNumberMethods, nb_add) ||
        methods == NULL || methods->sq_concat == NULL || !PySequence_Check(right))
        return result;
    Py_DECREF(result);
    return methods->sq_concat(left, right);
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
    case PG_STAGE_BOTH:
        return pg_ask_both(row->offset, object, other);
    case PG_STAGE_BOTH_REVERSE:
        return pg_ask_reverse(row->offset, other, object);
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

static PyObject *evaluate_power(int stage, PyObject *object, PyObject *other, PyObject *modulus)
{
    const size_t offset = offsetof(PyNumberMethods, nb_power);

    switch ((pg_stage_t)stage) {
    case PG_STAGE_FULL:
        return PyNumber_Power(object, other, modulus);
    case PG_STAGE_REVERSE:
        return PyNumber_Power(other, object, modulus);
    case PG_STAGE_OWN:
        return ask_own("__pow__", object, other);
    case PG_STAGE_BOTH:
        return pg_ask_both(offset, object, other);
    case PG_STAGE_BOTH_REVERSE:
        return pg_ask_both(offset, other, object);
    case PG_STAGE_INPLACE:
        return PyNumber_InPlacePower(object, other, modulus);
    }
    Py_UNREACHABLE();
}

PyObject *op_power(PyObject *object, PyObject *args)
{
    int stage = number(ARG(0), PG_STAGE_INPLACE + 1);
    PyObject *other, *modulus, *result = NULL;

    if (stage < 0)
        return NULL;
    other = pg_operand(ARG(1), false);
    modulus = pg_operand(ARG(2), true);
    if (other != NULL && modulus != NULL)
        result = evaluate_power(stage, object, other, modulus);
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

PyObject *pg_compare_both(PyObject *object, PyObject *other, int how)
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
        result = pg_compare_both(object, other, how);
    else
        result = own != NULL ? own(object, other, how) : Py_NewRef(Py_NotImplemented);
    Py_DECREF(other);
    return result;
}
