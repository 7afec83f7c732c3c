/*
 * What becomes of a team when something goes wrong: the exceptions of its operations, and how the
 * members that are left go on (gas/shrink.h).
 */
#include "compat.h"
#include "failure.h"
#include "team.h"
#include "wait.h"

#define VERDICT_NS 1000000000u /* how long the launcher may take to notice a death */

/* A transport, or another rank, may know of a death before this one does: waits a little. */
static void await_verdict(const gas_team_t *team)
{
    uint64_t deadline = gas_clock_now() + VERDICT_NS;

    Py_BEGIN_ALLOW_THREADS while (!pg_member_has_failed(team) && gas_clock_left(deadline) > 0)
        gas_wait(pg.job, NULL, gas_clock_now() + 1000000, 0);
    Py_END_ALLOW_THREADS
}

PyObject *pg_raise_failed(PyObject *members, gas_status_t status, const char *text)
{
    const gas_team_t *team = ((pg_members_t *)members)->team;
    bool is_failure = status == GAS_ERR_RANK_FAILED;
    PyObject *type;

    if (status == GAS_ERR_TRANSPORT || status == GAS_ERR_UNREACHABLE || status == GAS_ERR_CLOSED) {
        await_verdict(team);
        is_failure = pg_member_has_failed(team);
    } else if (is_failure) {
        await_verdict(NULL); /* it need not be a member: see pg_members_abandon() */
    }
    if (is_failure)
        return pg_raise_members_failed(team);
    if (status != GAS_ERR_MISMATCH) {
        gas_error(status, "%s", text);
        return pg_raise_status(status);
    }
    type = PyObject_GetAttrString(pg.errors, "CollectiveError");
    if (type != NULL)
        PyErr_SetString(type, text);
    Py_XDECREF(type);
    return NULL;
}

PyObject *pg_raise_refused(PyObject *members, gas_status_t status)
{
    char text[512];

    snprintf(text, sizeof(text), "%s", gas_error_text());
    return pg_raise_failed(members, status, text);
}

/* The answer, as (id, ranks). */
static PyObject *take(gas_shrink_t *shrink, int size)
{
    int *ranks = PyMem_Malloc((size_t)size * sizeof(*ranks));
    PyObject *tuple;
    uint64_t id;
    int count;

    if (ranks == NULL)
        return PyErr_NoMemory();
    count = gas_shrink_take(shrink, &id, ranks);
    tuple = PyTuple_New(count);
    for (int i = 0; tuple != NULL && i < count; i++) {
        PyObject *rank = PyLong_FromLong(ranks[i]);

        if (rank == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, rank);
    }
    PyMem_Free(ranks);
    return tuple != NULL ? Py_BuildValue("(KN)", (unsigned long long)id, tuple) : NULL;
}

PyObject *pg_members_shrink(PyObject *self, PyObject *unused)
{
    PyObject *result = NULL;
    gas_shrink_t *shrink;
    gas_team_t *team;
    int outcome = -1;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL && gas_shrink_enter(team, &shrink) != GAS_OK) {
        PyErr_NoMemory();
    } else if (team != NULL) {
        outcome = pg_wait_for(&shrink->event, "the ranks that are left of a team", -1);
    }
    if (outcome >= 0)
        result = take(shrink, team->size);
    pg_leave();
    return result;
}

PyObject *pg_members_abandon(PyObject *self, PyObject *args)
{
    const char *why;
    gas_team_t *team;
    int failed;

    if (!PyArg_ParseTuple(args, "sp:abandon", &why, &failed) || pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL)
        gas_team_break(team, failed ? GAS_ERR_RANK_FAILED : GAS_ERR_MISMATCH, why);
    pg_leave();
    return team != NULL ? Py_NewRef(Py_None) : NULL;
}

PyObject *pg_members_is_broken(PyObject *self, PyObject *unused)
{
    gas_team_t *team;
    bool broken = false;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL)
        broken = gas_team_is_broken(team);
    pg_leave();
    return team != NULL ? PyBool_FromLong(broken) : NULL;
}
