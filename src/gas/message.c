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
    landing_t *state = malloc(sizeof(*state));

    if (state == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a message");
    state->left = msg->bulk_count + 1;
    state->status = GAS_OK;
    state->done = done;
    state->arg = arg;
    gas_job_lock(job);
    for (uint32_t i = 0; i < msg->bulk_count; i++) {
        gas_status_t status = conduit->ops->bulk_receive(conduit, &msg->bulk[i], landing[i],
                                                         landing_part_over, state);

        if (status != GAS_OK)
            landing_part_over(state, status);
    }
    landing_part_over(state, GAS_OK);
    gas_progress_unsettled(job);
    gas_job_unlock(job);
    return GAS_OK;
}

void gas_msg_free(gas_job_t *job, gas_msg_t *msg)
{
    if (msg->bulk_count > 0) {
        gas_job_lock(job);
        for (uint32_t i = 0; i < msg->bulk_count; i++)
            job->conduit->ops->bulk_reject(job->conduit, &msg->bulk[i]);
        gas_progress_unsettled(job);
        gas_job_unlock(job);
    }
    free(msg);
}
