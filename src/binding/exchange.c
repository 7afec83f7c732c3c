/*
 * Design notes. Two ways to use one. Blocking: receive() and finish() wait, requests run meanwhile.
 * Not blocking: expect() and then() call back, as queued work, so by an attached thread, like a
 * request; nothing is waited for but buffers that are on their way already.
 *
 * What was sent is counted by a *flight* (flight.h); the exchange is not finished before all of it
 * has arrived, so that afterwards the program may change its objects. If the Exchange is dropped
 * before (an exception), the flight goes on without it.
 */
#include "exchange.h"

#include "compat.h"
#include "encoded.h"
#include "flight.h"
#include "payload.h"
#include "settle.h"
#include "wait.h"

#include <stddef.h>

#define HEAD_MAX (GAS_COLL_HEAD_MAX + sizeof(pg_wire_t))

typedef struct exchange {
    PyObject_HEAD PyObject *members; /* keeps the team claimed or not: its owner knows */
    gas_coll_t *coll;                /* NULL: closed */
    pg_flight_t *flight;             /* NULL: finished, or dropped */
} exchange_t;

/* ---- beginning and ending ---- */

PyObject *pg_exchange_open(PyObject *members, const gas_coll_args_t *args)
{
    gas_team_t *team = ((pg_members_t *)members)->team;
    exchange_t *self = PyObject_New(exchange_t, pg.exchange_type);
    gas_status_t status;

    if (self == NULL)
        return NULL;
    self->members = Py_NewRef(members);
    self->coll = NULL;
    self->flight = pg_flight_create();
    if (self->flight == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    status = gas_coll_open(team, args, &self->coll);
    if (status != GAS_OK) {
        pg_raise_refused(members, status);
        self->coll = NULL;
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void drop_flight(exchange_t *self)
{
    pg_flight_t *flight = self->flight;

    self->flight = NULL;
    if (flight != NULL)
        pg_flight_drop(flight);
}

static void close_coll(exchange_t *self)
{
    gas_coll_t *coll = self->coll;

    self->coll = NULL;
    if (coll == NULL)
        return;
    gas_coll_close(coll);
    gas_coll_free(coll);
}

static void Exchange_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    exchange_t *exchange = (exchange_t *)self;

    drop_flight(exchange);
    /* Not finished properly, as Python code sees to: so at a time when there may be no job. */
    if (exchange->coll != NULL && pg_enter_if_running()) {
        gas_coll_fail(exchange->coll, GAS_ERR_MISMATCH, "a rank left it in the middle");
        close_coll(exchange);
        pg_leave();
    }
    Py_DECREF(exchange->members);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* 0, or -1 with an exception if finish(), then(), close() or fail() has been called. */
static int require_open(exchange_t *self)
{
    if (self->coll != NULL && self->flight != NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the exchange is over");
    return -1;
}

/* ---- sending ---- */

static int send_one(exchange_t *self, gas_team_t *team, PyObject *member, pg_payload_t *payload)
{
    long rank = PyLong_AsLong(member);
    pg_wire_t wire = pg_payload_wire(payload);
    unsigned char head[HEAD_MAX];
    size_t length;
    int sent;

    if (rank == -1 && PyErr_Occurred())
        return -1;
    if (rank < 0 || rank >= team->size) {
        PyErr_Format(PyExc_ValueError, "there is no rank %ld in a team of %d", rank, team->size);
        return -1;
    }
    length = gas_coll_head(self->coll, head);
    memcpy(head + length, &wire, sizeof(wire));
    pg_flight_add(self->flight);
    sent = pg_payload_send_then(payload, gas_team_to_world(team, (int)rank), GAS_HANDLER_COLL, head,
                                length + sizeof(wire), pg_flight_landed, self->flight);
    if (sent <= 0)
        pg_flight_subtract(self->flight);
    return sent;
}

static PyObject *Exchange_send(PyObject *self, PyObject *args)
{
    exchange_t *exchange = (exchange_t *)self;
    PyObject *ranks, *encoded;
    gas_team_t *team;
    int failed;

    if (!PyArg_ParseTuple(args, "O!O!:send", &PyTuple_Type, &ranks, pg.encoded_type, &encoded) ||
        pg_enter() < 0)
        return NULL;
    team = pg_members_team(exchange->members);
    failed = team == NULL || require_open(exchange) < 0;
    for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(ranks); i++)
        failed =
            send_one(exchange, team, PyTuple_GET_ITEM(ranks, i), pg_encoded_payload(encoded)) < 0;
    pg_leave();
    return failed ? NULL : Py_NewRef(Py_None);
}

/* ---- receiving ---- */

/* How a message's payload is laid out; false if it is none of an exchange. */
static bool get_wire(const gas_msg_t *msg, pg_wire_t *wire)
{
    const void *added = gas_coll_added(msg, sizeof(*wire));

    if (added == NULL)
        return false;
    memcpy(wire, added, sizeof(*wire));
    return true;
}

void pg_exchange_arrived(gas_msg_t *msg)
{
    pg_wire_t wire;

    if (get_wire(msg, &wire))
        pg_payload_arrived(msg, &wire);
}

/* Under the conduit lock or attached. */
void pg_exchange_discard(gas_job_t *job, gas_msg_t *msg)
{
    pg_wire_t wire;

    (void)job;
    if (get_wire(msg, &wire))
        pg_payload_refuse(msg, &wire);
}

/* Throws a message away that was taken. */
static void drop(gas_msg_t *msg)
{
    if (atomic_load(&pg.phase) == PG_RUNNING)
        pg_exchange_discard(pg.job, msg);
    gas_msg_free(pg.job, msg);
}

/* The message of a receive that is ready, as an Encoded. Takes over the message. */
static PyObject *unpack(exchange_t *self, gas_msg_t *msg)
{
    gas_coll_t *coll = self->coll;
    PyObject *encoded = NULL;
    pg_wire_t wire;

    if (msg == NULL)
        return pg_raise_failed(self->members, gas_coll_status(coll), gas_coll_text(coll));
    if (get_wire(msg, &wire)) {
        encoded = pg_encoded_new(pg_payload_fetch(msg, &wire));
    } else {
        PyErr_SetString(PyExc_RuntimeError, "a malformed message arrived");
    }
    gas_msg_free(pg.job, msg);
    return encoded;
}

typedef struct awaited {
    gas_coll_recv_t recv; /* first */
    gas_event_t event;
} awaited_t;

/* Under the conduit lock; not attached. */
static void awaited_ready(gas_coll_recv_t *recv)
{
    gas_event_set(&((awaited_t *)recv)->event);
}

static PyObject *receive(exchange_t *self, int source)
{
    awaited_t awaited = {.recv.ready = awaited_ready};
    int outcome;

    gas_event_init(&awaited.event);
    gas_coll_take(self->coll, &awaited.recv, source);
    outcome = pg_wait_for(&awaited.event, "a message of a collective", awaited.recv.source);
    if (outcome < 0) {
        PyObject *exception = PyErr_GetRaisedException();

        /* So that nothing is written here any more; at the end of the job nothing is anyway. */
        if (atomic_load(&pg.phase) == PG_RUNNING) {
            gas_coll_fail(self->coll, GAS_ERR_MISMATCH, "a rank gave it up");
            pg_wait_landing(&awaited.event);
            if (awaited.recv.msg != NULL)
                drop(awaited.recv.msg);
        }
        PyErr_SetRaisedException(exception);
        return NULL;
    }
    return unpack(self, awaited.recv.msg);
}

static int parse_source(exchange_t *self, PyObject *arg)
{
    long rank = PyLong_AsLong(arg);
    int size = ((pg_members_t *)self->members)->size;

    if (rank == -1 && PyErr_Occurred())
        return -1;
    if (rank >= 0 && rank < size)
        return (int)rank;
    PyErr_Format(PyExc_ValueError, "there is no rank %ld in a team of %d", rank, size);
    return -1;
}

PyObject *pg_exchange_receive(PyObject *self, PyObject *member)
{
    exchange_t *exchange = (exchange_t *)self;
    int source = parse_source(exchange, member);
    PyObject *encoded = NULL;

    if (source < 0 || pg_enter() < 0)
        return NULL;
    if (require_open(exchange) == 0)
        encoded = receive(exchange, source);
    pg_leave();
    return encoded;
}

typedef struct expected {
    gas_coll_recv_t recv; /* first */
    gas_work_t work;
    PyObject *exchange, *callback;
} expected_t;

/* Work. */
static void expected_run(gas_work_t *work)
{
    expected_t *expected = (expected_t *)((char *)work - offsetof(expected_t, work));
    exchange_t *exchange = (exchange_t *)expected->exchange;

    if (atomic_load(&pg.phase) == PG_RUNNING && exchange->coll != NULL) {
        PyObject *outcome = unpack(exchange, expected->recv.msg), *result;

        if (outcome == NULL)
            outcome = PyErr_GetRaisedException();
        result = PyObject_CallOneArg(expected->callback, outcome);
        if (result == NULL)
            PyErr_WriteUnraisable(expected->callback);
        Py_XDECREF(result);
        Py_DECREF(outcome);
    } else if (expected->recv.msg != NULL) {
        drop(expected->recv.msg);
    }
    Py_DECREF(expected->callback);
    Py_DECREF(expected->exchange);
    free(expected);
}

/* Under the conduit lock; not attached. */
static void expected_ready(gas_coll_recv_t *recv)
{
    expected_t *expected = (expected_t *)recv;

    expected->work = (gas_work_t){
        .run = expected_run, .depth = GAS_WORK_NOTICE}; /* others may wait for it at any depth */
    gas_work_push(pg.job, &expected->work);
}

static PyObject *Exchange_expect(PyObject *self, PyObject *args)
{
    exchange_t *exchange = (exchange_t *)self;
    PyObject *rank, *callback;
    expected_t *expected;
    int source;

    if (!PyArg_ParseTuple(args, "OO:expect", &rank, &callback))
        return NULL;
    source = parse_source(exchange, rank);
    if (source < 0 || pg_enter() < 0)
        return NULL;
    expected = require_open(exchange) == 0 ? calloc(1, sizeof(*expected)) : NULL;
    if (expected != NULL) {
        expected->recv.ready = expected_ready;
        expected->exchange = Py_NewRef(self);
        expected->callback = Py_NewRef(callback);
        gas_coll_take(exchange->coll, &expected->recv, source);
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    pg_leave();
    return expected != NULL ? Py_NewRef(Py_None) : NULL;
}

/* ---- finishing ---- */

int pg_exchange_finish(PyObject *self)
{
    exchange_t *exchange = (exchange_t *)self;
    pg_flight_t *flight;
    gas_event_t *landed;
    int outcome;

    if (pg_enter() < 0)
        return -1;
    if (require_open(exchange) < 0) {
        pg_leave();
        return -1;
    }
    flight = exchange->flight;
    exchange->flight = NULL;
    landed = pg_flight_await(flight);
    outcome = pg_wait_for(landed, "a large object to be fetched from here", -1);
    if (outcome < 0) {
        PyObject *exception = PyErr_GetRaisedException();

        if (atomic_load(&pg.phase) != PG_RUNNING) { /* nothing moves any more: leave it */
            PyErr_SetRaisedException(exception);
            pg_leave();
            return -1;
        }
        gas_coll_fail(exchange->coll, GAS_ERR_MISMATCH, "a rank gave it up");
        pg_wait_landing(landed);
        PyErr_SetRaisedException(exception);
    }
    pg_flight_free(flight);
    if (outcome > 0 && gas_coll_status(exchange->coll) != GAS_OK) {
        pg_raise_failed(exchange->members, gas_coll_status(exchange->coll),
                        gas_coll_text(exchange->coll));
        outcome = -1;
    }
    close_coll(exchange);
    if (outcome > 0 && pg_settle() < 0)
        outcome = -1;
    pg_leave();
    return outcome > 0 ? 0 : -1;
}

static PyObject *Exchange_then(PyObject *self, PyObject *callback)
{
    exchange_t *exchange = (exchange_t *)self;
    pg_flight_t *flight;

    if (pg_enter() < 0)
        return NULL;
    if (require_open(exchange) < 0) {
        pg_leave();
        return NULL;
    }
    flight = exchange->flight;
    exchange->flight = NULL;
    pg_flight_call(flight, callback);
    pg_leave();
    Py_RETURN_NONE;
}

static PyObject *Exchange_close(PyObject *self, PyObject *unused)
{
    exchange_t *exchange = (exchange_t *)self;
    bool failed = false;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    drop_flight(exchange);
    if (exchange->coll != NULL) {
        failed = gas_coll_status(exchange->coll) != GAS_OK;
        if (failed)
            pg_raise_failed(exchange->members, gas_coll_status(exchange->coll),
                            gas_coll_text(exchange->coll));
        close_coll(exchange);
    }
    pg_leave();
    return failed ? NULL : Py_NewRef(Py_None);
}

int pg_exchange_fail(PyObject *self, PyObject *why)
{
    exchange_t *exchange = (exchange_t *)self;
    const char *text = PyUnicode_AsUTF8(why);

    if (text == NULL || pg_enter() < 0)
        return -1;
    drop_flight(exchange);
    if (exchange->coll != NULL) {
        gas_coll_fail(exchange->coll, GAS_ERR_MISMATCH, text);
        close_coll(exchange);
    }
    pg_leave();
    return 0;
}

static PyObject *Exchange_fail(PyObject *self, PyObject *why)
{
    return pg_exchange_fail(self, why) < 0 ? NULL : Py_NewRef(Py_None);
}

bool pg_exchange_meets_first(PyObject *self)
{
    gas_coll_t *coll = ((exchange_t *)self)->coll;

    return coll != NULL && gas_coll_meets_first(coll);
}

static PyObject *Exchange_meets_first(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(pg_exchange_meets_first(self));
}

static PyMethodDef Exchange_methods[] = {
    {"meets_first", Exchange_meets_first, METH_NOARGS,
     PyDoc_STR("meets_first($self, /)\n--\n\nTrue if the members should meet before anything "
               "else.")},
    {"send", Exchange_send, METH_VARARGS,
     PyDoc_STR(
         "send($self, members, encoded, /)\n--\n\nSend to a tuple of members. Does not wait.")},
    {"expect", Exchange_expect, METH_VARARGS,
     PyDoc_STR("expect($self, member, callback, /)\n--\n\n"
               "Have callback(encoded), or callback(exception), called when the next message of a "
               "member\nis there.")},
    {"then", Exchange_then, METH_O,
     PyDoc_STR("then($self, callback, /)\n--\n\n"
               "Have callback() called when what was sent has arrived; it calls close().")},
    {"close", Exchange_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\nEnd the exchange; raises if it has failed.")},
    {"fail", Exchange_fail, METH_O,
     PyDoc_STR("fail($self, why, /)\n--\n\nFail it for all members, and end it. Does not raise.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Exchange_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A collective operation on objects, from inside.")},
    {Py_tp_dealloc, Exchange_dealloc},
    {Py_tp_methods, Exchange_methods},
    {0, NULL},
};

static PyType_Spec Exchange_spec = {
    .name = "pygas._core.Exchange",
    .basicsize = sizeof(exchange_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Exchange_slots,
};

PyTypeObject *pg_exchange_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Exchange_spec, NULL);
}
