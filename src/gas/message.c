#include "message.h"

#include "job.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A gas_msg_receive() under way. `left` counts the buffers not there yet, and one for the caller
 * until every receive has been started, so that `done` runs once and last. */
typedef struct landing {
    uint32_t left; /* guarded by the conduit lock */
    gas_status_t status;
    gas_done_fn done;
    void *arg;
} landing_t;

static size_t round_up(size_t n)
{
    return (n + 15u) & ~(size_t)15u;
}

gas_msg_t *gas_msg_create(const gas_arrival_t *arrival)
{
    size_t bulk_at = round_up(sizeof(gas_msg_t));
    size_t header_at = bulk_at + round_up(arrival->bulk_count * sizeof(gas_bulk_t));
    size_t data_at = header_at + round_up(arrival->header_length);
    char *block = malloc(data_at + arrival->data_length);
    gas_msg_t *msg = (gas_msg_t *)block;

    if (block == NULL)
        return NULL;
    msg->next = NULL;
    msg->source = arrival->source;
    msg->handler = arrival->handler;
    msg->header_length = arrival->header_length;
    msg->bulk_count = arrival->bulk_count;
    msg->packed = false;
    msg->taken_in = false;
    msg->data_length = arrival->data_length;
    msg->bulk = (gas_bulk_t *)(block + bulk_at);
    msg->header = block + header_at;
    msg->data = block + data_at;
    if (arrival->bulk_count > 0)
        memcpy(block + bulk_at, arrival->bulk, arrival->bulk_count * sizeof(gas_bulk_t));
    if (arrival->header_length > 0)
        memcpy(block + header_at, arrival->header, arrival->header_length);
    if (arrival->data_length > 0)
        memcpy(block + data_at, arrival->data, arrival->data_length);
    return msg;
}

void *gas_msg_pack(const gas_am_t *am, gas_am_t *packed)
{
    uint64_t count = am->bulk_count;
    size_t length = (1 + am->bulk_count) * sizeof(uint64_t) + am->data_length;
    char *block, *at;

    for (uint32_t i = 0; i < am->bulk_count; i++)
        length += am->bulk[i].length;
    block = at = malloc(length);
    if (block == NULL)
        return NULL;
    at = (char *)memcpy(at, &count, sizeof(count)) + sizeof(count);
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        uint64_t one = am->bulk[i].length;

        at = (char *)memcpy(at, &one, sizeof(one)) + sizeof(one);
    }
    if (am->data_length > 0)
        at = (char *)memcpy(at, am->data, am->data_length) + am->data_length;
    for (uint32_t i = 0; i < am->bulk_count; i++)
        at = (char *)memcpy(at, am->bulk[i].base, am->bulk[i].length) + am->bulk[i].length;
    *packed = (gas_am_t){
        .handler = am->handler | GAS_HANDLER_PACKED,
        .header_length = am->header_length,
        .header = am->header,
        .data = block,
        .data_length = length,
    };
    return block;
}

bool gas_msg_unpack(gas_msg_t *msg)
{
    const char *at = msg->data;
    size_t left = msg->data_length;
    uint64_t count, total = 0;
    gas_bulk_t *bulk;

    msg->handler &= ~GAS_HANDLER_PACKED;
    if (left < sizeof(count))
        return false;
    memcpy(&count, at, sizeof(count));
    at += sizeof(count);
    left -= sizeof(count);
    if (count == 0 || count > GAS_AM_BULK_MAX || left / sizeof(uint64_t) < count)
        return false;
    bulk = calloc(count, sizeof(*bulk));
    if (bulk == NULL)
        return false;
    left -= count * sizeof(uint64_t);
    for (uint64_t i = 0; i < count; i++, at += sizeof(uint64_t)) {
        memcpy(&bulk[i].length, at, sizeof(uint64_t));
        total = bulk[i].length <= left - total ? total + bulk[i].length : left + 1;
        if (total > left) {
            free(bulk);
            return false;
        }
    }
    msg->data = at;
    msg->data_length = left - total;
    at += msg->data_length;
    for (uint64_t i = 0; i < count; i++) {
        bulk[i].place = (uint64_t)(uintptr_t)at;
        at += bulk[i].length;
    }
    msg->bulk = bulk;
    msg->bulk_count = (uint32_t)count;
    msg->packed = true;
    return true;
}

/* Copies the buffers that came with the message. */
static void copy_packed(const gas_msg_t *msg, void *const *landing)
{
    for (uint32_t i = 0; i < msg->bulk_count; i++)
        memcpy(landing[i], (const void *)(uintptr_t)msg->bulk[i].place, msg->bulk[i].length);
}

static void landing_part_over(void *arg, gas_status_t status)
{
    landing_t *landing = arg;

    if (status != GAS_OK)
        landing->status = status;
    if (--landing->left > 0)
        return;
    landing->done(landing->arg, landing->status);
    free(landing);
}

gas_status_t gas_msg_receive(gas_job_t *job, gas_msg_t *msg, void *const *landing, gas_done_fn done,
                             void *arg)
{
    gas_conduit_t *conduit = job->conduit;
    landing_t *state;
    bool gone; /* its sender is */

    if (msg->packed) {
        copy_packed(msg, landing);
        gas_job_lock(job);
        done(arg, GAS_OK);
        gas_job_unlock(job);
        return GAS_OK;
    }
    state = malloc(sizeof(*state));
    if (state == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a message");
    state->left = msg->bulk_count + 1;
    state->status = GAS_OK;
    state->done = done;
    state->arg = arg;
    gas_job_lock(job);
    gone = gas_rank_has_failed(job, msg->source);
    for (uint32_t i = 0; i < msg->bulk_count; i++) {
        gas_status_t status = GAS_ERR_RANK_FAILED;

        if (!gone)
            status = conduit->ops->bulk_receive(conduit, &msg->bulk[i], landing[i],
                                                landing_part_over, state);
        if (status != GAS_OK)
            landing_part_over(state, status);
    }
    landing_part_over(state, GAS_OK);
    gas_progress_given(job);
    gas_job_unlock(job);
    return GAS_OK;
}

/* Tells the sender of `msg` that no buffer of it is wanted any more. */
static void reject_all(gas_job_t *job, gas_msg_t *msg)
{
    gas_job_lock(job);
    for (uint32_t i = 0; i < msg->bulk_count; i++)
        job->conduit->ops->bulk_reject(job->conduit, &msg->bulk[i]);
    gas_progress_given(job);
    gas_job_unlock(job);
}

gas_status_t gas_msg_copy(gas_job_t *job, gas_msg_t *msg, void *const *landing)
{
    gas_conduit_t *conduit;
    gas_status_t status;

    if (msg->packed)
        copy_packed(msg, landing);
    if (msg->packed || msg->bulk_count == 0)
        return GAS_OK;
    conduit = job->conduit;
    if (conduit->ops->bulk_copy == NULL)
        return GAS_ERR_UNSUPPORTED;
    status = conduit->ops->bulk_copy(conduit, msg->bulk, msg->bulk_count, landing);
    if (status == GAS_OK)
        reject_all(job, msg);
    return status;
}

void gas_msg_free(gas_job_t *job, gas_msg_t *msg)
{
    if (msg->packed)
        free(msg->bulk);
    else if (msg->bulk_count > 0)
        reject_all(job, msg);
    free(msg);
}
