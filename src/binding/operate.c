/*
 * Design notes. The arrays of an operation are pinned (Py_buffer) until it is over; those that
 * plain.c has looked at itself are just kept. One that blocks is over when its call returns, also
 * if that raises: it is failed for all members then. One that does not block comes back as work,
 * since only an attached thread may let go of the arrays and call `done`.
 */
#include "operate.h"

#include "compat.h"
#include "failure.h"
#include "settle.h"
#include "wait.h"

#include <limits.h>

#define DETACH_BYTES 65536u /* from here on starting takes long enough to let others run */

/* An operation on arrays. */
typedef struct operation {
    gas_work_t work; /* first: run() gets its address */
    gas_coll_t *coll;
    PyObject *members;
    gas_event_t event; /* of one that blocks */
    PyObject *done;    /* of one that does not; NULL: it blocks */
    Py_buffer send, recv;
    PyObject *kept[2]; /* in place of these two; or NULL */
} operation_t;

static void operation_free(operation_t *operation)
{
    if (operation->send.obj != NULL)
        PyBuffer_Release(&operation->send);
    if (operation->recv.obj != NULL)
        PyBuffer_Release(&operation->recv);
    Py_XDECREF(operation->kept[0]);
    Py_XDECREF(operation->kept[1]);
    if (operation->coll != NULL)
        gas_coll_free(operation->coll);
    Py_XDECREF(operation->done);
    Py_XDECREF(operation->members);
    PyMem_Free(operation);
}

/* Work: one that did not block is over. */
static void operation_done(gas_work_t *work)
{
    operation_t *operation = (operation_t *)work;
    gas_status_t status = gas_coll_status(operation->coll);
    PyObject *exception = NULL, *result;

    if (atomic_load(&pg.phase) == PG_RUNNING) {
        if (status != GAS_OK) {
            pg_raise_failed(operation->members, status, gas_coll_text(operation->coll));
            exception = PyErr_GetRaisedException();
        }
        result = PyObject_CallOneArg(operation->done, exception != NULL ? exception : Py_None);
        if (result == NULL)
            PyErr_WriteUnraisable(operation->done);
        Py_XDECREF(result);
        Py_XDECREF(exception);
    }
    operation_free(operation);
}

/* Under the conduit lock; not attached. */
static void operation_over(void *arg)
{
    operation_t *operation = arg;

    if (operation->done == NULL) {
        gas_event_set(&operation->event);
        return;
    }
    operation->work = (gas_work_t){
        .run = operation_done, .depth = GAS_WORK_NOTICE}; /* others may wait for it at any depth */
    gas_work_push(pg.job, &operation->work);
}

/* Blocks an operation needs of memory that a caller gives it. */
static uint64_t blocks_of(const gas_coll_args_t *args, const gas_team_t *team, bool sends)
{
    bool is_root = team->rank == args->root;
    uint64_t size = (uint64_t)team->size;

    switch (args->kind) {
    case GAS_COLL_BARRIER:
        return 0;
    case GAS_COLL_BROADCAST:
        return sends == is_root;
    case GAS_COLL_GATHER:
        return sends ? 1 : (is_root ? size : 0);
    case GAS_COLL_SCATTER:
        return sends ? (is_root ? size : 0) : 1;
    case GAS_COLL_ALLGATHER:
        return sends ? 1 : size;
    case GAS_COLL_ALLTOALL:
        return size;
    case GAS_COLL_REDUCE:
        return sends || is_root;
    case GAS_COLL_REDUCE_SCATTER:
        return sends ? size : 1;
    default:
        return 1;
    }
}

/* Pins a memory. 0, or -1 with an exception. */
static int pin(PyObject *object, Py_buffer *view, const gas_coll_args_t *args,
               const gas_team_t *team, bool sends)
{
    uint64_t wanted = blocks_of(args, team, sends) * args->count * gas_type_size(args->type);
    int flags = sends ? PyBUF_C_CONTIGUOUS : PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE;

    if (object == Py_None || wanted == 0) {
        if (wanted == 0)
            return 0;
        PyErr_SetString(PyExc_ValueError, sends ? "nothing to send was given" : "no `out` given");
        return -1;
    }
    if (PyObject_GetBuffer(object, view, flags) < 0) {
        view->obj = NULL;
        return -1;
    }
    if ((uint64_t)view->len == wanted)
        return 0;
    PyErr_Format(PyExc_ValueError, "memory of %zd bytes where %llu are needed", view->len,
                 (unsigned long long)wanted);
    return -1;
}

/* What Python gives: kind, algorithm, root, op, type, count, shape, ordered, send, recv, done. */
static operation_t *operation_new(gas_team_t *team, PyObject *tuple, gas_coll_args_t *args)
{
    int kind, algorithm, root, op, type, ordered;
    unsigned long long count;
    unsigned int shape;
    PyObject *send, *recv, *done;
    operation_t *operation;

    if (!PyArg_ParseTuple(tuple, "iiiiiKIpOOO", &kind, &algorithm, &root, &op, &type, &count,
                          &shape, &ordered, &send, &recv, &done))
        return NULL;
    if (kind < 0 || kind > GAS_COLL_EXSCAN || type < 0 || type >= GAS_TYPE_OBJECT) {
        PyErr_SetString(PyExc_ValueError, "there is no such operation on arrays");
        return NULL;
    }
    *args = (gas_coll_args_t){
        .kind = (gas_coll_kind_t)kind,
        .algorithm = algorithm,
        .root = root,
        .op = (gas_operator_t)op,
        .type = (gas_type_t)type,
        .count = count,
        .shape = shape,
        .ordered = ordered != 0,
    };
    operation = PyMem_Calloc(1, sizeof(*operation));
    if (operation == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    gas_event_init(&operation->event);
    if (pin(send, &operation->send, args, team, true) < 0 ||
        pin(recv, &operation->recv, args, team, false) < 0) {
        operation_free(operation);
        return NULL;
    }
    operation->done = done != Py_None ? Py_NewRef(done) : NULL;
    args->send = operation->send.buf;
    args->recv = operation->recv.buf;
    return operation;
}

static gas_status_t start(gas_team_t *team, const gas_coll_args_t *args, operation_t *operation)
{
    gas_status_t status;

    if (args->count * gas_type_size(args->type) < DETACH_BYTES)
        return gas_coll_start(team, args, operation_over, operation, &operation->coll);
    Py_BEGIN_ALLOW_THREADS status =
        gas_coll_start(team, args, operation_over, operation, &operation->coll);
    Py_END_ALLOW_THREADS return status;
}

/* Waits until the operation is over, also if that raises. */
static PyObject *finish(operation_t *operation)
{
    int outcome = pg_wait_for(&operation->event, "a collective operation on arrays", -1);
    PyObject *result = NULL;

    if (outcome < 0) {
        PyObject *exception = PyErr_GetRaisedException();
        char text[200];

        if (atomic_load(&pg.phase) != PG_RUNNING) { /* nothing moves any more: leave it */
            PyErr_SetRaisedException(exception);
            return NULL;
        }
        snprintf(text, sizeof(text), "rank %d gave it up: %s", pg.rank,
                 Py_TYPE(exception)->tp_name);
        gas_coll_fail(operation->coll, GAS_ERR_MISMATCH, text);
        pg_wait_landing(&operation->event);
        PyErr_SetRaisedException(exception);
    } else if (gas_coll_status(operation->coll) != GAS_OK) {
        pg_raise_failed(operation->members, gas_coll_status(operation->coll),
                        gas_coll_text(operation->coll));
    } else {
        result = pg_settle() < 0 ? NULL : Py_NewRef(Py_None);
    }
    operation_free(operation);
    return result;
}

/* Begins it, and waits for it if it blocks. The operation is this function's. */
static PyObject *operate(PyObject *self, gas_team_t *team, const gas_coll_args_t *args,
                         operation_t *operation)
{
    bool blocks = operation->done == NULL;
    PyObject *result = NULL;
    gas_status_t status;

    if (blocks && pg_members_claim(self) < 0) {
        operation_free(operation);
        return NULL;
    }
    operation->members = Py_NewRef(self);
    status = start(team, args, operation);
    if (status != GAS_OK) {
        operation->coll = NULL;
        operation_free(operation);
        pg_raise_refused(self, status);
    } else {
        result = blocks ? finish(operation) : Py_NewRef(Py_None);
    }
    if (blocks)
        pg_members_release(self);
    return result;
}

PyObject *pg_operate(PyObject *self, gas_team_t *team, const gas_coll_args_t *args, PyObject *send,
                     PyObject *recv)
{
    operation_t *operation = PyMem_Calloc(1, sizeof(*operation));

    if (operation == NULL)
        return PyErr_NoMemory();
    gas_event_init(&operation->event);
    operation->kept[0] = Py_XNewRef(send);
    operation->kept[1] = Py_XNewRef(recv);
    return operate(self, team, args, operation);
}

PyObject *pg_members_operate(PyObject *self, PyObject *tuple)
{
    operation_t *operation;
    PyObject *result = NULL;
    gas_coll_args_t args;
    gas_team_t *team;

    if (pg_enter() < 0)
        return NULL;
    team = pg_members_team(self);
    operation = team != NULL ? operation_new(team, tuple, &args) : NULL;
    if (operation != NULL)
        result = operate(self, team, &args, operation);
    pg_leave();
    return result;
}
