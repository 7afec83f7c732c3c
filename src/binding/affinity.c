/*
 * Design notes. That a thread ends is seen by a capsule in the dictionary of its thread state: the
 * interpreter clears it in the thread that ends, attached. (At the interpreter's own end it is
 * cleared elsewhere or never; then the job is over, and its end has refused everything.)
 */
#include "affinity.h"

#include "attend.h"
#include "interp.h"

static const char capsule_name[] = "pygas home";

static _Thread_local bool is_executor, is_closing;
static _Thread_local gas_home_t *of_results;

void pg_home_set_executor(void)
{
    is_executor = true;
}

bool pg_home_is_closing(void)
{
    return is_closing;
}

gas_home_t *pg_home_set_of_results(gas_home_t *home)
{
    gas_home_t *before = of_results;

    of_results = home;
    return before;
}

gas_home_t *pg_home_of_results(void)
{
    return of_results;
}

static const char reference_name[] = "pygas home reference";

static void reference_drop(PyObject *capsule)
{
    gas_home_unref(PyCapsule_GetPointer(capsule, reference_name));
}

PyObject *pg_home_of_request(PyObject *module, PyObject *unused)
{
    PyObject *capsule;

    (void)module;
    (void)unused;
    if (of_results == NULL)
        Py_RETURN_NONE;
    capsule = PyCapsule_New(of_results, reference_name, reference_drop);
    if (capsule != NULL)
        gas_home_ref(of_results);
    return capsule;
}

int pg_home_parse(PyObject *object, gas_home_t **home)
{
    *home = object != Py_None ? PyCapsule_GetPointer(object, reference_name) : NULL;
    return *home != NULL || object == Py_None ? 0 : -1;
}

/* The thread ends. */
static void thread_ended(PyObject *capsule)
{
    gas_home_t *home = PyCapsule_GetPointer(capsule, capsule_name);
    gas_work_t *work;

    if (pg_enter_if_running()) {
        gas_home_close(pg.job, home);
        is_closing = true;
        while ((work = gas_home_take(home)) != NULL)
            work->run(work);
        is_closing = false;
        pg_leave();
    }
    gas_home_unref(home);
}

gas_home_t *pg_home_here(void)
{
    gas_home_t *home = gas_home_mine(pg.job);
    PyObject *locals = PyThreadState_GetDict(), *capsule; /* borrowed, of this thread alone */
    uint64_t tag = is_executor ? PG_HOME_OF_EXECUTOR : PG_HOME_OF_OTHER;
    int failed;

    if (home != NULL)
        return home;
    if (PyThread_get_thread_ident() == pg_interp_main_thread()) {
        tag = PG_HOME_OF_MAIN;
        if (pg_attend_main_home() < 0)
            return NULL;
    }
    if (locals == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this thread has no state that could tell of its end");
        return NULL;
    }
    home = gas_home_open(pg.job, tag != PG_HOME_OF_OTHER, tag);
    capsule = home != NULL ? PyCapsule_New(home, capsule_name, thread_ended) : NULL;
    if (capsule == NULL) {
        if (home == NULL) {
            PyErr_NoMemory();
        } else {
            gas_home_close(pg.job, home);
            gas_home_unref(home);
        }
        return NULL;
    }
    failed = PyDict_SetItemString(locals, capsule_name, capsule) < 0;
    Py_DECREF(capsule); /* if that failed, closes the home */
    return failed ? NULL : home;
}

typedef struct drop {
    gas_work_t work; /* first: run() gets its address */
    PyObject *object;
} drop_t;

static void drop_run(gas_work_t *work)
{
    drop_t *drop = (drop_t *)work;

    Py_DECREF(drop->object);
    free(drop);
}

void pg_home_drop(gas_home_t *home, PyObject *object)
{
    drop_t *drop = NULL;
    bool pushed = false;

    if (home != NULL && !gas_home_is_here(home))
        drop = malloc(sizeof(*drop));
    if (drop != NULL) {
        *drop = (drop_t){.work = {.run = drop_run}, .object = object};
        if (pg_enter_if_running()) {
            pushed = gas_home_push(pg.job, home, &drop->work);
            pg_leave();
        }
    }
    if (!pushed) {
        free(drop);
        Py_DECREF(object);
    }
}
