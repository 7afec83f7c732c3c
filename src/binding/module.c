/* The extension module pygas._core: its functions, its types, its set-up. */
#include "affinity.h"
#include "attend.h"
#include "codec.h"
#include "deferred.h"
#include "encoded.h"
#include "failure.h"
#include "giveback.h"
#include "inspect.h"
#include "landing.h"
#include "lifecycle.h"
#include "ops.h"
#include "ping.h"
#include "remote.h"
#include "request.h"
#include "section.h"
#include "shape.h"
#include "state.h"
#include "team.h"
#include "wakeup.h"

static PyObject *pg_rank(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(pg.rank);
}

static PyObject *pg_size(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(pg.size);
}

static PyObject *pg_config(PyObject *module, PyObject *unused)
{
    gas_config_t config;
    gas_status_t status = gas_config_read(&config);
    PyObject *rows;

    (void)module;
    (void)unused;
    if (status != GAS_OK)
        return pg_raise_status(status);
    rows = PyList_New(0);
    for (size_t i = 0; rows != NULL && i < gas_config_count(); i++) {
        gas_config_row_t row;
        PyObject *item;

        gas_config_row(&config, i, &row);
        item = Py_BuildValue("(sssss)", row.name, row.type, row.value, row.preset, row.help);
        if (item == NULL || PyList_Append(rows, item) < 0)
            Py_CLEAR(rows);
        Py_XDECREF(item);
    }
    return rows;
}

static PyObject *pg_describe(PyObject *module, PyObject *unused)
{
    char text[256];

    (void)module;
    (void)unused;
    if (pg_require_job() < 0)
        return NULL;
    pg.job->conduit->ops->describe(pg.job->conduit, text, sizeof(text));
    return PyUnicode_FromString(text);
}

#define DOC(signature, text) PyDoc_STR(signature "\n--\n\n" text)

static PyMethodDef methods[] = {
    {"start", pg_start, METH_O,
     DOC("start($module, spec, /)",
         "Start this rank's part of the job. Collective.\n\n"
         "`spec` is what the launcher left in PYGAS_BOOT; None or '' is a job of one.")},
    {"finish", pg_finish, METH_O,
     DOC("finish($module, proper, /)",
         "Close this rank's part of the job; tell the launcher if that is a proper end.")},
    {"phase", pg_phase_name, METH_NOARGS,
     DOC("phase($module, /)", "'before', 'starting', 'running', 'ended' or 'forked'.")},
    {"rank", pg_rank, METH_NOARGS, DOC("rank($module, /)", "This rank; 0 before the start.")},
    {"size", pg_size, METH_NOARGS,
     DOC("size($module, /)", "The number of ranks; 0 before the start.")},
    {"call", pg_remote_call, METH_VARARGS,
     DOC("call($module, rank, function, args, kwargs, /)",
         "Call a function on a rank and wait for its result.")},
    {"submit", pg_remote_submit, METH_VARARGS,
     DOC("submit($module, rank, function, args, kwargs, /)",
         "Call a function on a rank; return a Future.")},
    {"new", pg_remote_new, METH_VARARGS,
     DOC("new($module, rank, cls, args, kwargs, /)",
         "Create an object on a rank; return a Proxy to it.")},
    {"algorithms", pg_algorithms, METH_NOARGS,
     DOC("algorithms($module, /)",
         "The table of collective algorithms: (operation, name, keeps the order, selected when).")},
    {"progress", pg_progress, METH_NOARGS,
     DOC("progress($module, /)", "Run the requests that have arrived. Does not wait for more.")},
    {"no_requests", pg_no_requests, METH_NOARGS,
     DOC("no_requests($module, /)", "A context manager that holds off requests to this rank.")},
    {"drain_home", pg_attend_drain_home, METH_NOARGS,
     DOC("drain_home($module, /)",
         "Run some of the requests to objects that belong to this thread. For pygas._attend.")},
    {"wakeups", pg_attend_wakeups, METH_NOARGS,
     DOC("wakeups($module, /)",
         "How often requests have called on the main thread between two bytecodes, and woken the\n"
         "executor.")},
    {"ping", pg_ping, METH_VARARGS,
     DOC("ping($module, rank, count, gap, /)", "Time `count` round trips of a bare active message, "
                                               "in seconds; sleep `gap` s before each.")},
    {"wakeup_ask", pg_wakeup_ask, METH_VARARGS,
     DOC("wakeup_ask($module, read_fd, write_fd, count, gap, /)",
         "Time `count` round trips to a process in wakeup_answer(), in seconds, by two eventfds,\n"
         "asleep in epoll meanwhile; sleep `gap` s before each. A count of 0 ends the other.")},
    {"wakeup_answer", pg_wakeup_answer, METH_VARARGS,
     DOC("wakeup_answer($module, read_fd, write_fd, /)",
         "Answer until told to end, asleep in epoll in between.")},
    {"encode", pg_encode, METH_O,
     DOC("encode($module, object, /)", "The object in the form in which it travels.")},
    {"dumps", pg_dumps, METH_VARARGS,
     DOC("dumps($module, object, proxies=None, /)",
         "The object as bytes. With a list `proxies`, the Proxies in it go there.")},
    {"loads", pg_loads, METH_VARARGS,
     DOC("loads($module, data, proxies=None, /, *buffers)",
         "The object again, with the Proxies and buffers that are not in the data; ProtocolError "
         "for\nmalformed data.")},
    {"post", pg_post, METH_VARARGS,
     DOC("post($module, ranks, tag, encoded, /)",
         "Send to the mailboxes of a tuple of ranks; wait until its memory is free again.")},
    {"take", pg_take, METH_VARARGS,
     DOC("take($module, tag, source, failures=0, /)",
         "Wait for the message `tag` of rank `source`; return it as an Encoded.\n\n"
         "Asks the source now and then whether it has finished its program, and lets it know that "
         "it\n"
         "is waited for.")},
    {"meet", pg_meet, METH_NOARGS,
     DOC("meet($module, /)",
         "This rank has finished its program: serve requests until all others have, or have "
         "failed.\n"
         "False when another rank waits for this one in a collective that it has not entered.")},
    {"failed_ranks", pg_failed_ranks, METH_NOARGS,
     DOC("failed_ranks($module, /)",
         "The ranks that are known to have failed: a list of (rank, status, reason).")},
    {"require_all", pg_require_all, METH_NOARGS,
     DOC("require_all($module, /)", "Raise RankFailedError if any rank is known to have failed.")},
    {"set_policy", pg_set_policy, METH_O,
     DOC("set_policy($module, go_on, /)", "Have the job go on when a rank fails, or be ended.")},
    {"owner", pg_proxy_owner, METH_O,
     DOC("owner($module, proxy, /)", "The rank on which the object of a Proxy lives.")},
    {"is_local", pg_proxy_is_local, METH_O,
     DOC("is_local($module, proxy, /)", "True if the object of a Proxy lives on this rank.")},
    {"local", pg_proxy_local, METH_O,
     DOC("local($module, proxy, /)",
         "The object itself, on the rank where it lives; ValueError elsewhere.")},
    {"resolve", pg_proxy_resolve, METH_O,
     DOC("resolve($module, proxy, /)", "A copy of the object of a Proxy. Blocks.")},
    {"reduce_proxy", pg_proxy_reduce, METH_O,
     DOC("reduce_proxy($module, proxy, /)", "How a Proxy is pickled: as a reference.")},
    {"rebuild_proxy", pg_proxy_rebuild, METH_VARARGS,
     DOC("rebuild_proxy($module, job, owner, id, mode, name, slots, more_slots, /)",
         "The Proxy that a reference stands for.")},
    {"by_ref", pg_proxy_by_ref, METH_O,
     DOC("by_ref($module, proxy, /)", "The same object, with results by reference.")},
    {"async_", pg_proxy_async, METH_O,
     DOC("async_($module, proxy, /)", "The same object, with operations that return Futures.")},
    {"items", pg_proxy_items, METH_VARARGS,
     DOC("items($module, proxy, start, count, /)",
         "Items `start` to `start + count` of a sequence, fewer at its end.")},
    {"caller", pg_caller, METH_NOARGS,
     DOC("caller($module, /)", "(rank, thread number): for whom this thread is running a request, "
                               "else itself.")},
    {"push", (PyCFunction)(void (*)(void))pg_push, METH_FASTCALL,
     DOC("push($module, callable, home=None, /)",
         "Have it called from the queue of work, among the requests; on the thread of `home`.")},
    {"home_of_request", pg_home_of_request, METH_NOARGS,
     DOC("home_of_request($module, /)",
         "The home of the object on which this thread runs a request, for push(); or None.")},
    {"returnable", pg_returnable, METH_VARARGS,
     DOC("returnable($module, future, giver, /)",
         "If nobody takes the value of the Future, have giver._pygas_take_back(value, holder)\n"
         "called; None: do not. Return the Future.")},
    {"give_back", pg_give_back_future, METH_O,
     DOC("give_back($module, future, /)",
         "Give the value back, if it is there, returnable, and nobody has taken it.")},
    {"requests_sent", pg_requests_sent, METH_NOARGS,
     DOC("requests_sent($module, /)", "How many requests this process has sent.")},
    {"landing_stats", pg_landing_stats, METH_NOARGS,
     DOC("landing_stats($module, /)",
         "What landing memory was used: bytes `kept` for later, blocks `reused` and `fresh`; the "
         "same for\nbytes objects, `bytes_kept` and `bytes_reused`.")},
    {"counts", pg_counts, METH_NOARGS,
     DOC("counts($module, /)", "How many objects of this rank others refer to, and how many of "
                               "others' this rank does.")},
    {"numbers", pg_numbers, METH_NOARGS,
     DOC("numbers($module, /)", "Numbers of objects, Proxies, requests and waits, by name.")},
    {"exported", pg_exported, METH_NOARGS,
     DOC("exported($module, /)",
         "Objects of this rank that others refer to: (id, object, weight, pins, where).")},
    {"imported", pg_imported, METH_NOARGS,
     DOC("imported($module, /)",
         "Objects of others that this rank refers to: (owner, id, Proxies, weight).")},
    {"traffic", pg_traffic, METH_NOARGS,
     DOC("traffic($module, /)",
         "Messages and bytes sent, messages and bytes received, by handler and by peer.")},
    {"hold", pg_hold, METH_O,
     DOC("hold($module, on, /)",
         "Keep this rank's other threads from making requests for a while, or no more.")},
    {"catch_up", pg_catch_up, METH_NOARGS,
     DOC("catch_up($module, /)",
         "Ask the launcher which ranks have failed by now; then failed_ranks() has them.")},
    {"recounted", pg_recounted, METH_NOARGS,
     DOC("recounted($module, /)",
         "Whether the weights that failed ranks had are no longer counted here.")},
    {"flow", pg_flow, METH_NOARGS,
     DOC("flow($module, /)",
         "Messages by which objects of ranks are connected, sent and received.")},
    {"trace_exports", pg_trace_exports, METH_O,
     DOC("trace_exports($module, where, /)",
         "From now on ask `where()` for the place in which an object is shared.")},
    {"release", pg_release, METH_NOARGS,
     DOC("release($module, /)", "Tell the owners now of the Proxies that have been dropped.")},
    {"config", pg_config, METH_NOARGS,
     DOC("config($module, /)",
         "The settings: a list of (name, type, value, default, help), all strings.")},
    {"describe", pg_describe, METH_NOARGS,
     DOC("describe($module, /)", "The transport library and what it uses. Starts the job.")},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, const char *name, PyTypeObject **slot,
                    PyTypeObject *(*create)(PyObject *))
{
    *slot = create(module);
    if (*slot == NULL)
        return -1;
    return PyModule_AddObjectRef(module, name, (PyObject *)*slot);
}

static int module_exec(PyObject *module)
{
    if (pg.proxy_type != NULL) {
        PyErr_SetString(PyExc_ImportError, "pygas._core can be loaded only once in a process");
        return -1;
    }
    pg.errors = PyImport_ImportModule("pygas.errors");
    if (pg.errors != NULL)
        pg.protocol_error = PyObject_GetAttrString(pg.errors, "ProtocolError");
    if (pg.protocol_error == NULL || pg_lifecycle_init() < 0 || pg_codec_init() < 0 ||
        pg_ops_init() < 0 || add_type(module, "Proxy", &pg.proxy_type, pg_proxy_type_create) < 0 ||
        add_type(module, "Method", &pg.method_type, pg_method_type_create) < 0 ||
        add_type(module, "Future", &pg.future_type, pg_future_type_create) < 0 ||
        add_type(module, "deferred", &pg.deferred_type, pg_deferred_type_create) < 0 ||
        add_type(module, "Completions", &pg.completions_type, pg_completions_type_create) < 0 ||
        add_type(module, "Landing", &pg.landing_type, pg_landing_type_create) < 0 ||
        add_type(module, "Members", &pg.members_type, pg_members_type_create) < 0 ||
        add_type(module, "Notified", &pg.notified_type, pg_notified_type_create) < 0 ||
        add_type(module, "Exchange", &pg.exchange_type, pg_exchange_type_create) < 0 ||
        add_type(module, "Section", &pg.section_type, pg_section_type_create) < 0 ||
        add_type(module, "Encoded", &pg.encoded_type, pg_encoded_type_create) < 0 ||
        add_type(module, "Scan", &pg.scan_type, pg_scan_type_create) < 0)
        return -1;
    return pg_shapes_init(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pygas._core",
    .m_doc = "The core of PyGAS, in C. Use the names of the package pygas instead.",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
