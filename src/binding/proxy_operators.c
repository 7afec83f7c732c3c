/*
 * The operators of Proxies.
 *
 * left OP right, where one of them is a Proxy (or both). The rules of the interpreter, in its
 * order: what the left class says; what the right class says; TypeError. A copy of a local object
 * of a class of the program is no substitute for it, so such a class is asked here; builtin classes
 * would only decline when they see a Proxy, so with them the owner goes through all the rules in
 * one request.
 */
#include "proxy_operators.h"

#include "interp.h"
#include "operators.h"
#include "ops.h"

#include <stddef.h>

#define AS_PROXY(object) ((pg_proxy_t *)(object))

/* The slot at `offset` of the numbers of a class; NULL if there is none. */
static binaryfunc number_slot(PyTypeObject *type, size_t offset)
{
    binaryfunc function = NULL;

    if (type->tp_as_number != NULL)
        memcpy(&function, (char *)type->tp_as_number + offset, sizeof(function));
    return function;
}

/* True if `object` is of a class of this program that could answer to an operator with a Proxy:
 * then it is asked here, itself, and not only as a copy over there. */
static bool has_a_say(PyObject *object, size_t offset)
{
    return PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE) && !PG_PROXY_CHECK(object) &&
           number_slot(Py_TYPE(object), offset) != NULL;
}

/* True if a local object is, by its name, of the class of the Proxy's object, a class of the
 * program. Such an operand is not asked for the reflected operation. */
static bool is_twin(PyObject *object, PyObject *proxy)
{
    return PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE) && !PG_PROXY_CHECK(object) &&
           strcmp(Py_TYPE(object)->tp_name, AS_PROXY(proxy)->shape->name) == 0;
}

/* True if a local object is, by the names, of a subclass of the class of the Proxy's object. */
static bool is_of_subclass(PyObject *object, PyObject *proxy)
{
    PyObject *classes = Py_TYPE(object)->tp_mro;

    for (Py_ssize_t i = 1; classes != NULL && i < PyTuple_GET_SIZE(classes); i++) {
        PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(classes, i);

        if (type != &PyBaseObject_Type && strcmp(type->tp_name, AS_PROXY(proxy)->shape->name) == 0)
            return true;
    }
    return false;
}

/* True if the answer comes at once and by value, so that it may be NotImplemented. */
static bool is_asking(PyObject *proxy)
{
    return AS_PROXY(proxy)->mode == PG_MODE_VALUE;
}

static bool is_concat_only(PyObject *proxy)
{
    return pg_shape_has(AS_PROXY(proxy)->shape, PG_SLOT_CONCAT_ONLY);
}

static PyObject *operate_binary(PyObject *proxy, pg_slot_t slot, pg_stage_t stage, PyObject *other)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_BINARY,
                            Py_BuildValue("(iiO)", (int)slot, (int)stage, other));
}

/* A local object OP= a Proxy, which it did not know what to do with. A builtin class changes itself
 * only for an operand of a type it knows: it gets the object, or a copy. */
static PyObject *inplace_with_copy(PyObject *left, binaryfunc function, PyObject *right)
{
    PyObject *value = pg_proxy_referent(AS_PROXY(right));
    PyObject *result = value != NULL ? function(left, value) : NULL;

    Py_XDECREF(value);
    return result;
}

/* The Proxy is at the right of a local object. */
static PyObject *reflected(pg_slot_t slot, size_t offset, binaryfunc inplace, PyObject *left,
                           PyObject *right)
{
    if (inplace != NULL && pg_type_is_builtin(Py_TYPE(left)) && pg_interp_is_inplace()) {
        if (slot == PG_SLOT_nb_add && PyList_CheckExact(left))
            Py_RETURN_NOTIMPLEMENTED; /* a list extends itself with whatever has items */
        return inplace_with_copy(left, inplace, right);
    }
    if (pg_proxy_is_direct(AS_PROXY(right)))
        return pg_ask_reverse(offset, left, AS_PROXY(right)->object);
    return operate_binary(right, slot, is_asking(right) ? PG_STAGE_BOTH_REVERSE : PG_STAGE_REVERSE,
                          left);
}

static PyObject *binary(pg_slot_t slot, size_t offset, binaryfunc inplace, PyObject *left,
                        PyObject *right)
{
    PyObject *result;

    if (!PG_PROXY_CHECK(left))
        return reflected(slot, offset, inplace, left, right);
    if (slot == PG_SLOT_nb_add && is_concat_only(left))
        Py_RETURN_NOTIMPLEMENTED;                  /* then comes sq_concat, or its in-place form */
    if (is_asking(left) && is_twin(right, left)) { /* the interpreter must not ask it once more */
        bool changes = inplace != NULL && pg_interp_is_inplace();

        return changes ? operate_binary(left, slot, PG_STAGE_INPLACE, right)
                       : operate_binary(left, slot, PG_STAGE_FULL, right);
    }
    if (pg_proxy_is_direct(AS_PROXY(left))) {
        if (PG_PROXY_CHECK(right) && pg_proxy_is_direct(AS_PROXY(right)))
            right = AS_PROXY(right)->object;
        return pg_proxy_own(AS_PROXY(left), pg_ask_both(offset, AS_PROXY(left)->object, right));
    }
    if (is_asking(left) && has_a_say(right, offset)) {
        if (is_of_subclass(right, left)) { /* then it is asked first */
            result = number_slot(Py_TYPE(right), offset)(left, right);
            if (result != Py_NotImplemented)
                return result;
            Py_DECREF(result);
        }
        result = operate_binary(left, slot, PG_STAGE_OWN, right);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
        result = number_slot(Py_TYPE(right), offset)(left, right);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    return operate_binary(left, slot, is_asking(left) ? PG_STAGE_BOTH : PG_STAGE_FULL, right);
}

static PyObject *inplace(pg_slot_t slot, binaryfunc function, PyObject *self, PyObject *other)
{
    if (pg_proxy_is_direct(AS_PROXY(self)) && !PG_PROXY_CHECK(other))
        return pg_proxy_own(AS_PROXY(self), function(AS_PROXY(self)->object, other));
    return operate_binary(self, slot, PG_STAGE_INPLACE, other);
}

static PyObject *sequence(PyObject *self, pg_slot_t slot, PyObject *other)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_SEQUENCE,
                            Py_BuildValue("(iO)", (int)slot, other));
}

static PyObject *unary(PyObject *self, pg_slot_t slot, unaryfunc function)
{
    PyObject *args;

    if (pg_proxy_is_direct(AS_PROXY(self)))
        return pg_proxy_own(AS_PROXY(self), function(AS_PROXY(self)->object));
    args = Py_BuildValue("(i)", (int)slot);
    if (slot == PG_SLOT_nb_int || slot == PG_SLOT_nb_float || slot == PG_SLOT_nb_index)
        return pg_proxy_operate_now(AS_PROXY(self), PG_OP_UNARY, args);
    return pg_proxy_operate(AS_PROXY(self), PG_OP_UNARY, args);
}

#define BINARY(slot, name, function, inplace_slot, inplace_function)                               \
    PyObject *pg_Proxy_##slot(PyObject *left, PyObject *right)                                     \
    {                                                                                              \
        return binary(PG_SLOT_##slot, offsetof(PyNumberMethods, slot), inplace_function, left,     \
                      right);                                                                      \
    }                                                                                              \
    PyObject *pg_Proxy_##inplace_slot(PyObject *self, PyObject *other)                             \
    {                                                                                              \
        return inplace(PG_SLOT_##slot, inplace_function, self, other);                             \
    }
#define UNARY(slot, function)                                                                      \
    PyObject *pg_Proxy_##slot(PyObject *self)                                                      \
    {                                                                                              \
        return unary(self, PG_SLOT_##slot, function);                                              \
    }
#include "slots.def"

PyObject *pg_Proxy_divmod(PyObject *left, PyObject *right)
{
    return binary(PG_SLOT_nb_divmod, offsetof(PyNumberMethods, nb_divmod), NULL, left, right);
}

/* ---- sequences ---- */

PyObject *pg_Proxy_sq_concat(PyObject *self, PyObject *other)
{
    return sequence(self, PG_SLOT_sq_concat, other);
}

PyObject *pg_Proxy_sq_inplace_concat(PyObject *self, PyObject *other)
{
    return sequence(self, PG_SLOT_sq_inplace_concat, other);
}

static PyObject *repeat(PyObject *self, pg_slot_t slot, Py_ssize_t count)
{
    PyObject *number = PyLong_FromSsize_t(count);
    PyObject *result = number != NULL ? sequence(self, slot, number) : NULL;

    Py_XDECREF(number);
    return result;
}

PyObject *pg_Proxy_sq_repeat(PyObject *self, Py_ssize_t count)
{
    return repeat(self, PG_SLOT_sq_repeat, count);
}

PyObject *pg_Proxy_sq_inplace_repeat(PyObject *self, Py_ssize_t count)
{
    return repeat(self, PG_SLOT_sq_inplace_repeat, count);
}

/* ---- power ---- */

static PyObject *operate_power(PyObject *proxy, pg_stage_t stage, PyObject *other,
                               PyObject *modulus)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_POWER,
                            Py_BuildValue("(iOO)", (int)stage, other, modulus));
}

static PyObject *power_of_proxy(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    bool twin = is_twin(exponent, base);
    bool asking = is_asking(base) && modulus == Py_None && !twin;
    PyObject *result;

    if (twin && pg_interp_is_inplace())
        return operate_power(base, PG_STAGE_INPLACE, exponent, modulus);
    if (asking && !pg_proxy_is_at_hand(AS_PROXY(base)) &&
        has_a_say(exponent, offsetof(PyNumberMethods, nb_power))) {
        result = operate_power(base, PG_STAGE_OWN, exponent, modulus);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
        result = Py_TYPE(exponent)->tp_as_number->nb_power(base, exponent, modulus);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    return operate_power(base, asking ? PG_STAGE_BOTH : PG_STAGE_FULL, exponent, modulus);
}

PyObject *pg_Proxy_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    PyObject *value, *result;

    if (PG_PROXY_CHECK(base))
        return power_of_proxy(base, exponent, modulus);
    if (PG_PROXY_CHECK(exponent)) {
        bool asking = is_asking(exponent) && modulus == Py_None;

        return operate_power(exponent, asking ? PG_STAGE_BOTH_REVERSE : PG_STAGE_REVERSE, base,
                             modulus);
    }
    value = pg_proxy_referent(AS_PROXY(modulus));
    result = value != NULL ? PyNumber_Power(base, exponent, value) : NULL;
    Py_XDECREF(value);
    return result;
}

PyObject *pg_Proxy_inplace_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    return operate_power(base, PG_STAGE_INPLACE, exponent, modulus);
}

/* ---- comparisons ---- */

static PyObject *compare(PyObject *proxy, int how, pg_stage_t stage, PyObject *other)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_COMPARE,
                            Py_BuildValue("(iiO)", how, (int)stage, other));
}

PyObject *pg_Proxy_richcompare(PyObject *self, PyObject *other, int how)
{
    static const int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
    richcmpfunc local = Py_TYPE(other)->tp_richcompare;
    bool ordering = how != Py_EQ && how != Py_NE;
    PyObject *result;

    if (pg_proxy_is_direct(AS_PROXY(self))) {
        if (PG_PROXY_CHECK(other) && pg_proxy_is_direct(AS_PROXY(other)))
            other = AS_PROXY(other)->object;
        return ordering ? pg_compare_both(AS_PROXY(self)->object, other, how)
                        : PyObject_RichCompare(AS_PROXY(self)->object, other, how);
    }
    if (is_asking(self) && local != NULL && !PG_PROXY_CHECK(other) &&
        local != PyBaseObject_Type.tp_richcompare &&
        PyType_HasFeature(Py_TYPE(other), Py_TPFLAGS_HEAPTYPE)) {
        result = compare(self, how, PG_STAGE_OWN, other);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
        result = local(other, self, swapped[how]);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    return compare(self, how, is_asking(self) && ordering ? PG_STAGE_BOTH : PG_STAGE_FULL, other);
}
