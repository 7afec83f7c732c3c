/*
 * Design notes. What can go wrong before the buffers are on their way (a malformed message, no
 * memory, a sender that cannot be read) is raised by pg_fetch_begin(), and then the message is used
 * up as well: its references have been read or sent home. What goes wrong later is the `status`, of
 * whoever polled; pg_fetch_end() raises it.
 *
 * The thread that sets `landed` does not touch the fetch afterwards, except that the handler hands
 * over to `notify`, whose argument keeps it alive.
 */
#include "fetch.h"

#include "failure.h"
#include "landing.h"
#include "wait.h"

/* What is copied without letting go of the interpreter: a few microseconds' worth. */
#define COPY_ATTACHED_MAX 65536u

/* A handler: not attached. */
static void landed(void *arg, gas_status_t status)
{
    pg_fetch_t *fetch = arg;
    void (*notify)(void *arg) = fetch->notify;
    void *notify_arg = fetch->notify_arg;

    fetch->status = status;
    gas_event_set(&fetch->landed);
    if (notify != NULL)
        notify(notify_arg);
}

/* A list of memory for the bulk buffers of `msg`. NULL with an exception. */
static PyObject *landing_memory(const gas_msg_t *msg, const pg_wire_t *wire, size_t stream)
{
    uint32_t first = wire->stream_is_bulk;                /* out-of-band buffer */
    const char *lands = (const char *)msg->data + stream; /* behind it */
    PyObject *memory = PyList_New((Py_ssize_t)msg->bulk_count);

    for (uint32_t i = 0; memory != NULL && i < msg->bulk_count; i++) {
        PyObject *object;
        pg_land_t land;

        if (i < first)
            land = wire->kind == PG_KIND_BYTEARRAY ? PG_LAND_BYTEARRAY : PG_LAND_BYTES;
        else
            land = (pg_land_t)lands[i - first];
        object = pg_landing_new(land, msg->bulk[i].length, msg->bulk[i].place);
        if (object != NULL)
            PyList_SET_ITEM(memory, i, object);
        else
            Py_CLEAR(memory);
    }
    return memory;
}

/* Where its buffers land, in an array to be freed, and their *total size. NULL with an exception.
 */
static void **addresses(const pg_fetch_t *fetch, uint64_t *total)
{
    const gas_msg_t *msg = fetch->msg;
    void **at = calloc(msg->bulk_count, sizeof(*at));

    *total = 0;
    if (at == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (uint32_t i = 0; i < msg->bulk_count; i++) {
        *total += msg->bulk[i].length;
        at[i] = pg_landing_address(PyList_GET_ITEM(fetch->memory, i));
    }
    return at;
}

/* Has the buffers land in `memory`. As pg_fetch_begin(). */
static int begin_bulk(pg_fetch_t *fetch)
{
    gas_msg_t *msg = fetch->msg;
    gas_status_t status;
    uint64_t total;
    void **at = addresses(fetch, &total);

    if (at == NULL)
        return -1;
    if (total <= COPY_ATTACHED_MAX) {
        status = gas_msg_copy(pg.job, msg, at);
    } else {
        Py_BEGIN_ALLOW_THREADS status = gas_msg_copy(pg.job, msg, at);
        Py_END_ALLOW_THREADS
    }
    if (status == GAS_OK) {
        free(at);
        return 1;
    }
    if (status == GAS_ERR_UNSUPPORTED) {
        Py_BEGIN_ALLOW_THREADS status = gas_msg_receive(pg.job, msg, at, landed, fetch);
        Py_END_ALLOW_THREADS
    }
    free(at);
    if (status == GAS_OK)
        return 0;
    pg_raise_transfer(msg->source, status);
    return -1;
}

/* The message's table of references, at the end of its data. False if it is malformed. */
static bool find_table(const gas_msg_t *msg, const pg_wire_t *wire, pg_reference_table_t *table)
{
    if (wire->has_references)
        return pg_reference_table_find(table, msg->data, msg->data_length);
    *table = (pg_reference_table_t){0};
    return true;
}

/* True if the layout is one that pg_payload_send() makes: *table, and the *length of the stream
 * before it. */
static bool is_sound(const gas_msg_t *msg, const pg_wire_t *wire, pg_reference_table_t *table,
                     size_t *length)
{
    if (!find_table(msg, wire, table))
        return false;
    *length = msg->data_length - table->size;
    if (wire->kind >= PG_KIND_COUNT || wire->stream_is_bulk > (msg->bulk_count > 0) ||
        *length < msg->bulk_count - wire->stream_is_bulk)
        return false;
    *length -= msg->bulk_count - wire->stream_is_bulk;
    return wire->kind == PG_KIND_CODEC ||
           msg->bulk_count == (wire->kind == PG_KIND_NONE ? 0 : wire->stream_is_bulk);
}

/* The stream of a message that has it in its data. */
static int fetch_inline(pg_payload_t *payload, const gas_msg_t *msg, size_t length)
{
    PyObject *stream;

    if (payload->kind == PG_KIND_CODEC && length <= sizeof(payload->room)) {
        memcpy(payload->room, msg->data, length);
        payload->bytes.buf = payload->room;
        payload->bytes.len = (Py_ssize_t)length;
        return 0;
    }
    stream = PyBytes_FromStringAndSize(msg->data, (Py_ssize_t)length);
    return stream != NULL ? pg_payload_set_stream(payload, stream) : -1;
}

/* Makes what was fetched into `memory` the payload's. */
static int adopt(pg_payload_t *payload, PyObject *memory, bool stream_is_bulk)
{
    pg_encoding_t *encoding = &payload->encoding;
    Py_ssize_t count = PyList_GET_SIZE(memory) - stream_is_bulk;

    if (stream_is_bulk && pg_payload_set_stream(payload, Py_NewRef(PyList_GET_ITEM(memory, 0))) < 0)
        return -1;
    if (count == 0)
        return 0;
    encoding->views = PyMem_Calloc((size_t)count, sizeof(*encoding->views));
    if (encoding->views == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(memory, i + stream_is_bulk), &encoding->views[i],
                               PyBUF_SIMPLE) < 0)
            return -1;
        encoding->count = i + 1;
        payload->changeable |= !PyBytes_CheckExact(encoding->views[i].obj);
    }
    return 0;
}

/* Drops what a fetch has that failed. */
static void discard(pg_fetch_t *fetch)
{
    pg_payload_unref(fetch->payload);
    fetch->payload = NULL;
    Py_CLEAR(fetch->memory);
}

/* Reads what is in the message itself, and has the buffers land. As pg_fetch_begin(). */
static int begin_stream(pg_fetch_t *fetch, const pg_wire_t *wire, size_t length)
{
    fetch->stream_is_bulk = wire->stream_is_bulk;
    if (!wire->stream_is_bulk && fetch_inline(fetch->payload, fetch->msg, length) < 0)
        return -1;
    if (fetch->msg->bulk_count == 0)
        return 1;
    fetch->memory = landing_memory(fetch->msg, wire, length);
    return fetch->memory != NULL ? begin_bulk(fetch) : -1;
}

int pg_fetch_begin(pg_fetch_t *fetch, gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_reference_table_t table;
    int outcome = 1;
    size_t length;

    fetch->msg = msg;
    if (!msg->taken_in)
        pg_payload_arrived(msg, wire);
    if (!is_sound(msg, wire, &table, &length)) {
        pg_payload_refuse(msg, wire);
        pg_malformed("its buffers do not fit its kind");
        return -1;
    }
    fetch->payload = pg_payload_create((pg_kind_t)wire->kind);
    if (fetch->payload == NULL) {
        pg_payload_refuse(msg, wire);
        return -1;
    }
    if (pg_references_read(&fetch->payload->shared, &table) < 0)
        outcome = -1;
    else if (wire->kind != PG_KIND_NONE)
        outcome = begin_stream(fetch, wire, length);
    if (outcome < 0)
        discard(fetch);
    return outcome;
}

pg_payload_t *pg_fetch_end(pg_fetch_t *fetch)
{
    pg_payload_t *payload = NULL;

    if (fetch->status != GAS_OK) { /* noted by the thread that polled */
        gas_error(fetch->status, "a buffer of rank %d could not be received: %s",
                  fetch->msg->source, gas_status_name(fetch->status));
        pg_raise_transfer(fetch->msg->source, fetch->status);
    } else if (fetch->memory == NULL ||
               adopt(fetch->payload, fetch->memory, fetch->stream_is_bulk) == 0) {
        payload = pg_payload_ref(fetch->payload);
    }
    discard(fetch);
    return payload;
}

void pg_fetch_await(pg_fetch_t *fetch, int source)
{
    gas_waiting_t waiting;

    if (gas_event_is_set(&fetch->landed))
        return;
    gas_waiting_begin(&waiting, "a large object", source);
    pg_wait_landing(&fetch->landed);
    gas_waiting_end(pg.job, &waiting);
}

pg_payload_t *pg_payload_fetch(gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_fetch_t fetch = PG_FETCH_INIT;
    int outcome = pg_fetch_begin(&fetch, msg, wire);

    if (outcome < 0)
        return NULL;
    if (outcome == 0)
        pg_fetch_await(&fetch, msg->source);
    return pg_fetch_end(&fetch);
}

PyObject *pg_fetch_decode(gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_reference_table_t table;
    PyObject *object = NULL;
    size_t length;

    if (!msg->taken_in)
        pg_payload_arrived(msg, wire);
    if (!is_sound(msg, wire, &table, &length))
        return pg_malformed("its table of references");
    if (pg_references_check(&table) == 0)
        object = pg_codec_decode(msg->data, length, &(pg_beside_t){.references = &table});
    pg_references_refuse(&table);
    return object;
}

void pg_payload_arrived(gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_reference_table_t table;

    if (!wire->has_references || !find_table(msg, wire, &table))
        return;
    pg_references_arrived(&table, msg->source);
    msg->taken_in = true;
}

void pg_payload_refuse(const gas_msg_t *msg, const pg_wire_t *wire)
{
    pg_reference_table_t table;

    if (msg->taken_in && find_table(msg, wire, &table))
        pg_references_refuse(&table);
}
