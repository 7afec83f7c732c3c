#include "traffic.h"

#include "job.h"

#include <stdlib.h>
#include <string.h>

gas_status_t gas_traffic_init(gas_traffic_t *traffic, int size, uint32_t watched)
{
    memset(traffic, 0, sizeof(*traffic));
    traffic->watched = watched;
    traffic->peers = calloc((size_t)size, sizeof(*traffic->peers));
    traffic->watched_peers = calloc((size_t)size, sizeof(*traffic->watched_peers));
    if (traffic->peers != NULL && traffic->watched_peers != NULL)
        return GAS_OK;
    gas_traffic_fini(traffic);
    return gas_error(GAS_ERR_NO_MEMORY, "no memory to count messages");
}

void gas_traffic_fini(gas_traffic_t *traffic)
{
    free(traffic->peers);
    free(traffic->watched_peers);
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
    if (am->handler < GAS_HANDLER_MAX && traffic->watched >> am->handler & 1)
        traffic->watched_peers[peer].sent++;
}

void gas_traffic_note_received(gas_traffic_t *traffic, unsigned handler,
                               const gas_arrival_t *arrival)
{
    uint64_t bytes = arrival->header_length + arrival->data_length;

    for (uint32_t i = 0; i < arrival->bulk_count; i++)
        bytes += arrival->bulk[i].length;
    add(&traffic->handlers[handler].received, bytes);
    add(&traffic->peers[arrival->source].received, bytes);
    if (traffic->watched >> handler & 1)
        traffic->watched_peers[arrival->source].received++;
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

void gas_traffic_watched(gas_job_t *job, uint64_t *sent, uint64_t *received)
{
    *sent = *received = 0;
    gas_job_lock(job);
    for (int peer = 0; peer < gas_job_size(job); peer++) {
        if (gas_rank_has_failed(job, peer))
            continue;
        *sent += job->traffic.watched_peers[peer].sent;
        *received += job->traffic.watched_peers[peer].received;
    }
    gas_job_unlock(job);
}
