/*
 * Releases: weight (weight.h) that is sent home when no Proxy of this rank needs it any more, many
 * in one message.
 *
 * Any thread, attached or not, also inside handlers, unless it says otherwise. Nothing blocks.
 */
#ifndef PYGAS_BINDING_RELEASES_H
#define PYGAS_BINDING_RELEASES_H

#include "state.h"

/* What a release consists of, and the two messages about weight (grants.h), which have one. */
typedef struct pg_portion {
    uint64_t id;
    uint64_t weight;
} pg_portion_t;

/* Sends portions; `round`: the one in which the weight was taken (recount.h). */
gas_status_t pg_portions_send(gas_job_t *job, int destination, uint16_t handler, uint32_t round,
                              const pg_portion_t *portions, size_t count);

/* How many portions a message has, and its round; 0 if it is malformed. */
size_t pg_portions_in(gas_job_t *job, const gas_msg_t *msg, uint32_t *round);
pg_portion_t pg_portion_in(const gas_msg_t *msg, size_t index);

/*
 * Sends home what there is to send. Not attached, or attached if need be; never in a handler.
 * `pg_imports_tend()` is the progress thread's: it lets releases gather for a moment, and returns
 * the nanoseconds after which it wants to be called again.
 */
void pg_imports_flush(void);
uint64_t pg_imports_tend(void);

/* True if all that is to be sent home has been sent. */
bool pg_imports_are_flushed(void);

/* The handler. */
void pg_release_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
