/*
 * Design notes. The runtime tells of a failure inside a poll, detached. What can be done there is
 * done there: open calls to the rank arrive without a reply. What needs the interpreter is work: an
 * item of the queue, which runs the *hooks*, attached, in their order. A part of the binding that
 * keeps something for a rank (weights of references, say) adds a line to the table.
 */
#include "failure.h"

#include "call.h"
#include "compat.h"
#include "imports.h"
#include "recount.h"
#include "told.h"

#define VERDICT_NS 1000000000u /* how long the launcher may take to notice a death */

typedef void (*hook_fn)(int rank);

/* Locks, queues and their like, if there are any. */
static void tell_sync(int rank)
{
    PyObject *name = PyUnicode_FromString("pygas.sync._failures");
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *result = module != NULL ? PyObject_CallMethod(module, "told", "i", rank) : NULL;

    if (PyErr_Occurred())
        PyErr_WriteUnraisable(name);
    Py_XDECREF(result);
    Py_XDECREF(module);
    Py_XDECREF(name);
}

/* What is to be done, attached, when a rank has failed. Must not block. */
static const hook_fn hooks[] = {
    tell_sync,
    NULL, /* the end of the table */
};

typedef struct notice {
    gas_work_t work; /* first: run() gets its address */
    int rank;
} notice_t;

static void notice_run(gas_work_t *work)
{
    int rank = ((notice_t *)work)->rank;
    PyObject *pending;

    free(work);
    if (atomic_load(&pg.phase) != PG_RUNNING)
        return; /* the queue is being cleared, and so is everything else */
    pending = PyErr_GetRaisedException(); /* of a finalizer that waits, say */
    for (const hook_fn *hook = hooks; *hook != NULL; hook++)
        (*hook)(rank);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

void pg_rank_failed(gas_job_t *job, int rank, void *arg)
{
    notice_t *notice = hooks[0] != NULL ? malloc(sizeof(*notice)) : NULL;

    (void)arg;
    pg_calls_rank_failed(job, rank);
    pg_imports_owner_failed(rank);
    pg_recount_rank_failed();
    if (notice == NULL)
        return;
    notice->work = (gas_work_t){.run = notice_run, .depth = GAS_WORK_NOTICE}; /* it never waits */
    notice->rank = rank;
    gas_work_push(job, &notice->work);
}

/* Raises it: text, ranks, reason. */
static PyObject *raise(const char *text, PyObject *ranks, const char *reason)
{
    PyObject *exception =
        ranks != NULL ? PyObject_CallMethod(pg.errors, "rank_failed", "sOs", text, ranks, reason)
                      : NULL;

    Py_XDECREF(ranks);
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

PyObject *pg_rank_failed_quietly(int rank)
{
    const char *reason = "";
    gas_failed_t failed;

    gas_failure_error(pg.job, rank);
    for (size_t i = 0; gas_failure_get(pg.job, i, &failed); i++)
        if (failed.rank == rank) {
            reason = failed.reason;
            break;
        }
    return raise(gas_error_text(), Py_BuildValue("(i)", rank), reason);
}

PyObject *pg_raise_rank_failed(int rank)
{
    pg_told_of(rank);
    return pg_rank_failed_quietly(rank);
}

PyObject *pg_raise_ranks_failed(void)
{
    return pg_raise_members_failed(NULL);
}

PyObject *pg_raise_status(gas_status_t status)
{
    PyObject *type = PyExc_RuntimeError;
    const char *text = gas_error_text();

    if (status == GAS_ERR_NO_MEMORY)
        type = PyExc_MemoryError;
    else if (status == GAS_ERR_INVALID)
        type = PyExc_ValueError;
    else if (status == GAS_ERR_IO || status == GAS_ERR_CLOSED)
        type = PyExc_ConnectionError;
    if (status == GAS_ERR_RANK_FAILED)
        return gas_error_rank() >= 0 ? pg_raise_rank_failed(gas_error_rank())
                                     : pg_raise_ranks_failed();
    PyErr_SetString(type, *text != '\0' ? text : gas_status_name(status));
    return NULL;
}

bool pg_member_has_failed(const gas_team_t *team)
{
    gas_failed_t failed;

    if (team == NULL)
        return gas_failure_count(pg.job) > 0;
    for (size_t i = 0; gas_failure_get(pg.job, i, &failed); i++)
        if (gas_team_from_world(team, failed.rank) >= 0)
            return true;
    return false;
}

PyObject *pg_raise_members_failed(const gas_team_t *team)
{
    bool all = team == NULL || !pg_member_has_failed(team);
    PyObject *ranks = PyList_New(0);
    gas_failed_t failed, first = {.rank = -1};

    for (size_t i = 0; ranks != NULL && gas_failure_get(pg.job, i, &failed); i++) {
        PyObject *rank;

        if (!all && gas_team_from_world(team, failed.rank) < 0)
            continue;
        rank = PyLong_FromLong(failed.rank);
        if (first.rank < 0)
            first = failed;
        if (rank == NULL || PyList_Append(ranks, rank) < 0)
            Py_CLEAR(ranks);
        Py_XDECREF(rank);
    }
    gas_failure_error(pg.job, first.rank);
    raise(gas_error_text(), ranks, first.reason);
    pg_told_raised();
    return NULL;
}

PyObject *pg_raise_transfer(int rank, gas_status_t status)
{
    uint64_t deadline = gas_clock_now() + VERDICT_NS;

    if (status == GAS_ERR_RANK_FAILED || status == GAS_ERR_TRANSPORT ||
        status == GAS_ERR_UNREACHABLE || status == GAS_ERR_CLOSED) {
        char text[512];

        snprintf(text, sizeof(text), "%s", gas_error_text());
        Py_BEGIN_ALLOW_THREADS while (!gas_rank_has_failed(pg.job, rank) &&
                                      gas_clock_left(deadline) > 0)
            gas_wait(pg.job, NULL, gas_clock_now() + 1000000, 0);
        Py_END_ALLOW_THREADS gas_error(status, "%s", text);
    }
    if (status == GAS_ERR_RANK_FAILED || gas_rank_has_failed(pg.job, rank))
        return pg_raise_rank_failed(rank);
    return pg_raise_status(status);
}

PyObject *pg_failed_ranks(PyObject *module, PyObject *unused)
{
    PyObject *list;
    gas_failed_t failed;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    list = PyList_New(0);
    for (size_t i = 0; list != NULL && gas_failure_get(pg.job, i, &failed); i++) {
        PyObject *item = Py_BuildValue("(iis)", failed.rank, failed.status, failed.reason);

        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
        pg_told_of(failed.rank);
    }
    pg_leave();
    return list;
}

PyObject *pg_catch_up(PyObject *module, PyObject *unused)
{
    gas_status_t status;
    void *address = NULL;
    gas_boot_t *boot;
    size_t length;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    boot = pg.job->boot;
    /* Any answer of the launcher comes after what it has said before. */
    Py_BEGIN_ALLOW_THREADS status = boot->ops->get(boot, pg.rank, &address, &length);
    while (status == GAS_OK && atomic_load(&pg.job->failure.pending))
        gas_wait(pg.job, NULL, gas_clock_now() + 1000000, 0);
    Py_END_ALLOW_THREADS free(address);
    pg_leave();
    if (status != GAS_OK)
        return pg_raise_status(status);
    Py_RETURN_NONE;
}

PyObject *pg_require_all(PyObject *module, PyObject *unused)
{
    size_t count;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    count = gas_failure_count(pg.job);
    if (count > 0)
        pg_raise_ranks_failed();
    pg_leave();
    return count > 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *pg_set_policy(PyObject *module, PyObject *go_on)
{
    gas_boot_t *boot;
    gas_status_t status;
    int truth = PyObject_IsTrue(go_on);

    (void)module;
    if (truth < 0 || pg_enter() < 0)
        return NULL;
    boot = pg.job->boot;
    Py_BEGIN_ALLOW_THREADS status = boot->ops->set_policy(boot, truth);
    Py_END_ALLOW_THREADS pg_leave();
    if (status != GAS_OK)
        return pg_raise_status(status);
    Py_RETURN_NONE;
}
