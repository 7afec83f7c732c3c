/*
 * Traffic: how many active messages this rank has sent and received, and how many bytes in them, by
 * handler and by peer. One-sided operations on memory that is mapped here are not messages.
 */
#ifndef GAS_TRAFFIC_H
#define GAS_TRAFFIC_H

#include "conduit/conduit.h"
#include "status.h"

#include <stdint.h>

#define GAS_HANDLER_MAX 32 /* a conduit may count on less than 128 */

typedef struct gas_job gas_job_t;

typedef struct gas_flow {
    uint64_t messages;
    uint64_t bytes; /* heads, data and bulk buffers */
} gas_flow_t;

typedef struct gas_exchange {
    gas_flow_t sent, received;
} gas_exchange_t;

typedef struct gas_watched {
    uint64_t sent, received;
} gas_watched_t;

/* Guarded by the conduit lock. */
typedef struct gas_traffic {
    gas_exchange_t handlers[GAS_HANDLER_MAX];
    gas_exchange_t *peers; /* by rank; pages of peers that are never talked to cost nothing */
    uint32_t watched;      /* handlers, a bit each */
    gas_watched_t *watched_peers; /* messages of those, by rank */
} gas_traffic_t;

/* `watched`: the handlers, a bit each, whose messages are counted for gas_traffic_watched(). */
gas_status_t gas_traffic_init(gas_traffic_t *traffic, int size, uint32_t watched);
void gas_traffic_fini(gas_traffic_t *traffic);

/* Internal, under the conduit lock. What has arrived has a handler. */
void gas_traffic_note_sent(gas_traffic_t *traffic, int peer, const gas_am_t *am);
void gas_traffic_note_received(gas_traffic_t *traffic, unsigned handler,
                               const gas_arrival_t *arrival);

/* A copy of the counts of a handler or a peer, which must exist. Takes the conduit lock. */
gas_exchange_t gas_traffic_of_handler(gas_job_t *job, int handler);
gas_exchange_t gas_traffic_of_peer(gas_job_t *job, int peer);

/* Messages of the watched handlers to and from ranks that have not failed. Takes the conduit lock.
 */
void gas_traffic_watched(gas_job_t *job, uint64_t *sent, uint64_t *received);

#endif
