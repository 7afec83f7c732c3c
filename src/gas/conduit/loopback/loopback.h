/*
 * The loopback conduit: the ranks of a job in one process, for the unit tests. It is reached with
 * an in-process boot (testing/inproc.h) whose group shares a hub.
 */
#ifndef GAS_CONDUIT_LOOPBACK_LOOPBACK_H
#define GAS_CONDUIT_LOOPBACK_LOOPBACK_H

#include "../conduit.h"

typedef struct gas_loopback_hub gas_loopback_hub_t;

/* What to make hard for the runtime. All zero: nothing. */
typedef struct gas_loopback_options {
    size_t queue_max; /* messages that a receiver's queue takes; the rest is the sender's backlog */
    int defer_landing;    /* bulk_receive's `done` comes in a later poll, not before the return */
    unsigned fail_every;  /* every so many a bulk_receive fails, on both sides */
    unsigned busy_every;  /* every so many an arm answers BUSY for no reason */
    unsigned early_every; /* every so many a sleep returns at once */
    size_t segment_max;   /* a larger segment finds no memory; 0: there is no limit */
} gas_loopback_options_t;

/* A hub for `size` ranks; it outlives their conduits. NULL without memory or descriptors. */
gas_loopback_hub_t *gas_loopback_hub_create(int size, const gas_loopback_options_t *options);
void gas_loopback_hub_destroy(gas_loopback_hub_t *hub);

/* While `rank` is cut off, nothing that is sent to it arrives: its queue counts as full. */
void gas_loopback_hub_cut(gas_loopback_hub_t *hub, int rank, int cut);

const gas_conduit_ops_t *gas_conduit_loopback(void);

#endif
