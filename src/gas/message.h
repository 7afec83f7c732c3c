/*
 * An active message that has arrived, in memory of its own, until its handler's side frees it.
 */
#ifndef GAS_MESSAGE_H
#define GAS_MESSAGE_H

#include "conduit/conduit.h"

typedef struct gas_job gas_job_t;
typedef struct gas_msg gas_msg_t;

struct gas_msg {
    gas_msg_t *next; /* for queues of whoever owns the message */
    int source;
    uint16_t handler;
    uint16_t header_length;
    uint32_t bulk_count;
    size_t data_length;
    const void *header;
    const void *data;
    gas_bulk_t *bulk; /* lengths and places for everybody; the rest for the conduit */
    bool taken_in;    /* the layer above's, false at first */
    bool packed;      /* the bulk buffers came with the message and are in its own memory */
};

/*
 * Runs when a message has arrived, inside a poll (see conduit.h: must not block or poll), and owns
 * `msg` from then on. It may send with gas_am_send().
 */
typedef void (*gas_handler_fn)(gas_job_t *job, gas_msg_t *msg, void *arg);

/*
 * Fetch every bulk buffer of `msg`, buffer i into landing[i] (bulk[i].length bytes each). Does not
 * block; `done` is called once, when the last one is there (possibly before the return), from
 * inside a poll: it must not block or poll. On an error return nothing was started. Any thread.
 */
gas_status_t gas_msg_receive(gas_job_t *job, gas_msg_t *msg, void *const *landing, gas_done_fn done,
                             void *arg);

/*
 * Fetch every bulk buffer of `msg` now, by copying out of the sender's memory in this thread:
 * GAS_ERR_UNSUPPORTED if that cannot be done, then use gas_msg_receive(). Blocks for as long as the
 * copying takes, without any lock. Not inside handlers.
 */
gas_status_t gas_msg_copy(gas_job_t *job, gas_msg_t *msg, void *const *landing);

/* Frees `msg`; buffers that were not fetched are declined. Any thread. Not while gas_msg_receive()
 * is under way. */
void gas_msg_free(gas_job_t *job, gas_msg_t *msg);

/* Internal: a copy of what the conduit delivered, or NULL without memory. */
gas_msg_t *gas_msg_create(const gas_arrival_t *arrival);

/*
 * Internal: small bulk buffers that travel inside the message where a rendezvous would take longer.
 * A packed message has GAS_HANDLER_PACKED in its handler's number, and its data are the count of
 * buffers, their lengths, the data proper, the buffers. gas_msg_pack() makes one of `am`: its data,
 * to be freed; NULL without memory. gas_msg_unpack() makes `msg` what it was; false: malformed.
 */
#define GAS_HANDLER_PACKED 0x40u
void *gas_msg_pack(const gas_am_t *am, gas_am_t *packed);
bool gas_msg_unpack(gas_msg_t *msg);

#endif
