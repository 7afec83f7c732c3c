/*
 * Completions: many Futures, and a thread that waits for some of them. The C half of pygas.wait()
 * and pygas.as_completed().
 *
 * It goes by the Futures' arrival (completion.h), not by their callbacks: those run in the queue of
 * work, and wait there for a long request that another thread runs.
 */
#include "compat.h"
#include "giveback.h"
#include "wait.h"

typedef struct completions {
    PyObject_HEAD pg_watch_set_t set;
    Py_ssize_t count;
    PyObject **futures;  /* of `watches`; NULL once handed out */
    pg_watch_t *watches; /* constant */
    atomic_bool busy;    /* a thread is in wait() */
} completions_t;

static int Completions_traverse(PyObject *self, visitproc visit, void *arg)
{
    completions_t *completions = (completions_t *)self;

    Py_VISIT(Py_TYPE(self));
    for (Py_ssize_t i = 0; i < completions->count; i++)
        Py_VISIT(completions->futures[i]);
    return 0;
}

/* There is no tp_clear: nobody can store a Completions where a Future would lead to it. */

static void Completions_dealloc(PyObject *self)
{
    completions_t *completions = (completions_t *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    for (Py_ssize_t i = 0; i < completions->count; i++) {
        pg_watch_remove(&completions->watches[i]);
        Py_XDECREF(completions->futures[i]);
    }
    PyMem_Free(completions->watches);
    PyMem_Free(completions->futures);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *Completions_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    completions_t *completions;
    PyObject *futures;
    Py_ssize_t count;

    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O!:Completions", &PyList_Type, &futures))
        return NULL;
    completions = (completions_t *)PyType_GenericAlloc(type, 0);
    if (completions == NULL)
        return NULL;
    count = PyList_GET_SIZE(futures);
    pg_watch_set_init(&completions->set);
    completions->futures = PyMem_Calloc((size_t)count + 1, sizeof(*completions->futures));
    completions->watches = PyMem_Calloc((size_t)count + 1, sizeof(*completions->watches));
    if (completions->futures == NULL || completions->watches == NULL) {
        Py_DECREF(completions);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count && i < PyList_GET_SIZE(futures); i++) {
        PyObject *future = PyList_GET_ITEM(futures, i);

        if (!Py_IS_TYPE(future, pg.future_type)) {
            PyErr_Format(PyExc_TypeError, "this needs pygas.Futures, and a %.200s is none",
                         Py_TYPE(future)->tp_name);
            Py_DECREF(completions);
            return NULL;
        }
        completions->futures[i] = Py_NewRef(future);
        completions->count = i + 1;
        pg_watch_add(&completions->set, &completions->watches[i],
                     pg_future_completion((pg_future_t *)future));
    }
    return (PyObject *)completions;
}

PyDoc_STRVAR(wait_doc,
             "wait($self, count, timeout, on_failure, /)\n--\n\n"
             "Wait until `count` that have not been taken are done, or one has failed if\n"
             "`on_failure`. False if `timeout` seconds pass first.");

static PyObject *Completions_wait(PyObject *self, PyObject *args)
{
    completions_t *completions = (completions_t *)self;
    gas_waiting_t waiting;
    bool idle = false;
    uint64_t deadline;
    PyObject *timeout;
    Py_ssize_t count;
    int on_failure, outcome;

    if (!PyArg_ParseTuple(args, "nOp:wait", &count, &timeout, &on_failure) ||
        pg_deadline(timeout, &deadline) < 0)
        return NULL;
    if (count <= 0)
        Py_RETURN_TRUE;
    if (!atomic_compare_exchange_strong(&completions->busy, &idle, true)) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is waiting here");
        return NULL;
    }
    pg_callbacks_catch_up();
    gas_waiting_begin(&waiting, "Futures (pygas.wait, as_completed or gather)", -1);
    outcome = pg_watch_wait(&completions->set, (size_t)count, on_failure, deadline);
    gas_waiting_end(pg.job, &waiting);
    atomic_store(&completions->busy, false);
    return outcome < 0 ? NULL : PyBool_FromLong(outcome);
}

PyDoc_STRVAR(take_doc, "take($self, /)\n--\n\n"
                       "Hand out the Futures that are done and have not been taken: a list, in\n"
                       "the order of completion.");

static PyObject *Completions_take(PyObject *self, PyObject *unused)
{
    completions_t *completions = (completions_t *)self;
    PyObject *list = PyList_New(0);
    pg_watch_t *watch;

    (void)unused;
    while (list != NULL && (watch = pg_watch_take(&completions->set)) != NULL) {
        PyObject **future = &completions->futures[watch - completions->watches];

        pg_future_seen((pg_future_t *)*future);
        if (PyList_Append(list, *future) < 0)
            Py_CLEAR(list);
        Py_CLEAR(*future);
    }
    return list;
}

static PyMethodDef Completions_methods[] = {
    {"wait", Completions_wait, METH_VARARGS, wait_doc},
    {"take", Completions_take, METH_NOARGS, take_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(completions_doc, "Completions(futures, /)\n--\n\n"
                              "A list of Futures, to wait for some of them. For one thread.");

static PyType_Slot Completions_slots[] = {
    {Py_tp_doc, (void *)completions_doc},   {Py_tp_new, Completions_new},
    {Py_tp_traverse, Completions_traverse}, {Py_tp_dealloc, Completions_dealloc},
    {Py_tp_methods, Completions_methods},   {0, NULL},
};

static PyType_Spec Completions_spec = {
    .name = "pygas._core.Completions",
    .basicsize = sizeof(completions_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Completions_slots,
};

PyTypeObject *pg_completions_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Completions_spec, NULL);
}
