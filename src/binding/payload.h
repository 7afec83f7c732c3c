/*
 * A payload: one Python object on its way, as a stream of bytes and the buffers that travel beside
 * it.
 *
 * On the wire a small stream is the data of the active message; a long one is its first bulk
 * buffer; the out-of-band buffers are the other bulk buffers, sent from where they are. They land
 * in memory that the decoded object then keeps (landing.h): bytes and bytearrays as such, the
 * others in Landings. Behind the stream, or alone, travels the table of the references in it.
 */
#ifndef PYGAS_BINDING_PAYLOAD_H
#define PYGAS_BINDING_PAYLOAD_H

#include "codec.h"
#include "compat.h"
#include "references.h"
#include "state.h"

/* A stream of up to so many bytes needs no memory but the payload. */
#define PG_PAYLOAD_ROOM 240

typedef enum pg_kind {
    PG_KIND_NONE,  /* the object None: nothing travels */
    PG_KIND_CODEC, /* the stream is the codec's (codec.h) */
    PG_KIND_BYTES, /* the stream is the object */
    PG_KIND_BYTEARRAY,
    PG_KIND_COUNT
} pg_kind_t;

/* How a message's payload is laid out; part of the message's header. If there are out-of-band
 * buffers, the data end with a pg_land_t for each, a byte. */
typedef struct pg_wire {
    uint8_t kind;           /* a pg_kind_t */
    uint8_t stream_is_bulk; /* the stream is the first bulk buffer */
    uint8_t has_references; /* to shared objects: their table ends the message's data */
} pg_wire_t;

typedef struct pg_payload {
    pg_count_t references;
    pg_kind_t kind;
    PyObject *stream;       /* the object whose memory `bytes` is; NULL: `room` or `encoding` is */
    Py_buffer bytes;        /* what travels as the stream; obj is NULL if that is no object */
    pg_encoding_t encoding; /* what the codec made; only `views` and `count` if it was fetched */
    bool changeable;        /* stream or buffers may be changed by somebody: not all are bytes */
    pg_references_t shared; /* the shared objects that the stream refers to */
    uint8_t room[PG_PAYLOAD_ROOM];
} pg_payload_t;

/* Encodes `object` (codec.h). A new payload, or NULL with an exception. */
pg_payload_t *pg_payload_encode(PyObject *object);

/* The object again, a new reference; or NULL with an exception. Large buffers in it are those of
 * the payload: of the object that was encoded, or fetched. */
PyObject *pg_payload_decode(pg_payload_t *payload);

/* The same, but large buffers in it are copied, not shared with the object that was encoded. */
PyObject *pg_payload_decode_copy(pg_payload_t *payload);

/* How it will travel. */
pg_wire_t pg_payload_wire(const pg_payload_t *payload);

/*
 * Sends it with the header `head` of `head_length` bytes, which contains its pg_payload_wire().
 * Keeps a reference while buffers are on their way; `sent`, if not NULL and if this returns 1, is
 * set when they have been fetched. 1: buffers are on their way; 0: everything is sent; -1: an
 * exception.
 */
int pg_payload_send(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                    size_t head_length, gas_event_t *sent);

/* The same, but calls `sent` instead, under the conduit lock, if and only if this returns 1. */
int pg_payload_send_then(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                         size_t head_length, gas_done_fn sent, void *arg);

/* As pg_payload_send() without an event, for a payload that is not sent again: takes over the
 * reference. */
int pg_payload_send_off(pg_payload_t *payload, int destination, uint16_t handler, const void *head,
                        size_t head_length);

/* Fetches the payload of `msg`, waiting for its buffers. A new payload, or NULL with an exception.
 * `msg` stays the caller's. In pieces: fetch.h. */
pg_payload_t *pg_payload_fetch(gas_msg_t *msg, const pg_wire_t *wire);

/* Decodes one that was fetched, whose buffers become the object's. Takes over the reference. A new
 * reference, or NULL with an exception. */
PyObject *pg_payload_decode_fetched(pg_payload_t *payload);

/* Fetch and decode in one. A new reference, or NULL with an exception. */
PyObject *pg_payload_receive(gas_msg_t *msg, const pg_wire_t *wire);

/* A message has arrived: takes in the references in it (references.h). In its handler, before
 * anything else is done with it. */
void pg_payload_arrived(gas_msg_t *msg, const pg_wire_t *wire);

/* Instead of fetching: the payload is thrown away unread, but the references in it go home. Once,
 * before `msg` is freed. Any thread, also inside handlers. */
void pg_payload_refuse(const gas_msg_t *msg, const pg_wire_t *wire);

/* For those who fill one in (fetch.c): an empty one, or NULL with an exception. */
pg_payload_t *pg_payload_create(pg_kind_t kind);

/* Makes `stream` its stream, and takes it over, also on failure. 0, or -1 with an exception. */
int pg_payload_set_stream(pg_payload_t *payload, PyObject *stream);

pg_payload_t *pg_payload_ref(pg_payload_t *payload);
void pg_payload_unref(pg_payload_t *payload); /* NULL is allowed */

#endif
