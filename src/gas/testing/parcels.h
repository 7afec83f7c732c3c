/*
 * Parcels: messages with large buffers that ranks send each other, for tests of how they travel.
 * Every buffer of a parcel holds words that depend on its seed, so that any mixture shows.
 */
#ifndef GAS_TESTING_PARCELS_H
#define GAS_TESTING_PARCELS_H

#include "../gas.h"
#include "onesided.h"

#include <stdatomic.h>

#define PARCELS_MAX 32u
#define PARCEL_PARTS_MAX 300u

/* Received by their handler inside of it; kept for parcel_receive(). */
enum { PARCEL_LAND = GAS_HANDLER_USER, PARCEL_KEEP };

/* One that this rank has sent. */
typedef struct parcel_sent {
    outcome_t outcome;
    char *memory; /* all of it, the buffers one after the other; the sender's to free */
    size_t length;
} parcel_sent_t;

/* One that has arrived. */
typedef struct parcel {
    gas_job_t *job;
    gas_msg_t *msg;
    uint32_t seed;
    char *memory; /* where it lands, or NULL */
    void *parts[PARCEL_PARTS_MAX];
    outcome_t outcome;
} parcel_t;

/* Handlers of a job, for ranks_run(). */
extern const gas_handler_t *const parcel_handlers;

/* `count` buffers of `length` bytes. `changeable` as in gas_am_t. */
void parcel_send(gas_job_t *job, int to, int handler, uint32_t seed, uint32_t count, size_t length,
                 bool changeable, parcel_sent_t *sent);

/* What a buffer of that seed holds, from its parcel's start. */
void parcel_fill(char *memory, size_t length, uint32_t seed);

/* Writes other words into what was sent; without a gas_bulk_settle(). */
void parcel_change(parcel_sent_t *sent, uint32_t seed);

/* Waits until it is over for the sender, and frees the memory. */
void parcel_await_sent(gas_job_t *job, parcel_sent_t *sent);

/* The parcel that arrived as the `number`-th at this rank, from 0; waits for it. */
parcel_t *parcel_await(gas_job_t *job, unsigned number);

/* The same for a thread that has the job's lock, which no other thread can poll then. */
parcel_t *parcel_poll_for(gas_job_t *job, unsigned number);

/* Makes memory for it to land in, as the next two do. */
void parcel_make_landing(parcel_t *parcel);

/* Begins to receive it. */
void parcel_receive(parcel_t *parcel);

/* Copies it in this thread (gas_msg_copy()). */
gas_status_t parcel_copy(parcel_t *parcel);

/* True if all is there as it was sent with `seed`. */
bool parcel_is(const parcel_t *parcel, uint32_t seed);

/* Waits until it has landed, checks that it has what was sent, and frees it. */
void parcel_check(parcel_t *parcel);
void parcel_free(parcel_t *parcel);

/* A number that all ranks see, in memory that they share: reset before they start, then set by one
 * and waited for by another, outside of the runtime. */
void step_reset(void);
void step_set(int step);
int step_get(void);
void step_await(int step);

#endif
