/* The one job of this process: may it be used? */
#include "state.h"

pg_state_t pg;

int pg_require_job(void)
{
    PyObject *module, *result;

    switch ((pg_phase_t)atomic_load(&pg.phase)) {
    case PG_RUNNING:
        return 0;
    case PG_BEFORE:
    case PG_STARTING:
        module = PyImport_ImportModule("pygas._job");
        result = module != NULL ? PyObject_CallMethod(module, "start", NULL) : NULL;
        Py_XDECREF(module);
        Py_XDECREF(result);
        return result != NULL ? 0 : -1;
    case PG_ENDED:
        PyErr_SetString(PyExc_RuntimeError,
                        "the job has ended on this rank: nothing shared can be used any more");
        return -1;
    case PG_FORKED:
        PyErr_Format(
            PyExc_RuntimeError,
            "this process was forked from rank %d and is not part of the job: use PyGAS in "
            "the rank itself, or start workers with the 'spawn' method",
            pg.rank);
        return -1;
    }
    PyErr_SetString(PyExc_SystemError, "the job is in no known phase");
    return -1;
}

/* Who ends the job changes the phase and then looks for users; so a user looks after it has said
 * that it is one. */
bool pg_enter_if_running(void)
{
    atomic_fetch_add(&pg.users, 1);
    if (atomic_load(&pg.phase) == PG_RUNNING)
        return true;
    pg_leave();
    return false;
}

int pg_enter(void)
{
    if (pg_require_job() < 0)
        return -1;
    return pg_enter_if_running() ? 0 : pg_require_job();
}

void pg_leave(void)
{
    atomic_fetch_sub(&pg.users, 1);
}

void pg_hurry(void)
{
    if (!pg_enter_if_running())
        return;
    gas_progress_hurry(pg.job);
    pg_leave();
}
