#include "payload.h"

#include "failure.h"
#include "fetch.h"
#include "landing.h"
#include "recount.h"

#include <stddef.h>

#define LAID_ROOM 384 /* for small streams with a few references */

/* A payload whose buffers are on their way. Comes back as work, since only an attached thread may
 * let go of Python objects. */
typedef struct held {
    gas_work_t work; /* first: run() gets its address */
    pg_payload_t *payload;
    gas_done_fn sent; /* NULL: nobody wants to know */
    void *arg;
} held_t;

pg_payload_t *pg_payload_create(pg_kind_t kind)
{
    pg_payload_t *payload = PyMem_Malloc(sizeof(*payload));

    if (payload == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memset(payload, 0, offsetof(pg_payload_t, room));
    payload->references = 1;
    payload->kind = kind;
    return payload;
}

pg_payload_t *pg_payload_ref(pg_payload_t *payload)
{
    pg_count_add(&payload->references);
    return payload;
}

void pg_payload_unref(pg_payload_t *payload)
{
    if (payload == NULL || !pg_count_drop(&payload->references))
        return;
    pg_encoding_fini(&payload->encoding);
    if (payload->bytes.obj != NULL)
        PyBuffer_Release(&payload->bytes);
    Py_XDECREF(payload->stream);
    pg_references_clear(&payload->shared);
    PyMem_Free(payload);
}

int pg_payload_set_stream(pg_payload_t *payload, PyObject *stream)
{
    payload->stream = stream;
    payload->changeable = !PyBytes_CheckExact(stream);
    if (PyObject_GetBuffer(stream, &payload->bytes, PyBUF_SIMPLE) == 0)
        return 0;
    payload->bytes.obj = NULL;
    return -1;
}

static int encode_into(pg_payload_t *payload, PyObject *object)
{
    pg_encoding_t *encoding = &payload->encoding;

    if (PyBytes_CheckExact(object) || PyByteArray_CheckExact(object)) {
        payload->kind = PyBytes_CheckExact(object) ? PG_KIND_BYTES : PG_KIND_BYTEARRAY;
        return pg_payload_set_stream(payload, Py_NewRef(object));
    }
    payload->kind = PG_KIND_CODEC;
    encoding->room = payload->room;
    encoding->room_length = sizeof(payload->room);
    encoding->buffer_min = pg.job->config.buffer_min;
    if (pg_codec_encode(object, encoding) < 0)
        return -1;
    payload->bytes.buf = encoding->bytes;
    payload->bytes.len = (Py_ssize_t)encoding->length;
    for (Py_ssize_t i = 0; i < encoding->count; i++)
        payload->changeable |= !PyBytes_CheckExact(encoding->views[i].obj);
    return 0;
}

pg_payload_t *pg_payload_encode(PyObject *object)
{
    pg_payload_t *payload = pg_payload_create(PG_KIND_NONE);

    int failed;

    if (payload == NULL || object == Py_None)
        return payload;
    pg_references_collect(&payload->shared);
    failed = encode_into(payload, object) < 0;
    pg_references_collected(&payload->shared);
    if (!failed)
        return payload;
    pg_payload_unref(payload);
    return NULL;
}

/* The object, with `views` in place of the payload's own; see pg_codec_decode(). */
static PyObject *decode_with(const pg_payload_t *payload, const Py_buffer *views, bool adopts)
{
    pg_beside_t beside = {.views = views, .count = payload->encoding.count, .adopts = adopts};

    switch (payload->kind) {
    case PG_KIND_NONE:
        Py_RETURN_NONE;
    case PG_KIND_CODEC:
        return pg_codec_decode(payload->bytes.buf, (size_t)payload->bytes.len, &beside);
    case PG_KIND_BYTES:
        if (PyBytes_CheckExact(payload->stream))
            return Py_NewRef(payload->stream);
        return PyBytes_FromObject(payload->stream);
    case PG_KIND_BYTEARRAY:
        return PyByteArray_FromStringAndSize(payload->bytes.buf, payload->bytes.len);
    case PG_KIND_COUNT:
        break;
    }
    PyErr_SetString(PyExc_SystemError, "a payload of no known kind");
    return NULL;
}

PyObject *pg_payload_decode(pg_payload_t *payload)
{
    return decode_with(payload, payload->encoding.views, false);
}

/* Fills `views` with copies of the payload's buffers; *count: how many. */
static int copy_buffers(const pg_payload_t *payload, Py_buffer *views, Py_ssize_t *count)
{
    for (*count = 0; *count < payload->encoding.count; (*count)++) {
        const Py_buffer *view = &payload->encoding.views[*count];
        PyObject *copy = PyByteArray_FromStringAndSize(view->buf, view->len);
        int outcome = copy != NULL ? PyObject_GetBuffer(copy, &views[*count], PyBUF_SIMPLE) : -1;

        Py_XDECREF(copy);
        if (outcome < 0)
            return -1;
    }
    return 0;
}

PyObject *pg_payload_decode_copy(pg_payload_t *payload)
{
    PyObject *object = NULL;
    Py_ssize_t count = 0;
    Py_buffer *views;

    if (payload->encoding.count == 0)
        return pg_payload_decode(payload);
    views = PyMem_Calloc((size_t)payload->encoding.count, sizeof(*views));
    if (views == NULL)
        return PyErr_NoMemory();
    if (copy_buffers(payload, views, &count) == 0)
        object = decode_with(payload, views, true);
    for (Py_ssize_t i = 0; i < count; i++)
        PyBuffer_Release(&views[i]);
    PyMem_Free(views);
    return object;
}

static void held_release(gas_work_t *work)
{
    held_t *held = (held_t *)work;

    pg_payload_unref(held->payload);
    free(held);
}

/* A handler: not attached. */
static void held_done(void *arg, gas_status_t status)
{
    held_t *held = arg;
    gas_done_fn sent = held->sent;
    void *sent_arg = held->arg;

    held->work = (gas_work_t){.run = held_release, .depth = GAS_WORK_NOTICE}; /* it never waits */
    gas_work_push(pg.job, &held->work);
    if (sent != NULL)
        sent(sent_arg, status);
}

static gas_status_t send_detached(int destination, const gas_am_t *am, held_t *held)
{
    gas_status_t status;

    Py_BEGIN_ALLOW_THREADS status = gas_am_send(pg.job, destination, am, held_done, held);
    Py_END_ALLOW_THREADS return status;
}

pg_wire_t pg_payload_wire(const pg_payload_t *payload)
{
    return (pg_wire_t){
        .kind = (uint8_t)payload->kind,
        .stream_is_bulk = (size_t)payload->bytes.len > pg.job->config.inline_max,
        .has_references = payload->shared.count > 0,
    };
}

/* The data of a message: the stream, unless that is a bulk buffer, how each of the other buffers
 * lands, and the table of references. */
typedef struct laid_data {
    const void *bytes;
    size_t length;
    char *joined; /* where they were copied to; NULL: the stream alone, where it is */
    char *table;  /* in `joined`; NULL: no references */
    size_t table_size;
    char room[LAID_ROOM]; /* `joined`, if that is enough */
} laid_data_t;

/* `last`: the references need not be kept for another message. -1 with an exception. */
static int lay_data(laid_data_t *data, pg_payload_t *payload, int destination, size_t stream,
                    bool last)
{
    size_t lands = stream + (size_t)payload->encoding.count, room;

    data->bytes = payload->bytes.buf;
    data->length = stream;
    data->joined = data->table = NULL;
    if (payload->encoding.count == 0 && payload->shared.count == 0)
        return 0;
    data->length = lands;
    room = lands;
    if (payload->shared.count > 0)
        room += pg_reference_table_room(payload->shared.count);
    data->joined = room <= sizeof(data->room) ? data->room : malloc(room);
    data->bytes = data->joined;
    if (data->joined == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (stream > 0)
        memcpy(data->joined, payload->bytes.buf, stream);
    for (Py_ssize_t i = 0; i < payload->encoding.count; i++)
        data->joined[stream + (size_t)i] = (char)pg_land_of(payload->encoding.views[i].obj);
    if (payload->shared.count > 0) {
        data->table = data->joined + lands;
        data->table_size = pg_references_write(&payload->shared, destination, data->table, last);
        data->length += data->table_size;
    }
    return 0;
}

/* After the message was sent, or was not. */
static void laid_data_free(laid_data_t *data, int destination, bool sent)
{
    if (!sent && data->table != NULL)
        pg_references_unwrite(data->table, data->table_size, destination);
    if (data->joined != data->room)
        free(data->joined);
}

/* Sends `am` with the bulk buffers, which stay where they are until they have been fetched. */
static int send_bulk(pg_payload_t *payload, int destination, gas_am_t *am, bool stream_is_bulk,
                     gas_done_fn sent, void *arg)
{
    size_t count = (size_t)payload->encoding.count + stream_is_bulk;
    gas_iov_t *bulk, *at;
    gas_status_t status;
    held_t *held;

    if (count > GAS_AM_BULK_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "an object with %zu large buffers is too much for one message", count);
        return -1;
    }
    bulk = at = calloc(count, sizeof(*bulk));
    held = calloc(1, sizeof(*held));
    if (bulk == NULL || held == NULL) {
        free(bulk);
        free(held);
        PyErr_NoMemory();
        return -1;
    }
    if (stream_is_bulk)
        *at++ = (gas_iov_t){payload->bytes.buf, (size_t)payload->bytes.len};
    for (Py_ssize_t i = 0; i < payload->encoding.count; i++)
        *at++ = (gas_iov_t){payload->encoding.views[i].buf, (size_t)payload->encoding.views[i].len};
    am->bulk = bulk;
    am->bulk_count = (uint32_t)count;
    am->changeable = payload->changeable;
    held->payload = pg_payload_ref(payload);
    held->sent = sent;
    held->arg = arg;
    status = send_detached(destination, am, held);
    free(bulk);
    if (status == GAS_OK)
        return 1;
    pg_payload_unref(payload);
    free(held);
    pg_raise_transfer(destination, status);
    return -1;
}

static int send_alone(int destination, const gas_am_t *am)
{
    gas_status_t status = gas_am_send(pg.job, destination, am, NULL, NULL);

    if (status == GAS_OK)
        return 0;
    pg_raise_transfer(destination, status);
    return -1;
}

/* Sends `am`, of which all but its payload is there; `last` as in lay_data(). */
static int send(pg_payload_t *payload, int destination, gas_am_t *am, gas_done_fn sent, void *arg,
                bool last)
{
    bool stream_is_bulk = pg_payload_wire(payload).stream_is_bulk;
    bool has_references = payload->shared.count > 0;
    laid_data_t data;
    int outcome;

    if (destination < 0 || destination >= pg.size) {
        PyErr_Format(PyExc_ValueError, "there is no rank %d in a job of %d", destination, pg.size);
        return -1;
    }
    if (has_references)
        pg_recount_sending();
    outcome = lay_data(&data, payload, destination, stream_is_bulk ? 0 : (size_t)payload->bytes.len,
                       last);
    if (outcome == 0) {
        am->data = data.bytes;
        am->data_length = data.length;
        if (payload->encoding.count > 0 || stream_is_bulk)
            outcome = send_bulk(payload, destination, am, stream_is_bulk, sent, arg);
        else
            outcome = send_alone(destination, am);
        laid_data_free(&data, destination, outcome >= 0);
    }
    if (has_references)
        pg_recount_sending_over();
    return outcome;
}

int pg_payload_send_then(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                         size_t head_length, gas_done_fn sent, void *arg)
{
    gas_am_t am = {.handler = handler, .header = head, .header_length = (uint16_t)head_length};

    return send(payload, destination, &am, sent, arg, false);
}

int pg_payload_send_off(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                        size_t head_length)
{
    gas_am_t am = {.handler = handler, .header = head, .header_length = (uint16_t)head_length};
    int outcome = send(payload, destination, &am, NULL, NULL, true);

    pg_payload_unref(payload);
    return outcome;
}

/* A handler: not attached. */
static void set_event(void *arg, gas_status_t status)
{
    (void)status;
    gas_event_set(arg);
}

int pg_payload_send(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                    size_t head_length, gas_event_t *sent)
{
    return pg_payload_send_then(payload, destination, handler, head, head_length,
                                sent != NULL ? set_event : NULL, sent);
}

PyObject *pg_payload_decode_fetched(pg_payload_t *payload)
{
    PyObject *object;

    if (payload->kind == PG_KIND_BYTEARRAY && PyByteArray_CheckExact(payload->stream))
        object = Py_NewRef(payload->stream); /* it landed in the object itself */
    else
        object = decode_with(payload, payload->encoding.views, true);
    pg_payload_unref(payload);
    return object;
}

PyObject *pg_payload_receive(gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_payload_t *payload;

    if (!wire->has_references && wire->kind == PG_KIND_NONE && msg->bulk_count == 0)
        Py_RETURN_NONE;
    if (!wire->has_references && wire->kind == PG_KIND_CODEC && msg->bulk_count == 0)
        return pg_codec_decode(msg->data, msg->data_length, &(pg_beside_t){.count = 0});
    if (wire->kind == PG_KIND_CODEC && msg->bulk_count == 0)
        return pg_fetch_decode(msg, wire);
    payload = pg_payload_fetch(msg, wire);
    return payload != NULL ? pg_payload_decode_fetched(payload) : NULL;
}
