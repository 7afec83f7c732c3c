/*
 * The slots of Proxy types.
 *
 * Every slot does the same: on the owner it asks the object, elsewhere it makes an operation of it.
 * The operators, where others have a say, too, are in proxy_operators.c.
 */
#include "proxy_slots.h"

#include "interp.h"
#include "method.h"
#include "ops.h"
#include "proxy.h"
#include "proxy_operators.h"

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
    PyObject *result;

    if (PyUnicode_GET_LENGTH(name) > 4 && PyUnicode_READ_CHAR(name, 1) == '_') {
        if (is_one_of(name, own_names, Py_ARRAY_LENGTH(own_names)))
            return PyObject_GenericGetAttr(self, name);
        if (!pg_proxy_is_at_hand(proxy) &&
            is_one_of(name, address_names, Py_ARRAY_LENGTH(address_names)))
            return PyErr_Format(PyExc_AttributeError, "'%.200s' object on rank %d has no %U here",
                                proxy->shape->name, proxy->owner, name);
    }
    if (pg_proxy_is_direct(proxy))
        return PyObject_GetAttr(proxy->object, name);
    if (pg_interp_is_calling(name))
        return pg_method_new(proxy, name);
    result = pg_proxy_operate(proxy, PG_OP_GETATTR, PyTuple_Pack(1, name));
    /* A class that cannot be copied: isinstance() with an abstract class insists on a class. */
    if (result != NULL && PG_PROXY_CHECK(result) && proxy->mode == PG_MODE_VALUE &&
        PyUnicode_CompareWithASCIIString(name, "__class__") == 0)
        Py_SETREF(result, Py_NewRef((PyObject *)Py_TYPE(self)));
    return result;
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
        return pg_proxy_own(proxy, PyObject_Call(proxy->object, args, kwargs));
    return pg_proxy_operate(proxy, PG_OP_CALL,
                            PyTuple_Pack(2, args, kwargs != NULL ? kwargs : Py_None));
}

/* ---- containers ---- */

static PyObject *Proxy_subscript(PyObject *self, PyObject *key)
{
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return pg_proxy_own(AS_PROXY(self), PyObject_GetItem(AS_PROXY(self)->object, key));
    return pg_proxy_operate(AS_PROXY(self), PG_OP_GETITEM, PyTuple_Pack(1, key));
}

static int Proxy_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return value != NULL ? PyObject_SetItem(AS_PROXY(self)->object, key, value)
                             : PyObject_DelItem(AS_PROXY(self)->object, key);
    if (value == NULL)
        return finish(pg_proxy_operate(AS_PROXY(self), PG_OP_DELITEM, PyTuple_Pack(1, key)));
    return finish(pg_proxy_operate(AS_PROXY(self), PG_OP_SETITEM, PyTuple_Pack(2, key, value)));
}

static PyObject *Proxy_item(PyObject *self, Py_ssize_t index)
{
    return pg_proxy_operate(AS_PROXY(self), PG_OP_ITEM, Py_BuildValue("(n)", index));
}

static int Proxy_ass_item(PyObject *self, Py_ssize_t index, PyObject *value)
{
    PyObject *key;
    int failed;

    if (index < 0 && pg_shape_has(AS_PROXY(self)->shape, PG_SLOT_sq_length))
        index =
            PY_SSIZE_T_MAX; /* counted from the end already: out of range, as the class says it */
    key = PyLong_FromSsize_t(index);
    failed = key != NULL ? Proxy_ass_subscript(self, key, value) : -1;
    Py_XDECREF(key);
    return failed;
}

static Py_ssize_t Proxy_length(PyObject *self)
{
    PyObject *result;
    Py_ssize_t length;

    if (pg_proxy_is_direct(AS_PROXY(self)))
        return PyObject_Size(AS_PROXY(self)->object);
    result = pg_proxy_operate_now(AS_PROXY(self), PG_OP_LEN, PyTuple_New(0));
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
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return PySequence_Contains(AS_PROXY(self)->object, item);
    return finish_truth(
        pg_proxy_operate_now(AS_PROXY(self), PG_OP_CONTAINS, PyTuple_Pack(1, item)));
}

static int Proxy_bool(PyObject *self)
{
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return PyObject_IsTrue(AS_PROXY(self)->object);
    return finish_truth(pg_proxy_operate_now(AS_PROXY(self), PG_OP_BOOL, PyTuple_New(0)));
}

static Py_hash_t Proxy_hash(PyObject *self)
{
    PyObject *result;
    Py_hash_t hash;

    if (pg_proxy_is_direct(AS_PROXY(self)))
        return PyObject_Hash(AS_PROXY(self)->object);
    result = pg_proxy_operate_now(AS_PROXY(self), PG_OP_HASH, PyTuple_New(0));
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
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return Py_TYPE(AS_PROXY(self)->object)->tp_iternext(AS_PROXY(self)->object);
    return pg_proxy_operate(AS_PROXY(self), PG_OP_NEXT, PyTuple_New(0));
}

/* A special method that returns something to await, which is a Future where the object is not here:
 * the other rank awaits what the method returned. */
static PyObject *special_awaited(PyObject *self, const char *name, PyObject *args)
{
    if (pg_proxy_is_direct(AS_PROXY(self)))
        return special(self, name, args);
    return pg_proxy_operate_async(AS_PROXY(self), PG_OP_SPECIAL, Py_BuildValue("(sO)", name, args));
}

static PyObject *special_awaited_without(PyObject *self, const char *name)
{
    PyObject *args = PyTuple_New(0);
    PyObject *result = args != NULL ? special_awaited(self, name, args) : NULL;

    Py_XDECREF(args);
    return result;
}

static PyObject *Proxy_await(PyObject *self)
{
    PyObject *future = special_awaited_without(self, "__await__"), *steps;

    if (future == NULL || !Py_IS_TYPE(future, pg.future_type))
        return future;
    steps = Py_TYPE(future)->tp_as_async->am_await(future);
    Py_DECREF(future);
    return steps;
}

static PyObject *Proxy_aiter(PyObject *self)
{
    return special_without(self, "__aiter__");
}

static PyObject *Proxy_anext(PyObject *self)
{
    return special_awaited_without(self, "__anext__");
}

/* The arguments of __exit__(type, exception, traceback): tracebacks do not travel. */
static PyObject *without_traceback(PyObject *self, PyObject *args)
{
    if (pg_proxy_is_direct(AS_PROXY(self)) || PyTuple_GET_SIZE(args) != 3)
        return Py_NewRef(args);
    return PyTuple_Pack(3, PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1), Py_None);
}

static PyObject *special_method(PyObject *self, pg_slot_t slot, const char *name, PyObject *args)
{
    bool exits = slot == PG_SLOT___exit__ || slot == PG_SLOT___aexit__;
    PyObject *result = NULL;

    args = exits ? without_traceback(self, args) : Py_NewRef(args);
    if (args != NULL && (slot == PG_SLOT___aenter__ || slot == PG_SLOT___aexit__))
        result = special_awaited(self, name, args);
    else if (args != NULL)
        result = special(self, name, args);
    Py_XDECREF(args);
    return result;
}

#define SPECIAL(name)                                                                              \
    static PyObject *Proxy_special_##name(PyObject *self, PyObject *args)                          \
    {                                                                                              \
        return special_method(self, PG_SLOT_##name, #name, args);                                  \
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

#define Proxy_slot(slot) {Py_##slot, (void *)pg_Proxy_##slot}

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

const size_t pg_special_count = sizeof(pg_special_rows) / sizeof(pg_special_rows[0]);

static int Proxy_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(AS_PROXY(self)->object);
    return 0;
}

static int Proxy_clear(PyObject *self)
{
    pg_proxy_drop_object(AS_PROXY(self));
    return 0;
}

static void Proxy_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (AS_PROXY(self)->weak_references != NULL)
        PyObject_ClearWeakRefs(self);
    pg_proxy_let_go(AS_PROXY(self));
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

const PyType_Slot pg_proxy_common_slots[] = {
    {Py_tp_traverse, Proxy_traverse}, {Py_tp_clear, Proxy_clear},
    {Py_tp_dealloc, Proxy_dealloc},   {Py_tp_getattro, Proxy_getattro},
    {Py_tp_setattro, Proxy_setattro}, {Py_tp_str, Proxy_str},
    {Py_tp_repr, Proxy_repr},         {Py_tp_richcompare, pg_Proxy_richcompare},
};

const size_t pg_proxy_common_count =
    sizeof(pg_proxy_common_slots) / sizeof(pg_proxy_common_slots[0]);

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
