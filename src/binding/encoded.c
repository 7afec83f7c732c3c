#include "encoded.h"

#include "compat.h"
#include "failure.h"
#include "payload.h"
#include "wait.h"

/* How long a rank waits for a collective's message before it asks the source whether it has
 * finished its program. */
#define PROBE_NS 200000000u

/* The header of a message to the mailbox; the tag comes first. */
typedef struct parcel_head {
    uint64_t tag;
    pg_wire_t wire;
} parcel_head_t;

typedef struct encoded {
    PyObject_HEAD pg_payload_t *payload;
} encoded_t;

PyObject *pg_encoded_new(pg_payload_t *payload)
{
    encoded_t *encoded;

    if (payload == NULL)
        return NULL;
    encoded = PyObject_New(encoded_t, pg.encoded_type);
    if (encoded == NULL) {
        pg_payload_unref(payload);
        return NULL;
    }
    encoded->payload = payload;
    return (PyObject *)encoded;
}

pg_payload_t *pg_encoded_payload(PyObject *encoded)
{
    return ((encoded_t *)encoded)->payload;
}

static void Encoded_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    pg_payload_unref(((encoded_t *)self)->payload);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *Encoded_decode(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pg_payload_decode(((encoded_t *)self)->payload);
}

static PyMethodDef Encoded_methods[] = {
    {"decode", Encoded_decode, METH_NOARGS,
     PyDoc_STR("decode($self, /)\n--\n\n"
               "The object. Large arrays in it share the memory that was received.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Encoded_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("An object in the form in which it travels.")},
    {Py_tp_dealloc, Encoded_dealloc},
    {Py_tp_methods, Encoded_methods},
    {0, NULL},
};

static PyType_Spec Encoded_spec = {
    .name = "pygas._core.Encoded",
    .basicsize = sizeof(encoded_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Encoded_slots,
};

PyTypeObject *pg_encoded_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Encoded_spec, NULL);
}

PyObject *pg_encode(PyObject *module, PyObject *object)
{
    PyObject *encoded;

    (void)module;
    if (pg_enter() < 0)
        return NULL;
    encoded = pg_encoded_new(pg_payload_encode(object));
    pg_leave();
    return encoded;
}

/* Waits until every event is set; the memory they are in can be freed only then. Signals are served
 * afterwards. */
static int wait_all(gas_event_t *events, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (pg_wait_for(&events[i], "a large object to be fetched from here", -1) < 0) {
            PyObject *exception = PyErr_GetRaisedException();

            for (; i < count; i++)
                pg_wait_landing(&events[i]);
            PyErr_SetRaisedException(exception);
            return -1;
        }
    }
    return 0;
}

/* Sends to each rank of the tuple, also if one of them has failed; *waiting counts the events that
 * will be set. */
static int post_all(PyObject *ranks, uint64_t tag, pg_payload_t *payload, gas_event_t *events,
                    Py_ssize_t *waiting)
{
    PyObject *failure = NULL;
    parcel_head_t head;

    memset(&head, 0, sizeof(head)); /* its padding, too */
    head.tag = tag;
    head.wire = pg_payload_wire(payload);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(ranks); i++) {
        long rank = PyLong_AsLong(PyTuple_GET_ITEM(ranks, i));
        int sent;

        if (rank == -1 && PyErr_Occurred())
            break;
        gas_event_init(&events[*waiting]);
        sent = pg_payload_send(payload, (int)rank, GAS_HANDLER_MAILBOX, &head, sizeof(head),
                               &events[*waiting]);
        if (sent >= 0)
            *waiting += sent;
        else if (gas_rank_has_failed(pg.job, (int)rank))
            Py_XSETREF(failure, PyErr_GetRaisedException());
        else
            break;
    }
    if (failure != NULL && !PyErr_Occurred())
        PyErr_SetRaisedException(failure);
    else
        Py_XDECREF(failure);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *pg_post(PyObject *module, PyObject *args)
{
    PyObject *ranks, *encoded;
    unsigned long long tag;
    gas_event_t *events;
    Py_ssize_t waiting = 0;
    PyObject *pending;
    int failed;

    (void)module;
    if (!PyArg_ParseTuple(args, "O!KO!:post", &PyTuple_Type, &ranks, &tag, pg.encoded_type,
                          &encoded))
        return NULL;
    events = calloc((size_t)PyTuple_GET_SIZE(ranks) + 1, sizeof(*events));
    if (events == NULL)
        return PyErr_NoMemory();
    if (pg_enter() < 0) {
        free(events);
        return NULL;
    }
    failed = post_all(ranks, tag, ((encoded_t *)encoded)->payload, events, &waiting) < 0;
    pending = failed ? PyErr_GetRaisedException() : NULL;
    failed |= wait_all(events, waiting) < 0;
    if (pending != NULL && !PyErr_Occurred())
        PyErr_SetRaisedException(pending);
    else
        Py_XDECREF(pending);
    pg_leave();
    free(events);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* Waits for the parcel, asking its source now and then whether it has finished its program. 0, or
 * -1 with an exception. */
static int wait_for_parcel(gas_parcel_t *parcel)
{
    for (;;) {
        int outcome = pg_wait(&parcel->event, gas_clock_now() + PROBE_NS);

        if (outcome != 0)
            return outcome > 0 ? 0 : -1;
        gas_mailbox_probe(pg.job, parcel);
    }
}

/* A parcel that came when nobody waited for it any more. */
static void refuse(const gas_msg_t *msg)
{
    parcel_head_t head;

    if (msg->header_length != sizeof(head))
        return;
    memcpy(&head, msg->header, sizeof(head));
    pg_payload_refuse(msg, &head.wire);
}

void pg_encoded_arrived(gas_msg_t *msg)
{
    parcel_head_t head;

    if (msg->header_length != sizeof(head))
        return;
    memcpy(&head, msg->header, sizeof(head));
    pg_payload_arrived(msg, &head.wire);
}

PyObject *pg_take(PyObject *module, PyObject *args)
{
    unsigned long long tag;
    Py_ssize_t failures = 0;
    int source, outcome;
    gas_waiting_t waiting;
    gas_parcel_t parcel;
    parcel_head_t head;
    gas_msg_t *msg;
    PyObject *encoded = NULL;

    (void)module;
    if (!PyArg_ParseTuple(args, "Ki|n:take", &tag, &source, &failures) || pg_require_job() < 0)
        return NULL;
    if (source < 0 || source >= pg.size)
        return PyErr_Format(PyExc_ValueError, "there is no rank %d in a job of %d", source,
                            pg.size);
    if (pg_enter() < 0)
        return NULL;
    gas_mailbox_expect(pg.job, &parcel, tag, source, (size_t)failures);
    gas_waiting_begin(&waiting, "a message of a collective", source);
    outcome = wait_for_parcel(&parcel);
    gas_waiting_end(pg.job, &waiting);
    msg = gas_mailbox_cancel(pg.job, &parcel);
    if (outcome == 0 && msg == NULL && gas_failure_count(pg.job) == (size_t)failures) {
        PyErr_Format(PyExc_RuntimeError,
                     "rank %d has finished its program without taking part in this", source);
    } else if (outcome == 0 && msg == NULL) {
        pg_raise_ranks_failed();
    } else if (outcome == 0 && msg->header_length == sizeof(head)) {
        memcpy(&head, msg->header, sizeof(head));
        encoded = pg_encoded_new(pg_payload_fetch(msg, &head.wire));
    } else if (msg != NULL) {
        refuse(msg);
    }
    if (outcome == 0 && encoded == NULL && !PyErr_Occurred()) {
        pg_malformed("a parcel without its head");
    }
    if (msg != NULL)
        gas_msg_free(pg.job, msg);
    pg_leave();
    return encoded;
}
