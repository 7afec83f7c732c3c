/* One-sided operations by message, on the side of the segment's owner: whoever polls, mostly the
 * progress thread, does them and answers. Trusts nothing that it reads. */
#include "job.h"

#include <stdlib.h>
#include <string.h>

/* A put whose buffer is landing in the segment. */
typedef struct landing_put {
    gas_job_t *job;
    gas_msg_t *msg;
    gas_op_wire_t wire;
} landing_put_t;

static void answer_sent(void *arg, gas_status_t status)
{
    (void)arg;
    (void)status;
}

/* Answers with `length` bytes `data`, NULL for none; `wire` is the question's. */
static void answer(gas_job_t *job, int rank, gas_op_wire_t *wire, gas_status_t status,
                   const void *data, size_t length)
{
    gas_iov_t bulk = {data, length};
    gas_am_t am = {
        .handler = GAS_HANDLER_OP_ANSWER, .header = wire, .header_length = sizeof(*wire)};

    wire->status = status;
    if (data != NULL && length > job->config.inline_max) {
        am.bulk = &bulk;
        am.bulk_count = 1;
    } else if (data != NULL) {
        am.data = data;
        am.data_length = length;
    }
    if (gas_am_send(job, rank, &am, answer_sent, NULL) != GAS_OK)
        atomic_fetch_add(&job->dropped, 1);
}

static void put_landed(void *arg, gas_status_t status)
{
    landing_put_t *put = arg;
    int rank = put->msg->source;

    gas_msg_free(put->job, put->msg);
    answer(put->job, rank, &put->wire, status, NULL, 0);
    free(put);
}

/* GAS_BUSY: the buffer is landing, `msg` is taken and the answer comes later. */
static gas_status_t do_put(gas_job_t *job, gas_msg_t *msg, const gas_op_wire_t *wire, char *at)
{
    landing_put_t *put;
    void *landing = at;
    gas_status_t status;

    if (msg->bulk_count == 0 && msg->data_length == wire->length) {
        memcpy(at, msg->data, msg->data_length);
        return GAS_OK;
    }
    if (msg->bulk_count != 1 || msg->bulk[0].length != wire->length)
        return GAS_ERR_PROTOCOL;
    put = malloc(sizeof(*put));
    if (put == NULL)
        return GAS_ERR_NO_MEMORY;
    *put = (landing_put_t){job, msg, *wire};
    status = gas_msg_receive(job, msg, &landing, put_landed, put);
    if (status == GAS_OK)
        return GAS_BUSY;
    free(put);
    return status;
}

static gas_status_t do_atomic(gas_op_wire_t *wire, char *at)
{
    gas_atomic_t atomic = {.kind = (gas_atomic_kind_t)wire->atomic_kind,
                           .type = (gas_atomic_type_t)wire->atomic_type,
                           .operand.u64 = wire->operand,
                           .compare.u64 = wire->compare};
    gas_status_t status = gas_atomic_check(&atomic);

    if (status != GAS_OK)
        return status;
    if (wire->length != gas_atomic_width(atomic.type) || wire->offset % wire->length != 0)
        return GAS_ERR_PROTOCOL;
    wire->operand = gas_atomic_apply(&atomic, at).u64;
    return GAS_OK;
}

void gas_op_asked(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    size_t size = gas_segment_size(job);
    const void *data = NULL;
    gas_status_t status = GAS_OK;
    gas_op_wire_t wire;
    char *at;

    (void)arg;
    if (msg->header_length != sizeof(wire)) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    memcpy(&wire, msg->header, sizeof(wire));
    if (wire.length == 0 || wire.offset > size || wire.length > size - wire.offset) {
        status = GAS_ERR_INVALID;
    } else {
        at = job->segment.base + wire.offset;
        if (wire.kind == GAS_OP_PUT)
            status = do_put(job, msg, &wire, at);
        else if (wire.kind == GAS_OP_GET)
            data = at;
        else if (wire.kind == GAS_OP_ATOMIC)
            status = do_atomic(&wire, at);
        else
            status = GAS_ERR_PROTOCOL;
    }
    if (status == GAS_BUSY)
        return;
    answer(job, msg->source, &wire, status, data, data != NULL ? wire.length : 0);
    gas_msg_free(job, msg);
}
