/*
 * The barrier in two halves: notify() begins it and returns a Notified, whose wait() is the end;
 * and both in one.
 *
 * Design notes. The runtime tells when it is over at a time when the Python object may be gone, and
 * the object may outlast it; so what both need is memory of its own, with two references.
 */
#include "team.h"

#include "compat.h"
#include "settle.h"
#include "wait.h"

/* The runtime's and the Python object's; whoever is last frees it. */
typedef struct phase {
    atomic_int references;
    gas_coll_t *coll;
    gas_event_t event;
} phase_t;

typedef struct notified {
    PyObject_HEAD phase_t *phase;
    PyObject *members;
} notified_t;

static void phase_unref(phase_t *phase)
{
    if (atomic_fetch_sub(&phase->references, 1) > 1)
        return;
    if (phase->coll != NULL)
        gas_coll_free(phase->coll);
    free(phase);
}

/* Under the conduit lock; not attached. */
static void phase_over(void *arg)
{
    phase_t *phase = arg;

    gas_event_set(&phase->event);
    phase_unref(phase);
}

static PyObject *notify(PyObject *members, gas_team_t *team)
{
    gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};
    phase_t *phase = gas_alloc_zeroed(sizeof(*phase));
    notified_t *self = PyObject_New(notified_t, pg.notified_type);
    gas_status_t status;

    if (phase == NULL || self == NULL) {
        free(phase);
        if (self != NULL) {
            self->phase = NULL;
            self->members = NULL;
            Py_DECREF(self);
        }
        return PyErr_NoMemory();
    }
    self->phase = phase;
    self->members = Py_NewRef(members);
    atomic_init(&phase->references, 2);
    gas_event_init(&phase->event);
    status = gas_coll_start(team, &args, phase_over, phase, &phase->coll);
    if (status == GAS_OK)
        return (PyObject *)self;
    phase->coll = NULL;
    phase_unref(phase);
    pg_raise_refused(members, status);
    Py_DECREF(self);
    return NULL;
}

PyObject *pg_members_notify(PyObject *self, PyObject *unused)
{
    PyObject *notified = NULL;
    gas_team_t *team;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    if (team != NULL)
        notified = notify(self, team);
    pg_leave();
    return notified;
}

/* Between pg_enter() and pg_leave(). */
static PyObject *wait_for(PyObject *self)
{
    phase_t *phase = ((notified_t *)self)->phase;
    PyObject *result = NULL;
    int outcome = pg_wait_for(&phase->event, "the barrier", -1);

    if (outcome >= 0) {
        if (gas_coll_status(phase->coll) == GAS_OK)
            result = pg_settle() < 0 ? NULL : Py_NewRef(Py_None);
        else
            pg_raise_failed(((notified_t *)self)->members, gas_coll_status(phase->coll),
                            gas_coll_text(phase->coll));
    }
    return result;
}

static PyObject *Notified_wait(PyObject *self, PyObject *unused)
{
    PyObject *result;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    result = wait_for(self);
    pg_leave();
    return result;
}

/* An exception has ended the wait: the team's next barrier() goes on with it, unless the barrier
 * itself has failed. */
static void keep_for_later(PyObject *team, PyObject *notified)
{
    PyObject *exception = PyErr_GetRaisedException();
    bool failed = gas_event_is_set(&((notified_t *)notified)->phase->event) &&
                  PyErr_GivenExceptionMatches(exception, PyExc_Exception);

    if (!failed && (PyObject_SetAttrString(team, "_notified", notified) < 0 ||
                    PyObject_SetAttrString(team, "_interrupted", Py_True) < 0))
        PyErr_WriteUnraisable(team);
    PyErr_SetRaisedException(exception);
}

/* Claimed. */
static PyObject *meet(PyObject *self, gas_team_t *members, PyObject *team)
{
    PyObject *notified = notify(self, members);
    PyObject *result = notified != NULL ? wait_for(notified) : NULL;

    if (notified != NULL && result == NULL)
        keep_for_later(team, notified);
    Py_XDECREF(notified);
    return result;
}

PyObject *pg_members_barrier(PyObject *self, PyObject *team)
{
    PyObject *result = NULL;
    gas_team_t *members;

    if (pg_enter() < 0)
        return NULL;
    members = pg_members_team(self);
    if (members != NULL && pg_members_claim(self) == 0) {
        result = meet(self, members, team);
        pg_members_release(self);
    }
    pg_leave();
    return result;
}

static PyObject *Notified_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(gas_event_is_set(&((notified_t *)self)->phase->event));
}

static void Notified_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    phase_t *phase = ((notified_t *)self)->phase;

    if (phase != NULL)
        phase_unref(phase);
    Py_XDECREF(((notified_t *)self)->members);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef Notified_methods[] = {
    {"wait", Notified_wait, METH_NOARGS,
     PyDoc_STR("wait($self, /)\n--\n\nWait until every member has notified. If that is interrupted "
               "by an exception,\nit can be called again.")},
    {"done", Notified_done, METH_NOARGS,
     PyDoc_STR("done($self, /)\n--\n\nTrue if wait() would not block.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Notified_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A barrier that this rank has entered.")},
    {Py_tp_dealloc, Notified_dealloc},
    {Py_tp_methods, Notified_methods},
    {0, NULL},
};

static PyType_Spec Notified_spec = {
    .name = "pygas._core.Notified",
    .basicsize = sizeof(notified_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Notified_slots,
};

PyTypeObject *pg_notified_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Notified_spec, NULL);
}
