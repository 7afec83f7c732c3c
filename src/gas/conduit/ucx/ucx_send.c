/* The UCX conduit: sending, an eager message for the head and a rendezvous for each bulk buffer. */
#include "ucx.h"
#include "ucx_wire.h"

#include "../../pool.h"

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
    void *copy; /* of buffers that may change; NULL: none */
    size_t copy_length;
    wire_bulk_t wire[]; /* UCX reads each header until its buffer is sent */
} bulk_send_t;

void ucx_outgoing_add(ucx_conduit_t *self, ucx_outgoing_t *send, int rank,
                      void (*give_up)(ucx_outgoing_t *send))
{
    send->rank = rank;
    send->orphan = false;
    send->give_up = give_up;
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
    if (!send->orphan)
        self->outstanding--;
    free(send);
}

/* What is on its way to or from `rank`, and no orphan; NULL if there is nothing. */
static ucx_outgoing_t *find_outgoing(const ucx_conduit_t *self, int rank)
{
    ucx_outgoing_t *outgoing = self->outgoing;

    while (outgoing != NULL && (outgoing->rank != rank || outgoing->orphan))
        outgoing = outgoing->next;
    return outgoing;
}

void ucx_peer_failed(gas_conduit_t *conduit, int rank)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_outgoing_t *outgoing;

    self->lossy = true;
    self->peers[rank].failed = true;
    self->peers[rank].link = NULL;
    if (self->near != NULL)
        near_peer_failed(self->near, rank);
    /* From the start each time: giving up may begin and end other operations. */
    while ((outgoing = find_outgoing(self, rank)) != NULL) {
        outgoing->orphan = true;
        self->outstanding--;
        outgoing->give_up(outgoing);
    }
    ucx_am_peer_failed(self, rank);
}

void ucx_send_fini(ucx_conduit_t *self)
{
    free(self->spare);
    while (self->outgoing != NULL)
        ucx_outgoing_over(self, self->outgoing);
}

static void head_give_up(ucx_outgoing_t *outgoing)
{
    ((head_send_t *)outgoing)->conduit->backlog--;
}

static void head_sent(void *request, ucs_status_t ucs, void *user_data)
{
    head_send_t *send = user_data;

    (void)ucs;
    if (!send->super.orphan)
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

/* Sends the bytes of `send`, of head_take(), whose memory is kept or freed when UCX has them. */
static gas_status_t send_eager(ucx_conduit_t *self, int rank, ucp_ep_h endpoint, unsigned id,
                               head_send_t *send, size_t length)
{
    ucp_request_param_t param;
    ucs_status_ptr_t request;

    send->conduit = self;
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = head_sent;
    param.user_data = send;
    request = ucp_am_send_nbx(endpoint, id, NULL, 0, send->bytes, length, &param);
    if (UCS_PTR_IS_PTR(request)) {
        self->backlog++;
        ucx_outgoing_add(self, &send->super, rank, head_give_up);
        return GAS_OK;
    }
    head_give(self, send, length);
    if (UCS_PTR_IS_ERR(request))
        return ucx_error(UCS_PTR_STATUS(request), "cannot send an active message");
    return GAS_OK;
}

/* A message that is being written: into the ring of a rank of this host, or into memory that is
 * kept for it, or that UCX sends. */
typedef struct slip {
    char *at;
    near_link_t *link; /* NULL: by UCX */
    bool kept;
    ucp_ep_h endpoint;
    head_send_t *send;
} slip_t;

static gas_status_t slip_take(ucx_conduit_t *self, int rank, size_t length, slip_t *slip)
{
    gas_status_t status;

    slip->link = ucx_link(self, rank);
    if (slip->link != NULL) {
        slip->at = near_begin(slip->link, length);
        slip->kept = slip->at == NULL;
        if (slip->kept)
            slip->at = malloc(length);
    } else {
        status = ucx_endpoint(self, rank, &slip->endpoint);
        if (status != GAS_OK)
            return status;
        slip->send = head_take(self, length);
        slip->at = slip->send != NULL ? slip->send->bytes : NULL;
    }
    if (slip->at == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a message of %zu bytes", length);
    return GAS_OK;
}

/* It has been written. */
static gas_status_t slip_send(ucx_conduit_t *self, int rank, unsigned id, size_t length,
                              const slip_t *slip)
{
    if (slip->link == NULL)
        return send_eager(self, rank, slip->endpoint, id, slip->send, length);
    if (slip->kept)
        return near_keep(slip->link, id, slip->at, length);
    near_end(slip->link, id, length);
    return GAS_OK;
}

gas_status_t ucx_send_bytes(ucx_conduit_t *self, int rank, unsigned id, const void *bytes,
                            size_t length)
{
    gas_status_t status;
    slip_t slip;

    if (self->peers[rank].failed)
        return gas_error(GAS_ERR_RANK_FAILED, "rank %d has failed", rank);
    status = slip_take(self, rank, length, &slip);
    if (status != GAS_OK)
        return status;
    memcpy(slip.at, bytes, length);
    return slip_send(self, rank, id, length, &slip);
}

static void write_head(const ucx_conduit_t *self, const gas_am_t *am, uint64_t id,
                       const ucx_offer_t *offer, char *at)
{
    wire_head_t wire = {
        .source = (uint32_t)self->params.boot->rank,
        .handler = am->handler,
        .header_length = am->header_length,
        .bulk_count = am->bulk_count,
        .direct = offer != NULL,
        .id = (uint32_t)id,
    };

    at += wire_head_put(&wire, at);
    if (am->header_length > 0)
        at = (char *)memcpy(at, am->header, am->header_length) + am->header_length;
    if (offer != NULL)
        at = ucx_direct_write(offer, am, at);
    if (am->data_length > 0)
        memcpy(at, am->data, am->data_length);
}

static gas_status_t send_head(ucx_conduit_t *self, int rank, const gas_am_t *am, uint64_t id,
                              const ucx_offer_t *offer)
{
    size_t length = (am->bulk_count > 0 ? WIRE_HEAD_MAX : WIRE_HEAD_MIN) + am->header_length +
                    am->data_length + (offer != NULL ? ucx_direct_length(am) : 0);
    slip_t slip;
    gas_status_t status = slip_take(self, rank, length, &slip);

    if (status != GAS_OK)
        return status;
    write_head(self, am, id, offer, slip.at);
    return slip_send(self, rank, AM_HEAD, length, &slip);
}

static void bulk_give_up(ucx_outgoing_t *outgoing)
{
    bulk_send_t *send = (bulk_send_t *)outgoing;

    send->done(send->arg, GAS_ERR_RANK_FAILED);
}

static void bulk_send_part_over(bulk_send_t *send, ucs_status_t ucs)
{
    if (ucs != UCS_OK)
        send->status = ucx_error(ucs, "a buffer could not be sent");
    if (--send->left > 0)
        return;
    gas_pool_give(send->copy, send->copy_length);
    if (!send->conduit->closing && !send->super.orphan)
        send->done(send->arg, send->status);
    ucx_outgoing_over(send->conduit, &send->super);
}

static void bulk_sent(void *request, ucs_status_t ucs, void *user_data)
{
    bulk_send_part_over(user_data, ucs);
    ucp_request_free(request);
}

static void send_bulk(ucx_conduit_t *self, int rank, ucp_ep_h endpoint, const gas_am_t *am,
                      const gas_iov_t *bulk, uint64_t id, bulk_send_t *send)
{
    ucp_request_param_t param;

    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_RNDV;
    param.cb.send = bulk_sent;
    param.user_data = send;
    self->restless = true;
    self->rendezvous += am->bulk_count;
    ucx_outgoing_add(self, &send->super, rank, bulk_give_up);
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        ucs_status_ptr_t request;

        send->wire[i].source = (uint32_t)self->params.boot->rank;
        send->wire[i].index = i;
        send->wire[i].count = am->bulk_count;
        send->wire[i].reserved = 0;
        send->wire[i].id = id;
        request = ucp_am_send_nbx(endpoint, AM_BULK, &send->wire[i], sizeof(send->wire[i]),
                                  bulk[i].base, bulk[i].length, &param);
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

/* The buffers of a message to a rank of this host: it reads them from where they are. */
static gas_status_t send_direct(ucx_conduit_t *self, int destination, const gas_am_t *am,
                                gas_done_fn done, void *arg)
{
    ucx_peer_t *peer = &self->peers[destination];
    ucx_offer_t *offer = ucx_offer_create(self, destination, peer->sent, am, done, arg);
    gas_status_t status;

    if (offer == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to send %u buffers", am->bulk_count);
    status = send_head(self, destination, am, peer->sent++, offer);
    if (status != GAS_OK) {
        peer->sent--;
        ucx_offer_cancel(offer);
    }
    return status;
}

/* Where the buffers are to be sent from: those that may change are copied, since nothing can be
 * done about a rendezvous once it has begun. To be freed; NULL without memory. */
static gas_iov_t *fix(const gas_am_t *am, bulk_send_t *send)
{
    gas_iov_t *bulk = malloc(am->bulk_count * sizeof(*bulk));

    if (bulk == NULL)
        return NULL;
    memcpy(bulk, am->bulk, am->bulk_count * sizeof(*bulk));
    send->copy = NULL;
    send->copy_length = 0;
    if (!am->changeable)
        return bulk;
    send->copy = ucx_bulk_duplicate(bulk, am->bulk_count, &send->copy_length);
    if (send->copy != NULL)
        return bulk;
    free(bulk);
    return NULL;
}

/* The buffers of a message go by rendezvous, each for itself. */
static gas_status_t send_rendezvous(ucx_conduit_t *self, int destination, const gas_am_t *am,
                                    gas_done_fn done, void *arg)
{
    ucx_peer_t *peer = &self->peers[destination];
    bulk_send_t *send;
    gas_iov_t *bulk;
    ucp_ep_h endpoint;
    gas_status_t status = ucx_endpoint(self, destination, &endpoint);
    uint64_t id;

    if (status != GAS_OK)
        return status;
    send = malloc(sizeof(*send) + am->bulk_count * sizeof(send->wire[0]));
    bulk = send != NULL ? fix(am, send) : NULL;
    if (bulk == NULL) {
        free(send);
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to send %u buffers", am->bulk_count);
    }
    send->conduit = self;
    send->left = am->bulk_count;
    send->status = GAS_OK;
    send->done = done;
    send->arg = arg;
    id = peer->sent++;
    status = send_head(self, destination, am, id, NULL);
    if (status == GAS_OK) {
        send_bulk(self, destination, endpoint, am, bulk, id, send);
    } else {
        peer->sent--;
        gas_pool_give(send->copy, send->copy_length);
        free(send);
    }
    free(bulk);
    return status;
}

gas_status_t ucx_am_send(gas_conduit_t *conduit, int destination, const gas_am_t *am,
                         gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_peer_t *peer = &self->peers[destination];
    gas_status_t status = check_am(am);

    if (status != GAS_OK)
        return status;
    if (am->bulk_count > 0 && ucx_direct_serves(conduit, destination))
        return send_direct(self, destination, am, done, arg);
    if (am->bulk_count > 0)
        return send_rendezvous(self, destination, am, done, arg);
    /* The id is taken before it is sent: UCX delivers what this rank sends to itself before it
     * returns, and the handler may send to itself in turn. */
    status = send_head(self, destination, am, peer->sent++, NULL);
    if (status != GAS_OK)
        peer->sent--;
    return status;
}
