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
    gas_bulk_t *bulk; /* lengths for everybody; handles for the conduit only */
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

/* Frees `msg`; buffers that were not fetched are declined. Any thread. Not while gas_msg_receive()
 * is under way. */
void gas_msg_free(gas_job_t *job, gas_msg_t *msg);

/* Internal: a copy of what the conduit delivered, or NULL without memory. */
gas_msg_t *gas_msg_create(const gas_arrival_t *arrival);

#endif
