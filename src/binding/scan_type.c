/* The Python type Scan: see scan.c. */
#include "agree.h"
#include "exports.h"
#include "scan.h"

#define AS_SCAN(object) ((pg_scan_t *)(object))

/* The objects whose owners are to be told that they are live: a list of (owner, id). */
static PyObject *fresh_ones(pg_scan_t *scan)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < scan->holding_count; i++) {
        pg_scan_holding_t *holding = &scan->holdings[i];
        PyObject *row;

        if (!holding->fresh)
            continue;
        holding->fresh = false;
        row =
            Py_BuildValue("(iK)", holding->import->owner, (unsigned long long)holding->import->id);
        if (row == NULL || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *Scan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *tracked = NULL;
    pg_scan_t *scan;
    int failed;

    (void)kwargs;
    if (!PyArg_ParseTuple(args, ":Scan"))
        return NULL;
    if (pg_enter() < 0)
        return NULL;
    scan = (pg_scan_t *)type->tp_alloc(type, 0);
    tracked = scan != NULL ? pg_scan_tracked() : NULL;
    failed = tracked == NULL || pg_scan_run(scan, tracked, NULL) < 0;
    pg_leave();
    Py_XDECREF(tracked);
    if (failed)
        Py_CLEAR(scan);
    return (PyObject *)scan;
}

static void Scan_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    pg_scan_empty(AS_SCAN(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Scan_flow(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("(KK)", (unsigned long long)AS_SCAN(self)->flow.sent,
                         (unsigned long long)AS_SCAN(self)->flow.received);
}

static PyObject *Scan_holdings(PyObject *self, PyObject *unused)
{
    const pg_scan_t *scan = AS_SCAN(self);
    PyObject *list = PyList_New(0);

    (void)unused;
    for (size_t i = 0; list != NULL && i < scan->holding_count; i++) {
        const pg_scan_holding_t *holding = &scan->holdings[i];
        PyObject *row;

        if (!holding->complete)
            continue;
        row =
            Py_BuildValue("(iKK)", holding->import->owner, (unsigned long long)holding->import->id,
                          (unsigned long long)holding->weight);
        if (row == NULL || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *Scan_settle(PyObject *self, PyObject *rows)
{
    pg_scan_t *scan = AS_SCAN(self);

    if (!PyList_Check(rows))
        return PyErr_Format(PyExc_TypeError, "a list of (id, weight) is needed");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        unsigned long long id, weight;
        pg_suspect_t *suspect;

        if (!PyArg_ParseTuple(PyList_GET_ITEM(rows, i), "KK", &id, &weight))
            return NULL;
        suspect = pg_scan_suspect(scan, id);
        if (suspect != NULL)
            suspect->explained += weight;
    }
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (scan->suspects[i].explained != scan->suspects[i].weight)
            pg_scan_revive(scan, &scan->suspects[i]);
    return fresh_ones(scan);
}

static PyObject *Scan_revive(PyObject *self, PyObject *ids)
{
    pg_scan_t *scan = AS_SCAN(self);

    if (!PyList_Check(ids))
        return PyErr_Format(PyExc_TypeError, "a list of ids is needed");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ids); i++) {
        uint64_t id = PyLong_AsUnsignedLongLong(PyList_GET_ITEM(ids, i));
        pg_suspect_t *suspect = pg_scan_suspect(scan, id);

        if (PyErr_Occurred())
            return NULL;
        if (suspect != NULL)
            pg_scan_revive(scan, suspect);
    }
    return fresh_ones(scan);
}

static PyObject *Scan_garbage(PyObject *self, PyObject *unused)
{
    const pg_scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->suspect_count; i++)
        count += pg_scan_is_garbage(scan, &scan->suspects[i]);
    return PyLong_FromSize_t(count);
}

static PyObject *Scan_finalize(PyObject *self, PyObject *unused)
{
    const pg_scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->count; i++) {
        PyObject *object = scan->nodes[i].object;

        if (scan->nodes[i].reached || Py_TYPE(object)->tp_finalize == NULL ||
            PyObject_GC_IsFinalized(object))
            continue;
        PyObject_CallFinalizer(object);
        count++;
    }
    return PyLong_FromSize_t(count);
}

static PyObject *Scan_sever(PyObject *self, PyObject *args)
{
    PyObject *tracked;
    pg_scan_t again = {.count = 0};
    bool agreed = false, confirmed;
    unsigned int number;
    Py_ssize_t failures;

    if (!PyArg_ParseTuple(args, "In:sever", &number, &failures) || pg_enter() < 0)
        return NULL;
    tracked = pg_scan_tracked();
    confirmed = tracked != NULL && pg_scan_run(&again, tracked, AS_SCAN(self)) == 0 &&
                pg_scan_is_confirmed(AS_SCAN(self), &again);
    PyErr_Clear(); /* without memory: not confirmed */
    agreed = pg_agree(confirmed, number, (size_t)failures);
    if (agreed)
        pg_scan_sever(AS_SCAN(self));
    pg_leave();
    pg_scan_empty(&again);
    Py_XDECREF(tracked);
    return PyBool_FromLong(agreed);
}

static PyObject *Scan_left(PyObject *self, PyObject *unused)
{
    const pg_scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (pg_scan_is_garbage(scan, &scan->suspects[i]))
            count += pg_exports_has(scan->suspects[i].id);
    return PyLong_FromSize_t(count);
}

static PyMethodDef Scan_methods[] = {
    {"flow", Scan_flow, METH_NOARGS,
     PyDoc_STR("flow($self, /)\n--\n\n"
               "Messages about objects that had been sent and received: (sent, received).")},
    {"holdings", Scan_holdings, METH_NOARGS,
     PyDoc_STR("holdings($self, /)\n--\n\n"
               "(owner, id, weight) of what only unreached Proxies of this rank refer to.")},
    {"settle", Scan_settle, METH_O,
     PyDoc_STR("settle($self, rows, /)\n--\n\n"
               "Take the (id, weight) that all ranks hold like that; what has more is live.\n\n"
               "Return the (owner, id) that are live because of that.")},
    {"revive", Scan_revive, METH_O,
     PyDoc_STR("revive($self, ids, /)\n--\n\n"
               "These are live. Return the (owner, id) that are live because of that.")},
    {"garbage", Scan_garbage, METH_NOARGS,
     PyDoc_STR("garbage($self, /)\n--\n\nHow many shared objects are garbage.")},
    {"finalize", Scan_finalize, METH_NOARGS,
     PyDoc_STR("finalize($self, /)\n--\n\n"
               "Call the finalizers of the garbage that have not been called; return how many.")},
    {"sever", Scan_sever, METH_VARARGS,
     PyDoc_STR("sever($self, number, failures, /)\n--\n\n"
               "If all ranks find that the garbage still is garbage, let go of what its Proxies "
               "refer to.\n\nCollective, but for the first `failures` ranks that have failed; "
               "`number` is this vote's.\nReturn whether they do.")},
    {"left", Scan_left, METH_NOARGS,
     PyDoc_STR("left($self, /)\n--\n\nHow much of the garbage is still shared.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Scan_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Scan()\n--\n\nThis rank's part of a collection; see pygas.collect().")},
    {Py_tp_new, Scan_new},
    {Py_tp_dealloc, Scan_dealloc},
    {Py_tp_methods, Scan_methods},
    {0, NULL},
};

static PyType_Spec Scan_spec = {
    .name = "pygas._core.Scan",
    .basicsize = sizeof(pg_scan_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Scan_slots,
};

PyTypeObject *pg_scan_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Scan_spec, NULL);
}
