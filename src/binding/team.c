/*
 * Design notes. A team belongs to the job, which frees it at its end if nobody did before; so a
 * Members may be dropped at any time. Operations that block claim the team, as their order has to
 * be the same on all members: two threads, or a thread and a request that runs while it waits,
 * would mix it up. Operations that do not block are numbered in the order in which they are
 * started.
 */
#include "team.h"

#include "compat.h"
#include "drive.h"
#include "exchange.h"
#include "failure.h"
#include "operate.h"

#include <limits.h>
#include <stddef.h>
#include <structmember.h>

gas_team_t *pg_members_team(PyObject *self)
{
    gas_team_t *team = ((pg_members_t *)self)->team;

    if (team == NULL)
        PyErr_SetString(PyExc_ValueError, "the team has been freed");
    return team;
}

/* ---- claiming ---- */

int pg_members_claim(PyObject *self)
{
    bool idle = false;

    if (atomic_compare_exchange_strong(&((pg_members_t *)self)->claimed, &idle, true))
        return 0;
    PyErr_SetString(
        PyExc_RuntimeError,
        "another thread of this rank, or what a request interrupted, is in a collective "
        "operation of this team: one thread of each rank takes part; use the operations "
        "that return Futures, or a team of its own (split)");
    return -1;
}

void pg_members_release(PyObject *self)
{
    atomic_store(&((pg_members_t *)self)->claimed, false);
}

static PyObject *Members_claim(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pg_members_claim(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *Members_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    pg_members_release(self);
    Py_RETURN_NONE;
}

/* ---- making and freeing ---- */

static int *read_ranks(PyObject *tuple)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    int *ranks = PyMem_Malloc((size_t)(size > 0 ? size : 1) * sizeof(*ranks));

    if (ranks == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        long rank = PyLong_AsLong(PyTuple_GET_ITEM(tuple, i));

        if (rank == -1 && PyErr_Occurred()) {
            PyMem_Free(ranks);
            return NULL;
        }
        ranks[i] = rank < 0 || rank > INT_MAX ? -1 : (int)rank;
    }
    return ranks;
}

static gas_status_t get_team(unsigned long long id, PyObject *tuple, gas_team_t **team)
{
    gas_status_t status;
    int *ranks;

    if (tuple == NULL) {
        *team = pg.job->teams.world;
        return GAS_OK;
    }
    ranks = read_ranks(tuple);
    if (ranks == NULL)
        return GAS_ERR_INVALID;
    status = gas_team_create(pg.job, id, ranks, (int)PyTuple_GET_SIZE(tuple), team);
    PyMem_Free(ranks);
    return status;
}

static PyObject *Members_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    unsigned long long id = GAS_TEAM_WORLD;
    PyObject *ranks = NULL;
    pg_members_t *self;
    gas_team_t *team;
    gas_status_t status;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Members() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "|KO!:Members", &id, &PyTuple_Type, &ranks) || pg_enter() < 0)
        return NULL;
    status = get_team(id, ranks, &team);
    pg_leave();
    if (status != GAS_OK)
        return PyErr_Occurred() ? NULL : pg_raise_status(status);
    self = (pg_members_t *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->team = team;
    self->id = team->id;
    self->rank = team->rank;
    self->size = team->size;
    atomic_init(&self->claimed, false);
    return (PyObject *)self;
}

static void Members_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Members_free(PyObject *self, PyObject *unused)
{
    pg_members_t *members = (pg_members_t *)self;
    gas_status_t status = GAS_OK;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    if (pg_members_claim(self) < 0) {
        pg_leave();
        return NULL;
    }
    if (members->team != NULL)
        status = gas_team_free(members->team);
    if (status == GAS_OK)
        members->team = NULL;
    pg_members_release(self);
    pg_leave();
    if (status == GAS_BUSY) {
        PyErr_SetString(PyExc_RuntimeError, gas_error_text());
        return NULL;
    }
    if (status != GAS_OK)
        return pg_raise_status(status);
    Py_RETURN_NONE;
}

static PyObject *Members_to_world(PyObject *self, PyObject *arg)
{
    long rank = PyLong_AsLong(arg);
    PyObject *result = NULL;
    gas_team_t *team;

    if ((rank == -1 && PyErr_Occurred()) || pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL && rank >= 0 && rank < team->size)
        result = PyLong_FromLong(gas_team_to_world(team, (int)rank));
    else if (team != NULL)
        PyErr_Format(PyExc_ValueError, "there is no rank %ld in a team of %d", rank, team->size);
    pg_leave();
    return result;
}

static PyObject *Members_from_world(PyObject *self, PyObject *arg)
{
    long rank = PyLong_AsLong(arg);
    PyObject *result = NULL;
    gas_team_t *team;

    if ((rank == -1 && PyErr_Occurred()) || pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL && (rank < 0 || rank >= pg.size))
        PyErr_Format(PyExc_ValueError, "there is no rank %ld in a job of %d", rank, pg.size);
    else if (team != NULL)
        result = PyLong_FromLong(gas_team_from_world(team, (int)rank));
    pg_leave();
    return result;
}

static PyObject *Members_host_leader(PyObject *self, PyObject *unused)
{
    PyObject *result = NULL;
    gas_team_t *team;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    for (int i = 0; team != NULL && result == NULL; i++)
        if (gas_job_shares_host(pg.job, gas_team_to_world(team, i)))
            result = PyLong_FromLong(i);
    pg_leave();
    return result;
}

/* ---- operations on objects ---- */

static PyObject *Members_open(PyObject *self, PyObject *tuple)
{
    gas_coll_args_t args = {.type = GAS_TYPE_OBJECT};
    int kind, root;
    unsigned int extra;
    PyObject *exchange = NULL;

    if (!PyArg_ParseTuple(tuple, "iiI:open", &kind, &root, &extra) || pg_enter() < 0)
        return NULL;
    args.kind = (gas_coll_kind_t)kind;
    args.root = root;
    args.extra = extra;
    if (pg_members_team(self) != NULL)
        exchange = pg_exchange_open(self, &args);
    pg_leave();
    return exchange;
}

static PyObject *Members_refuse(PyObject *self, PyObject *tuple)
{
    gas_coll_args_t args = {.type = GAS_TYPE_OBJECT};
    gas_status_t status = GAS_OK;
    gas_team_t *team;
    const char *why;
    int kind;

    if (!PyArg_ParseTuple(tuple, "is:refuse", &kind, &why) || pg_enter() < 0)
        return NULL;
    args.kind = (gas_coll_kind_t)kind;
    team = pg_members_team(self);
    if (team != NULL)
        status = gas_coll_refuse(team, &args, why);
    if (status != GAS_OK)
        pg_raise_refused(self, status);
    pg_leave();
    return team != NULL && status == GAS_OK ? Py_NewRef(Py_None) : NULL;
}

/* ---- the type ---- */

static PyMethodDef Members_methods[] = {
    {"to_world", Members_to_world, METH_O,
     PyDoc_STR("to_world($self, rank, /)\n--\n\nThe rank in the world of a member.")},
    {"from_world", Members_from_world, METH_O,
     PyDoc_STR("from_world($self, rank, /)\n--\n\nThe member that a rank of the world is, or -1.")},
    {"host_leader", Members_host_leader, METH_NOARGS,
     PyDoc_STR("host_leader($self, /)\n--\n\nThe first member that runs on this rank's host.")},
    {"free", Members_free, METH_NOARGS,
     PyDoc_STR("free($self, /)\n--\n\nFree this rank's part of the team.")},
    {"claim", Members_claim, METH_NOARGS,
     PyDoc_STR("claim($self, /)\n--\n\nBegin something that blocks; RuntimeError if another thread "
               "has.")},
    {"release", Members_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\nEnd what claim() began.")},
    {"operate", pg_members_operate, METH_VARARGS,
     PyDoc_STR(
         "operate($self, kind, algorithm, root, op, type, count, shape, ordered, send, recv,\n"
         "        done, /)\n--\n\n"
         "Do an operation on arrays. With `done` it does not block: done(None) is called at "
         "its\nend, or done(exception).")},
    {"operate_plain", (PyCFunction)(void (*)(void))pg_members_operate_plain, METH_FASTCALL,
     PyDoc_STR("operate_plain($self, kind, value, out, op, root, ordered, /)\n--\n\n"
               "Do an operation on arrays that blocks, and return what it returns; NotImplemented, "
               "and\nnothing was done, if operate() is needed.")},
    {"shrink", pg_members_shrink, METH_NOARGS,
     PyDoc_STR("shrink($self, /)\n--\n\n"
               "Agree with the members that live on a new team: its id and ranks.")},
    {"abandon", pg_members_abandon, METH_VARARGS,
     PyDoc_STR("abandon($self, why, failed, /)\n--\n\n"
               "Put the team out of use on all members; `failed`: since a rank has failed.")},
    {"is_broken", pg_members_is_broken, METH_NOARGS,
     PyDoc_STR("is_broken($self, /)\n--\n\nTrue if the team is out of use.")},
    {"notify", pg_members_notify, METH_NOARGS,
     PyDoc_STR("notify($self, /)\n--\n\nEnter the barrier; return a Notified.")},
    {"barrier", pg_members_barrier, METH_O,
     PyDoc_STR("barrier($self, team, /)\n--\n\n"
               "Wait in the barrier. If that is interrupted, the Team gets the Notified.")},
    {"refuse", Members_refuse, METH_VARARGS,
     PyDoc_STR("refuse($self, kind, why, /)\n--\n\n"
               "Take no part in the next operation, which fails for all members.")},
    {"run", (PyCFunction)(void (*)(void))pg_members_run, METH_FASTCALL,
     PyDoc_STR("run($self, kind, root, extra, meet_first, reason, algorithm, /, *args)\n--\n\n"
               "Do an operation on objects that blocks: algorithm(exchange, *args), after the "
               "members\nhave met, meet_first(exchange, self, steps), where they have to. "
               "reason(self, exception)\nsays to the others why this rank gave it up.")},
    {"open", Members_open, METH_VARARGS,
     PyDoc_STR("open($self, kind, root, extra, /)\n--\n\n"
               "Begin an operation on objects; return an Exchange.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Members_members[] = {
    {"id", T_ULONGLONG, offsetof(pg_members_t, id), READONLY, "The same on all members."},
    {"rank", T_INT, offsetof(pg_members_t, rank), READONLY, "This rank's number in the team."},
    {"size", T_INT, offsetof(pg_members_t, size), READONLY, "How many members there are."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Members_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Members(id=0, ranks=<the world>, /)\n--\n\n"
                                  "This rank's part of a team; `ranks` is a tuple, in the world's "
                                  "numbering.")},
    {Py_tp_new, Members_new},
    {Py_tp_dealloc, Members_dealloc},
    {Py_tp_methods, Members_methods},
    {Py_tp_members, Members_members},
    {0, NULL},
};

static PyType_Spec Members_spec = {
    .name = "pygas._core.Members",
    .basicsize = sizeof(pg_members_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Members_slots,
};

PyTypeObject *pg_members_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Members_spec, NULL);
}

/* ---- the table ---- */

PyObject *pg_algorithms(PyObject *module, PyObject *unused)
{
    PyObject *rows = PyList_New(0);

    (void)module;
    (void)unused;
    for (int kind = 0; rows != NULL && kind <= GAS_COLL_EXSCAN; kind++) {
        for (size_t i = 0; rows != NULL && i < gas_algorithm_count((gas_coll_kind_t)kind); i++) {
            const gas_algorithm_t *row = gas_algorithm_get((gas_coll_kind_t)kind, i);
            PyObject *item = Py_BuildValue("(ssOs)", gas_coll_kind_name((gas_coll_kind_t)kind),
                                           row->name, row->ordered ? Py_True : Py_False, row->when);

            if (item == NULL || PyList_Append(rows, item) < 0)
                Py_CLEAR(rows);
            Py_XDECREF(item);
        }
    }
    return rows;
}
