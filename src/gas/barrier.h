/*
 * The barrier of all ranks: split-phase, dissemination.
 *
 * Source: D. Hensgen, R. Finkel, U. Manber, "Two algorithms for barrier synchronization",
 * International Journal of Parallel Programming 17 (1988). ceil(log2 N) rounds; in round k a rank
 * sends to the rank 2^k above it and waits for the one 2^k below it (modulo N).
 */
#ifndef GAS_BARRIER_H
#define GAS_BARRIER_H

#include "event.h"
#include "message.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define GAS_BARRIER_ROUNDS 32

/*
 * `arrived[k]` counts the messages of round k since the job began. The peer of a round sends one of
 * them for each barrier, so barrier number n has passed round k when arrived[k] >= n: nothing is
 * reset, and a peer that is one barrier ahead does no harm. All guarded by the conduit lock.
 */
typedef struct gas_barrier {
    uint64_t entered; /* barriers that this rank has entered */
    unsigned round;   /* of the one under way */
    uint64_t arrived[GAS_BARRIER_ROUNDS];
    gas_event_t *event;  /* set when the one under way is over; NULL: none is */
    gas_status_t status; /* of the last one that is over */
} gas_barrier_t;

void gas_barrier_init(gas_barrier_t *barrier);

/*
 * Collective. Enters the barrier; `event`, which must stay alive until then, is set when every rank
 * has entered it, or one has failed. Does not block. GAS_BUSY if another thread of this rank is in
 * a barrier; GAS_ERR_RANK_FAILED if a rank has failed.
 */
gas_status_t gas_barrier_enter(gas_job_t *job, gas_event_t *event);

/* How the last barrier of this rank ended; read it once its event is set. */
gas_status_t gas_barrier_status(gas_job_t *job);

/* Any thread: true if a peer is in a barrier that this rank has not entered. */
bool gas_barrier_is_awaited(gas_job_t *job);

/* Internal, under the conduit lock: ends the barrier that is under way, as `rank` has failed. From
 * then on there is none: entering one is GAS_ERR_RANK_FAILED. */
void gas_barrier_peer_failed(gas_job_t *job, int rank);

/* The handler of the barrier's messages. */
void gas_barrier_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
