/*
 * Fetching the payload of a message: the large buffers of it that are still in the sender's memory
 * are copied, or sent, to where they will live.
 */
#ifndef PYGAS_BINDING_FETCH_H
#define PYGAS_BINDING_FETCH_H

#include "payload.h"

typedef struct pg_fetch {
    gas_msg_t *msg;
    pg_payload_t *payload;
    PyObject *memory; /* a list of where the buffers land; NULL: there are none */
    bool stream_is_bulk;
    gas_event_t landed;
    gas_status_t status;       /* once they have landed */
    void (*notify)(void *arg); /* NULL: nobody; called inside a poll, after `landed` was set */
    void *notify_arg;
} pg_fetch_t;

#define PG_FETCH_INIT {.landed = GAS_EVENT_INIT, .status = GAS_OK}

/* Begins, after PG_FETCH_INIT. Attached; blocks for as long as copying takes, detached. `msg` stays
 * the caller's, and has to live until the end. 1: everything has landed, though the event is not
 * set and nobody is notified; 0: the event will be, and then `notify` called, perhaps before this
 * returns; -1 with an exception: it is over. */
int pg_fetch_begin(pg_fetch_t *fetch, gas_msg_t *msg, const pg_wire_t *wire);

/* Waits until everything from rank `source` has landed; another thread may only be about to begin.
 * No requests run meanwhile. Attached. */
void pg_fetch_await(pg_fetch_t *fetch, int source);

/* Everything has landed: a new payload, or NULL with an exception. Once. Attached. */
pg_payload_t *pg_fetch_end(pg_fetch_t *fetch);

/* Decodes a message without bulk buffers where it is: what it refers to is read, no payload made. A
 * new reference, or NULL with an exception. Instead of fetching it. */
PyObject *pg_fetch_decode(gas_msg_t *msg, const pg_wire_t *wire);

#endif
