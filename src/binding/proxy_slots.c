/*
 * The slots of Proxy types.
 *
 * Every slot does the same: on the owner it asks the object, elsewhere it makes an operation of it.
 * What differs is who else has a say: see binary().
 */
#include "proxy_slots.h"

#include "interp.h"
#include "method.h"
#include "ops.h"
#include "proxy.h"

#include <stddef.h>

#define AS_PROXY(object) ((pg_proxy_t *)(object))

/* The outcome of an operation that has none but success. */
static int finish(PyObject *result)
{
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

/* ---- attributes and calls ---- */

static bool is_one_of(PyObject *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return true;
    return false;
}

/* What pickle and copy ask for, which the Proxy answers itself. */
static const char *const own_names[] = {"__reduce_ex__", "__reduce__", "__copy__", "__deepcopy__"};

/* Names that stand for memory of the object's process. */
static const char *const address_names[] = {"__array_interface__", "__array_struct__",
                                            "__cuda_array_interface__", "__dlpack__",
                                            "__dlpack_device__"};

static PyObject *Proxy_getattro(PyObject *self, PyObject *name)
{
    pg_proxy_t *proxy = AS_PROXY(self);

    if (PyUnicode_GET_LENGTH(name) > 4 && PyUnicode_READ_CHAR(name, 1) == '_') {
        if (is_one_of(name, own_names, Py_ARRAY_LENGTH(own_names)))
            return PyObject_GenericGetAttr(self, name);
        if (proxy->object == NULL && is_one_of(name, address_names, Py_ARRAY_LENGTH(address_names)))
            return PyErr_Format(PyExc_AttributeError, "'%.200s' object on rank %d has no %U here",
                                proxy->shape->name, proxy->owner, name);
    }
    if (pg_proxy_is_direct(proxy))
        return PyObject_GetAttr(proxy->object, name);
    if (pg_interp_is_calling(name))
        return pg_method_new(proxy, name);
    return pg_proxy_operate(proxy, PG_OP_GETATTR, PyTuple_Pack(1, name));
}

static int Proxy_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    pg_proxy_t *proxy = AS_PROXY(self);

    if (pg_proxy_is_direct(proxy))
        return PyObject_SetAttr(proxy->object, name, value);
    if (value == NULL)
        return finish(pg_proxy_operate(proxy, PG_OP_DELATTR, PyTuple_Pack(1, name)));
    return finish(pg_proxy_operate(proxy, PG_OP_SETATTR, PyTuple_Pack(2, name, value)));
}

static PyObject *Proxy_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    pg_proxy_t *proxy = AS_PROXY(self);

    if (pg_proxy_is_direct(proxy))
        return PyObject_Call(proxy->object, args, kwargs);
    return pg_proxy_operate(proxy, PG_OP_CALL,
                            PyTuple_Pack(2, args, kwargs != NULL ? kwargs : Py_None));
}

/* ---- containers ---- */

static PyObject *Proxy_subscript(PyObject *self, PyObject *key)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_GETITEM, PyTuple_Pack(1, key));
}

static int Proxy_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL)
        return finish(pg_proxy_operate(AS_PROXY(self), PG_OP_DELITEM, PyTuple_Pack(1, key)));
    return finish(pg_proxy_operate(AS_PROXY(self), PG_OP_SETITEM, PyTuple_Pack(2, key, value)));
}

static PyObject *Proxy_item(PyObject *self, Py_ssize_t index)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_GETITEM, Py_BuildValue("(n)", index));
}

static int Proxy_ass_item(PyObject *self, Py_ssize_t index, PyObject *value)
{
    PyObject *key = PyLong_FromSsize_t(index);
    int failed = key != NULL ? Proxy_ass_subscript(self, key, value) : -1;

    Py_XDECREF(key);
    return failed;
}

static Py_ssize_t Proxy_length(PyObject *self)
{
    PyObject *result = pg_proxy_operate_now(AS_PROXY(self), PG_OP_LEN, PyTuple_New(0));
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
        pg_proxy_operate_now(AS_PROXY(self), PG_OP_CONTAINS, PyTuple_Pack(1, item)));
}

static int Proxy_bool(PyObject *self)
{
    return finish_truth(pg_proxy_operate_now(AS_PROXY(self), PG_OP_BOOL, PyTuple_New(0)));
}

/* ---- operators ---- */

/* True if `object` is of a class of this program that could answer to an operator with a Proxy:
 * then it is asked here, itself, and not only as a copy over there. */
static bool has_a_say(PyObject *object, size_t offset, binaryfunc *function)
{
    PyTypeObject *type = Py_TYPE(object);

    *function = NULL;
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || PG_PROXY_CHECK(object) ||
        type->tp_as_number == NULL)
        return false;
    memcpy(function, (char *)type->tp_as_number + offset, sizeof(*function));
    return *function != NULL;
}

static PyObject *operate_binary(PyObject *proxy, pg_slot_t slot, pg_stage_t stage, PyObject *other)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_BINARY,
                            Py_BuildValue("(iiO)", (int)slot, (int)stage, other));
}

/*
 * left OP right, where one of them is a Proxy (or both). The rules of the interpreter, in its
 * order: what the left class says; what the right class says; TypeError. A copy of a local object
 * of a class of the program is no substitute for it, so such a class is asked here; builtin classes
 * would only decline when they see a Proxy, so with them the owner goes through all the rules in
 * one request.
 */
static PyObject *binary(pg_slot_t slot, size_t offset, binaryfunc function, PyObject *left,
                        PyObject *right)
{
    binaryfunc local;
    PyObject *result;

    if (!PG_PROXY_CHECK(left)) {
        bool concat =
            slot == PG_SLOT_nb_add && pg_shape_has(AS_PROXY(right)->shape, PG_SLOT_CONCAT_ONLY);

        if (concat && pg_interp_is_inplace())
            Py_RETURN_NOTIMPLEMENTED; /* a local list += a Proxy: the list extends itself */
        if (pg_proxy_is_direct(AS_PROXY(right)))
            return function(left, AS_PROXY(right)->object);
        return operate_binary(right, slot, PG_STAGE_REVERSE, left);
    }
    if (pg_proxy_is_direct(AS_PROXY(left)))
        return function(AS_PROXY(left)->object, right);
    if (slot == PG_SLOT_nb_add && pg_shape_has(AS_PROXY(left)->shape, PG_SLOT_CONCAT_ONLY))
        Py_RETURN_NOTIMPLEMENTED; /* then comes sq_concat */
    if (AS_PROXY(left)->mode == PG_MODE_VALUE && has_a_say(right, offset, &local)) {
        result = operate_binary(left, slot, PG_STAGE_OWN, right);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
        result = local(left, right);
        if (result != Py_NotImplemented)
            return result;
        Py_DECREF(result);
    }
    return operate_binary(left, slot, PG_STAGE_FULL, right);
}

#define BINARY(slot, name, function, inplace_slot, inplace_function)                               \
    static PyObject *Proxy_##slot(PyObject *left, PyObject *right)                                 \
    {                                                                                              \
        return binary(PG_SLOT_##slot, offsetof(PyNumberMethods, slot), function, left, right);     \
    }                                                                                              \
    static PyObject *Proxy_##inplace_slot(PyObject *self, PyObject *other)                         \
    {                                                                                              \
        return operate_binary(self, PG_SLOT_##slot, PG_STAGE_INPLACE, other);                      \
    }
#define SEQUENCE(slot, function)                                                                   \
    static PyObject *Proxy_sequence_##slot(PyObject *self, PyObject *other)                        \
    {                                                                                              \
        return pg_proxy_operate(AS_PROXY(self), PG_OP_SEQUENCE,                                    \
                                Py_BuildValue("(iO)", (int)PG_SLOT_##slot, other));                \
    }
#include "slots.def"

static PyObject *Proxy_sq_concat(PyObject *self, PyObject *other)
{
    return Proxy_sequence_sq_concat(self, other);
}

static PyObject *Proxy_sq_inplace_concat(PyObject *self, PyObject *other)
{
    return Proxy_sequence_sq_inplace_concat(self, other);
}

static PyObject *repeat_with(PyObject *(*function)(PyObject *, PyObject *), PyObject *self,
                             Py_ssize_t count)
{
    PyObject *number = PyLong_FromSsize_t(count);
    PyObject *result = number != NULL ? function(self, number) : NULL;

    Py_XDECREF(number);
    return result;
}

static PyObject *Proxy_sq_repeat(PyObject *self, Py_ssize_t count)
{
    return repeat_with(Proxy_sequence_sq_repeat, self, count);
}

static PyObject *Proxy_sq_inplace_repeat(PyObject *self, Py_ssize_t count)
{
    return repeat_with(Proxy_sequence_sq_inplace_repeat, self, count);
}

static PyObject *Proxy_divmod(PyObject *left, PyObject *right)
{
    return binary(PG_SLOT_nb_divmod, offsetof(PyNumberMethods, nb_divmod), PyNumber_Divmod, left,
                  right);
}

static PyObject *operate_power(PyObject *proxy, pg_stage_t stage, PyObject *other,
                               PyObject *modulus)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_POWER,
                            Py_BuildValue("(iOO)", (int)stage, other, modulus));
}

static PyObject *Proxy_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    PyObject *value, *result;

    if (PG_PROXY_CHECK(base))
        return operate_power(base, PG_STAGE_FULL, exponent, modulus);
    if (PG_PROXY_CHECK(exponent))
        return operate_power(exponent, PG_STAGE_REVERSE, base, modulus);
    value = pg_proxy_operate_now(AS_PROXY(modulus), PG_OP_RESOLVE, PyTuple_New(0));
    result = value != NULL ? PyNumber_Power(base, exponent, value) : NULL;
    Py_XDECREF(value);
    return result;
}

static PyObject *Proxy_inplace_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    return operate_power(base, PG_STAGE_INPLACE, exponent, modulus);
}

static PyObject *unary(PyObject *self, pg_slot_t slot)
{
    PyObject *args = Py_BuildValue("(i)", (int)slot);

    if (slot == PG_SLOT_nb_int || slot == PG_SLOT_nb_float || slot == PG_SLOT_nb_index)
        return pg_proxy_operate_now(AS_PROXY(self), PG_OP_UNARY, args);
    return pg_proxy_operate(AS_PROXY(self), PG_OP_UNARY, args);
}

#define UNARY(slot, function)                                                                      \
    static PyObject *Proxy_##slot(PyObject *self)                                                  \
    {                                                                                              \
        return unary(self, PG_SLOT_##slot);                                                        \
    }
#include "slots.def"

static PyObject *compare(PyObject *proxy, int how, pg_stage_t stage, PyObject *other)
{
    return pg_proxy_operate(AS_PROXY(proxy), PG_OP_COMPARE,
                            Py_BuildValue("(iiO)", how, (int)stage, other));
}

static PyObject *Proxy_richcompare(PyObject *self, PyObject *other, int how)
{
    static const int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
    richcmpfunc local = Py_TYPE(other)->tp_richcompare;
    PyObject *result;

    if (pg_proxy_is_direct(AS_PROXY(self)))
        return PyObject_RichCompare(AS_PROXY(self)->object, other, how);
    if (AS_PROXY(self)->mode == PG_MODE_VALUE && local != NULL && !PG_PROXY_CHECK(other) &&
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
    return compare(self, how, PG_STAGE_FULL, other);
}

static Py_hash_t Proxy_hash(PyObject *self)
{
    PyObject *result = pg_proxy_operate_now(AS_PROXY(self), PG_OP_HASH, PyTuple_New(0));
    Py_hash_t hash;

    if (result == NULL)
        return -1;
    hash = (Py_hash_t)PyLong_AsSsize_t(result);
    Py_DECREF(result);
    return hash;
}

/* ---- texts ---- */

static PyObject *Proxy_str(PyObject *self)
{
    return pg_proxy_operate_now(AS_PROXY(self), PG_OP_STR, PyTuple_New(0));
}

static PyObject *Proxy_repr(PyObject *self)
{
    if (AS_PROXY(self)->mode == PG_MODE_ASYNC)
        return PyUnicode_FromFormat("<pygas.async_ of a %s on rank %d>",
                                    AS_PROXY(self)->shape->name, AS_PROXY(self)->owner);
    return pg_proxy_operate_now(AS_PROXY(self), PG_OP_REPR, PyTuple_New(0));
}

static PyObject *Proxy_format(PyObject *self, PyObject *spec)
{
    return pg_proxy_operate_now(AS_PROXY(self), PG_OP_FORMAT, PyTuple_Pack(1, spec));
}

static PyObject *Proxy_dir(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pg_proxy_operate_now(AS_PROXY(self), PG_OP_DIR, PyTuple_New(0));
}

/* ---- iteration, awaiting, special methods ---- */

static PyObject *special(PyObject *self, const char *name, PyObject *args)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_SPECIAL, Py_BuildValue("(sO)", name, args));
}

static PyObject *special_without(PyObject *self, const char *name)
{
    PyObject *args = PyTuple_New(0);
    PyObject *result = args != NULL ? special(self, name, args) : NULL;

    Py_XDECREF(args);
    return result;
}

static PyObject *Proxy_iter(PyObject *self)
{
    pg_proxy_t *proxy = AS_PROXY(self);
    PyObject *plan, *module, *result;

    if (pg_proxy_is_direct(proxy))
        return PyObject_GetIter(proxy->object);
    if (proxy->mode != PG_MODE_VALUE)
        return special_without(self, "__iter__");
    plan = pg_proxy_operate(proxy, PG_OP_ITER, PyTuple_New(0));
    if (plan == NULL || !PyTuple_CheckExact(plan))
        return plan;
    module = PyImport_ImportModule("pygas._iterate");
    result = module != NULL ? PyObject_CallMethod(module, "iterate", "OO", self, plan) : NULL;
    Py_XDECREF(module);
    Py_DECREF(plan);
    return result;
}

static PyObject *Proxy_iternext(PyObject *self)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_NEXT, PyTuple_New(0));
}

static PyObject *Proxy_await(PyObject *self)
{
    return special_without(self, "__await__");
}

static PyObject *Proxy_aiter(PyObject *self)
{
    return special_without(self, "__aiter__");
}

static PyObject *Proxy_anext(PyObject *self)
{
    return special_without(self, "__anext__");
}

/* __exit__(type, exception, traceback): tracebacks do not travel. */
static PyObject *without_traceback(PyObject *self, const char *name, PyObject *args)
{
    PyObject *shorter, *result;

    if (pg_proxy_is_direct(AS_PROXY(self)) || PyTuple_GET_SIZE(args) != 3)
        return special(self, name, args);
    shorter = PyTuple_Pack(3, PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1), Py_None);
    result = shorter != NULL ? special(self, name, shorter) : NULL;
    Py_XDECREF(shorter);
    return result;
}

#define SPECIAL(name)                                                                              \
    static PyObject *Proxy_special_##name(PyObject *self, PyObject *args)                          \
    {                                                                                              \
        if (PG_SLOT_##name == PG_SLOT___exit__ || PG_SLOT_##name == PG_SLOT___aexit__)             \
            return without_traceback(self, #name, args);                                           \
        return special(self, #name, args);                                                         \
    }
#include "slots.def"

/* ---- copies ---- */

static PyObject *copy(PyObject *self, PyObject *deep)
{
    return pg_proxy_operate_now(AS_PROXY(self), PG_OP_COPY, PyTuple_Pack(1, deep));
}

static PyObject *Proxy_copy(PyObject *self, PyObject *unused)
{
    (void)unused;
    return copy(self, Py_False);
}

static PyObject *Proxy_deepcopy(PyObject *self, PyObject *memo)
{
    (void)memo;
    return copy(self, Py_True);
}

static PyObject *Proxy_reduce(PyObject *self, PyObject *args)
{
    PyObject *core = PyImport_ImportModule("pygas._core");
    PyObject *reduced = core != NULL ? PyObject_CallMethod(core, "reduce_proxy", "O", self) : NULL;

    (void)args;
    Py_XDECREF(core);
    return reduced;
}

/* ---- the tables ---- */

#define Proxy_slot(slot)                                                                           \
    {                                                                                              \
        Py_##slot, (void *)Proxy_##slot                                                            \
    }

const pg_slot_row_t pg_slot_rows[PG_SLOT_COUNT] = {
#define BINARY(slot, name, function, inplace, inplace_function)                                    \
    [PG_SLOT_##slot] = Proxy_slot(slot), [PG_SLOT_##inplace] = Proxy_slot(inplace),
#define UNARY(slot, function) [PG_SLOT_##slot] = Proxy_slot(slot),
#define SEQUENCE(slot, function) [PG_SLOT_##slot] = Proxy_slot(slot),
#define OTHER(slot, function) [PG_SLOT_##slot] = {Py_##slot, (void *)function},
#include "slots.def"
};

const pg_special_row_t pg_special_rows[] = {
#define SPECIAL(name) {PG_SLOT_##name, {#name, Proxy_special_##name, METH_VARARGS, NULL}},
#include "slots.def"
};

const size_t pg_special_count = Py_ARRAY_LENGTH(pg_special_rows);

static int Proxy_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(AS_PROXY(self)->object);
    return 0;
}

static int Proxy_clear(PyObject *self)
{
    Py_CLEAR(AS_PROXY(self)->object);
    return 0;
}

static void Proxy_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (AS_PROXY(self)->weak_references != NULL)
        PyObject_ClearWeakRefs(self);
    Proxy_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

const PyType_Slot pg_proxy_common_slots[] = {
    {Py_tp_traverse, Proxy_traverse}, {Py_tp_clear, Proxy_clear},
    {Py_tp_dealloc, Proxy_dealloc},   {Py_tp_getattro, Proxy_getattro},
    {Py_tp_setattro, Proxy_setattro}, {Py_tp_str, Proxy_str},
    {Py_tp_repr, Proxy_repr},         {Py_tp_richcompare, Proxy_richcompare},
};

const size_t pg_proxy_common_count = Py_ARRAY_LENGTH(pg_proxy_common_slots);

const PyType_Slot pg_proxy_hash_slot = {Py_tp_hash, Proxy_hash};

PyMethodDef pg_proxy_common_methods[] = {
    {"__format__", Proxy_format, METH_O, NULL},
    {"__dir__", Proxy_dir, METH_NOARGS, NULL},
    {"__copy__", Proxy_copy, METH_NOARGS, NULL},
    {"__deepcopy__", Proxy_deepcopy, METH_O, NULL},
    {"__reduce__", Proxy_reduce, METH_NOARGS, NULL},
    {"__reduce_ex__", Proxy_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
