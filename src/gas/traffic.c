#include "traffic.h"

#include "job.h"

#include <stdlib.h>
#include <string.h>

gas_status_t gas_traffic_init(gas_traffic_t *traffic, int size)
{
    memset(traffic, 0, sizeof(*traffic));
    traffic->peers = calloc((size_t)size, sizeof(*traffic->peers));
    if (traffic->peers == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to count messages");
    return GAS_OK;
}

void gas_traffic_fini(gas_traffic_t *traffic)
{
    free(traffic->peers);
}

static void add(gas_flow_t *flow, uint64_t bytes)
{
    flow->messages++;
    flow->bytes += bytes;
}

void gas_traffic_note_sent(gas_traffic_t *traffic, int peer, const gas_am_t *am)
{
    uint64_t bytes = am->header_length + am->data_length;

    for (uint32_t i = 0; i < am->bulk_count; i++)
        bytes += am->bulk[i].length;
    if (am->handler < GAS_HANDLER_MAX) /* else the receiver drops it */
        add(&traffic->handlers[am->handler].sent, bytes);
    add(&traffic->peers[peer].sent, bytes);
}

void gas_traffic_note_received(gas_traffic_t *traffic, unsigned handler,
                               const gas_arrival_t *arrival)
{
    uint64_t bytes = arrival->header_length + arrival->data_length;

    for (uint32_t i = 0; i < arrival->bulk_count; i++)
        bytes += arrival->bulk[i].length;
    add(&traffic->handlers[handler].received, bytes);
    add(&traffic->peers[arrival->source].received, bytes);
}

gas_exchange_t gas_traffic_of_handler(gas_job_t *job, int handler)
{
    gas_exchange_t exchange;

    gas_job_lock(job);
    exchange = job->traffic.handlers[handler];
    gas_job_unlock(job);
    return exchange;
}

gas_exchange_t gas_traffic_of_peer(gas_job_t *job, int peer)
{
    gas_exchange_t exchange;

    gas_job_lock(job);
    exchange = job->traffic.peers[peer];
    gas_job_unlock(job);
    return exchange;
}
