#include "settle.h"

#include "compat.h"
#include "failure.h"

/* An attribute that is read without running code of the program: no property, no __getattr__(). */
static bool is_plain_attribute(PyObject *object, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(object);
    PyTypeObject *kind;
    PyObject *found;
    bool plain;

    if (type->tp_getattro != PyObject_GenericGetAttr || !PyUnicode_CheckExact(name))
        return false;
    found = pg_type_find(type, name);
    if (found == NULL)
        return true;
    kind = Py_TYPE(found);
    plain = kind->tp_descr_get == NULL || kind == &PyFunction_Type || kind == &PyMethodDescr_Type ||
            kind == &PyMemberDescr_Type || kind == &PyGetSetDescr_Type;
    pg_found_drop(found);
    return plain;
}

static bool is_plain_container(PyObject *object)
{
    return PyList_CheckExact(object) || PyTuple_CheckExact(object) || PyDict_CheckExact(object) ||
           strcmp(Py_TYPE(object)->tp_name, "numpy.ndarray") == 0;
}

static bool is_plain_key(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PySlice_Check(key) ||
           PyTuple_CheckExact(key);
}

/* True if the operation cannot change anything: so that many ranks can read something large at the
 * same time without copies of it. */
static bool only_reads(pg_op_t op, PyObject *object, PyObject *args)
{
    bool has_one = PyTuple_Check(args) && PyTuple_GET_SIZE(args) == 1;

    switch (op) {
    case PG_OP_RESOLVE:
        return true;
    case PG_OP_GETATTR:
        return has_one && is_plain_attribute(object, PyTuple_GET_ITEM(args, 0));
    case PG_OP_GETITEM:
        return has_one && is_plain_container(object) && is_plain_key(PyTuple_GET_ITEM(args, 0));
    case PG_OP_LEN:
        return is_plain_container(object);
    default:
        return false;
    }
}

int pg_settle(void)
{
    gas_status_t status;

    if (gas_bulk_is_settled(pg.job))
        return 0;
    Py_BEGIN_ALLOW_THREADS status = gas_bulk_settle(pg.job);
    Py_END_ALLOW_THREADS if (status == GAS_OK) return 0;
    pg_raise_status(status);
    return -1;
}

int pg_settle_before(pg_op_t op, PyObject *object, PyObject *args)
{
    if (gas_bulk_is_settled(pg.job) || only_reads(op, object, args))
        return 0;
    return pg_settle();
}
