#include "inspect.h"

#include "call.h"
#include "exports.h"
#include "imports.h"
#include "proxy.h"
#include "recount.h"
#include "releases.h"
#include "request.h"

PyObject *pg_counts(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_BuildValue("(nn)", (Py_ssize_t)pg_exports_count(), (Py_ssize_t)pg_imports_count());
}

PyObject *pg_numbers(PyObject *module, PyObject *unused)
{
    uint64_t waits = 0;

    (void)module;
    (void)unused;
    if (pg_enter_if_running()) {
        waits = gas_wait_count(pg.job);
        pg_leave();
    }
    return Py_BuildValue(
        "{s:n,s:n,s:n,s:K,s:K,s:K}", "exported", (Py_ssize_t)pg_exports_count(), "imported",
        (Py_ssize_t)pg_imports_count(), "proxies", (Py_ssize_t)pg_proxy_count(), "requests_sent",
        (unsigned long long)pg_call_count(), "requests_run", (unsigned long long)pg_request_count(),
        "waits", (unsigned long long)waits);
}

PyObject *pg_release(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    pg_imports_flush();
    pg_leave();
    Py_RETURN_NONE;
}

/* (id, object, weight, pins, where). */
static PyObject *export_row(const pg_export_t *entry)
{
    return Py_BuildValue("(KOKIz)", (unsigned long long)entry->id, entry->object,
                         (unsigned long long)entry->weight, entry->pins, entry->where);
}

PyObject *pg_exported(PyObject *module, PyObject *unused)
{
    size_t count;
    pg_export_t *entries = pg_exports_list(&count);
    PyObject *rows = entries != NULL ? PyList_New(0) : NULL;

    (void)module;
    (void)unused;
    for (size_t i = 0; rows != NULL && i < count; i++) {
        PyObject *row;

        if (entries[i].weight == 0 && entries[i].pins == 0)
            continue; /* nobody refers to it any more: it is about to go */
        row = export_row(&entries[i]);
        if (row == NULL || PyList_Append(rows, row) < 0)
            Py_CLEAR(rows);
        Py_XDECREF(row);
    }
    if (entries != NULL)
        pg_exports_unlist(entries, count);
    return rows;
}

PyObject *pg_imported(PyObject *module, PyObject *unused)
{
    size_t count;
    pg_import_t *entries = pg_imports_list(&count);
    PyObject *rows = entries != NULL ? PyList_New(0) : PyErr_NoMemory();

    (void)module;
    (void)unused;
    for (size_t i = 0; rows != NULL && i < count; i++) {
        PyObject *row = Py_BuildValue("(iKIK)", entries[i].owner, (unsigned long long)entries[i].id,
                                      entries[i].count, (unsigned long long)entries[i].weight);

        if (row == NULL || PyList_Append(rows, row) < 0)
            Py_CLEAR(rows);
        Py_XDECREF(row);
    }
    free(entries);
    return rows;
}

static PyObject *exchange_row(const gas_exchange_t *exchange)
{
    return Py_BuildValue("(KKKK)", (unsigned long long)exchange->sent.messages,
                         (unsigned long long)exchange->sent.bytes,
                         (unsigned long long)exchange->received.messages,
                         (unsigned long long)exchange->received.bytes);
}

static bool is_silent(const gas_exchange_t *exchange)
{
    return exchange->sent.messages == 0 && exchange->received.messages == 0;
}

/* {key: row} for `count` handlers or peers, without those that exchanged nothing. */
static PyObject *exchanges(gas_exchange_t (*read)(gas_job_t *, int), int count)
{
    PyObject *rows = PyDict_New();

    for (int i = 0; rows != NULL && i < count; i++) {
        gas_exchange_t exchange = read(pg.job, i);
        PyObject *key, *row;

        if (is_silent(&exchange))
            continue;
        key = PyLong_FromLong(i);
        row = exchange_row(&exchange);
        if (key == NULL || row == NULL || PyDict_SetItem(rows, key, row) < 0)
            Py_CLEAR(rows);
        Py_XDECREF(key);
        Py_XDECREF(row);
    }
    return rows;
}

PyObject *pg_traffic(PyObject *module, PyObject *unused)
{
    PyObject *handlers, *peers;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    handlers = exchanges(gas_traffic_of_handler, GAS_HANDLER_MAX);
    peers = handlers != NULL ? exchanges(gas_traffic_of_peer, pg.size) : NULL;
    pg_leave();
    if (peers == NULL) {
        Py_XDECREF(handlers);
        return NULL;
    }
    return Py_BuildValue("(NN)", handlers, peers);
}

PyObject *pg_trace_exports(PyObject *module, PyObject *where)
{
    (void)module;
    pg_exports_trace(where);
    Py_RETURN_NONE;
}

PyObject *pg_hold(PyObject *module, PyObject *on)
{
    (void)module;
    pg_calls_hold(PyObject_IsTrue(on));
    Py_RETURN_NONE;
}

PyObject *pg_recounted(PyObject *module, PyObject *unused)
{
    bool done;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    done = pg_recount_is_done();
    pg_leave();
    return PyBool_FromLong(done);
}

pg_flow_count_t pg_flow_now(void)
{
    pg_flow_count_t flow = {0, 0};

    gas_traffic_watched(pg.job, &flow.sent, &flow.received);
    flow.sent += !pg_imports_are_flushed();
    return flow;
}

PyObject *pg_flow(PyObject *module, PyObject *unused)
{
    pg_flow_count_t flow;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    flow = pg_flow_now();
    pg_leave();
    return Py_BuildValue("(KK)", (unsigned long long)flow.sent, (unsigned long long)flow.received);
}
