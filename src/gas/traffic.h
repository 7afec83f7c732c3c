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

/* Guarded by the conduit lock. */
typedef struct gas_traffic {
    gas_exchange_t handlers[GAS_HANDLER_MAX];
    gas_exchange_t *peers; /* by rank; pages of peers that are never talked to cost nothing */
} gas_traffic_t;

gas_status_t gas_traffic_init(gas_traffic_t *traffic, int size);
void gas_traffic_fini(gas_traffic_t *traffic);

/* Internal, under the conduit lock. What has arrived has a handler. */
void gas_traffic_note_sent(gas_traffic_t *traffic, int peer, const gas_am_t *am);
void gas_traffic_note_received(gas_traffic_t *traffic, unsigned handler,
                               const gas_arrival_t *arrival);

/* A copy of the counts of a handler or a peer, which must exist. Takes the conduit lock. */
gas_exchange_t gas_traffic_of_handler(gas_job_t *job, int handler);
gas_exchange_t gas_traffic_of_peer(gas_job_t *job, int peer);

#endif
