/* The UCX conduit: sending, an eager message for the head and a rendezvous for each bulk buffer. */
#include "ucx.h"
#include "ucx_wire.h"

#include <stdlib.h>
#include <string.h>

#define SPARE_BYTES 256u /* of the kept piece of memory */

/* An AM_HEAD on its way out, with the bytes that UCX reads until it is sent. */
typedef struct head_send {
    ucx_outgoing_t super;
    ucx_conduit_t *conduit;
    char bytes[];
} head_send_t;

/* The bulk buffers of one message on their way out. */
typedef struct bulk_send {
    ucx_outgoing_t super;
    ucx_conduit_t *conduit;
    uint32_t left;
    gas_status_t status;
    gas_done_fn done;
    void *arg;
    wire_bulk_t wire[]; /* UCX reads each header until its buffer is sent */
} bulk_send_t;

void ucx_outgoing_add(ucx_conduit_t *self, ucx_outgoing_t *send)
{
    send->prev = NULL;
    send->next = self->outgoing;
    if (send->next != NULL)
        send->next->prev = send;
    self->outgoing = send;
    self->outstanding++;
}

void ucx_outgoing_over(ucx_conduit_t *self, ucx_outgoing_t *send)
{
    if (send->prev != NULL)
        send->prev->next = send->next;
    else
        self->outgoing = send->next;
    if (send->next != NULL)
        send->next->prev = send->prev;
    self->outstanding--;
    free(send);
}

void ucx_send_fini(ucx_conduit_t *self)
{
    free(self->spare);
    while (self->outgoing != NULL)
        ucx_outgoing_over(self, self->outgoing);
}

static void head_sent(void *request, ucs_status_t ucs, void *user_data)
{
    head_send_t *send = user_data;

    (void)ucs;
    send->conduit->backlog--;
    ucx_outgoing_over(send->conduit, &send->super);
    ucp_request_free(request);
}

/* Room for a message of `length` bytes. Most are small and gone when UCX's send returns, so one
 * such piece of memory is kept. */
static head_send_t *head_take(ucx_conduit_t *self, size_t length)
{
    head_send_t *send = self->spare;

    if (length > SPARE_BYTES)
        return malloc(sizeof(*send) + length);
    self->spare = NULL;
    return send != NULL ? send : malloc(sizeof(*send) + SPARE_BYTES);
}

static void head_give(ucx_conduit_t *self, head_send_t *send, size_t length)
{
    if (length <= SPARE_BYTES && self->spare == NULL)
        self->spare = send;
    else
        free(send);
}

static gas_status_t send_head(ucx_conduit_t *self, ucp_ep_h endpoint, const gas_am_t *am,
                              uint64_t id)
{
    size_t most = WIRE_HEAD_MAX + am->header_length + am->data_length;
    wire_head_t wire = {
        .source = (uint32_t)self->params.boot->rank,
        .handler = am->handler,
        .header_length = am->header_length,
        .bulk_count = am->bulk_count,
        .id = (uint32_t)id,
    };
    head_send_t *send = head_take(self, most);
    ucp_request_param_t param;
    ucs_status_ptr_t request;
    char *at;

    if (send == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a message of %zu bytes", most);
    send->conduit = self;
    at = send->bytes + wire_head_put(&wire, send->bytes);
    if (am->header_length > 0)
        at = (char *)memcpy(at, am->header, am->header_length) + am->header_length;
    if (am->data_length > 0)
        at = (char *)memcpy(at, am->data, am->data_length) + am->data_length;

    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = head_sent;
    param.user_data = send;
    request = ucp_am_send_nbx(endpoint, AM_HEAD, NULL, 0, send->bytes, (size_t)(at - send->bytes),
                              &param);
    if (UCS_PTR_IS_PTR(request)) {
        self->backlog++;
        ucx_outgoing_add(self, &send->super);
        return GAS_OK;
    }
    head_give(self, send, most);
    if (UCS_PTR_IS_ERR(request))
        return ucx_error(UCS_PTR_STATUS(request), "cannot send an active message");
    return GAS_OK;
}

static void bulk_send_part_over(bulk_send_t *send, ucs_status_t ucs)
{
    if (ucs != UCS_OK)
        send->status = ucx_error(ucs, "a buffer could not be sent");
    if (--send->left > 0)
        return;
    if (!send->conduit->closing)
        send->done(send->arg, send->status);
    ucx_outgoing_over(send->conduit, &send->super);
}

static void bulk_sent(void *request, ucs_status_t ucs, void *user_data)
{
    bulk_send_part_over(user_data, ucs);
    ucp_request_free(request);
}

static void send_bulk(ucx_conduit_t *self, ucp_ep_h endpoint, const gas_am_t *am, uint64_t id,
                      bulk_send_t *send)
{
    ucp_request_param_t param;

    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_RNDV;
    param.cb.send = bulk_sent;
    param.user_data = send;
    ucx_outgoing_add(self, &send->super);
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        ucs_status_ptr_t request;

        send->wire[i].source = (uint32_t)self->params.boot->rank;
        send->wire[i].index = i;
        send->wire[i].count = am->bulk_count;
        send->wire[i].reserved = 0;
        send->wire[i].id = id;
        request = ucp_am_send_nbx(endpoint, AM_BULK, &send->wire[i], sizeof(send->wire[i]),
                                  am->bulk[i].base, am->bulk[i].length, &param);
        if (!UCS_PTR_IS_PTR(request))
            bulk_send_part_over(send, UCS_PTR_STATUS(request));
    }
}

static gas_status_t check_am(const gas_am_t *am)
{
    if (am->header_length > GAS_AM_HEADER_MAX || am->bulk_count > GAS_AM_BULK_MAX)
        return gas_error(GAS_ERR_INVALID, "a message has at most %d bytes of header and %u buffers",
                         GAS_AM_HEADER_MAX, GAS_AM_BULK_MAX);
    for (uint32_t i = 0; i < am->bulk_count; i++)
        if (am->bulk[i].length == 0)
            return gas_error(GAS_ERR_INVALID, "an empty buffer is not sent by rendezvous");
    return GAS_OK;
}

gas_status_t ucx_am_send(gas_conduit_t *conduit, int destination, const gas_am_t *am,
                         gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_peer_t *peer = &self->peers[destination];
    bulk_send_t *send = NULL;
    ucp_ep_h endpoint;
    gas_status_t status = check_am(am);
    uint64_t id;

    if (status != GAS_OK)
        return status;
    status = ucx_endpoint(self, destination, &endpoint);
    if (status != GAS_OK)
        return status;
    if (am->bulk_count > 0) {
        send = malloc(sizeof(*send) + am->bulk_count * sizeof(send->wire[0]));
        if (send == NULL)
            return gas_error(GAS_ERR_NO_MEMORY, "no memory to send %u buffers", am->bulk_count);
        send->conduit = self;
        send->left = am->bulk_count;
        send->status = GAS_OK;
        send->done = done;
        send->arg = arg;
    }
    /* Taken before it is sent: UCX delivers what this rank sends to itself before it returns, and
     * the handler may send to itself in turn. */
    id = peer->sent++;
    status = send_head(self, endpoint, am, id);
    if (status != GAS_OK) {
        peer->sent--;
        free(send);
        return status;
    }
    if (send != NULL)
        send_bulk(self, endpoint, am, id, send);
    return GAS_OK;
}
