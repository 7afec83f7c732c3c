/* The UCX conduit: active messages, their assembly from head and bulk buffers, and rendezvous. */
#include "ucx.h"

#include <stdlib.h>
#include <string.h>

/* A message of which a part has arrived. Guarded by the conduit lock. */
struct partial {
    partial_t *next;
    uint32_t source;
    uint64_t id;
    uint32_t announced; /* bulk buffers that are there */
    uint32_t capacity;  /* of bulk */
    gas_bulk_t *bulk;   /* by index; handle NULL until announced */
    char *head;         /* a copy of the AM_HEAD, NULL until it arrives */
    size_t head_length;
};

/* An AM_HEAD on its way out, with the bytes that UCX reads until it is sent. */
typedef struct head_send {
    ucx_conduit_t *conduit;
    char bytes[];
} head_send_t;

/* The bulk buffers of one message on their way out. */
typedef struct bulk_send {
    ucx_conduit_t *conduit;
    uint32_t left;
    gas_status_t status;
    gas_done_fn done;
    void *arg;
    wire_bulk_t wire[]; /* UCX reads each header until its buffer is sent */
} bulk_send_t;

/* A landing buffer that is being filled. */
typedef struct bulk_landing {
    gas_done_fn done;
    void *arg;
} bulk_landing_t;

/* ---- sending ---- */

static void head_sent(void *request, ucs_status_t ucs, void *user_data)
{
    head_send_t *send = user_data;

    (void)ucs;
    send->conduit->backlog--;
    send->conduit->outstanding--;
    free(send);
    ucp_request_free(request);
}

static gas_status_t send_head(ucx_conduit_t *self, ucp_ep_h endpoint, const gas_am_t *am,
                              uint64_t id)
{
    size_t length = sizeof(wire_head_t) + am->header_length + am->data_length;
    wire_head_t wire = {
        .source = (uint32_t)self->params.boot->rank,
        .handler = am->handler,
        .header_length = am->header_length,
        .bulk_count = am->bulk_count,
        .id = id,
    };
    head_send_t *send = malloc(sizeof(*send) + length);
    ucp_request_param_t param;
    ucs_status_ptr_t request;
    char *at;

    if (send == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a message of %zu bytes", length);
    send->conduit = self;
    at = send->bytes;
    at = (char *)memcpy(at, &wire, sizeof(wire)) + sizeof(wire);
    if (am->header_length > 0)
        at = (char *)memcpy(at, am->header, am->header_length) + am->header_length;
    if (am->data_length > 0)
        memcpy(at, am->data, am->data_length);

    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = head_sent;
    param.user_data = send;
    request = ucp_am_send_nbx(endpoint, AM_HEAD, NULL, 0, send->bytes, length, &param);
    if (UCS_PTR_IS_PTR(request)) {
        self->backlog++;
        self->outstanding++;
        return GAS_OK;
    }
    free(send);
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
    send->conduit->outstanding--;
    send->done(send->arg, send->status);
    free(send);
}

static void bulk_sent(void *request, ucs_status_t ucs, void *user_data)
{
    bulk_send_part_over(user_data, ucs);
    ucp_request_free(request);
}

static gas_status_t send_bulk(ucx_conduit_t *self, ucp_ep_h endpoint, const gas_am_t *am,
                              uint64_t id, bulk_send_t *send)
{
    ucp_request_param_t param;

    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_RNDV;
    param.cb.send = bulk_sent;
    param.user_data = send;
    self->outstanding++;
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        ucs_status_ptr_t request;

        send->wire[i].source = (uint32_t)self->params.boot->rank;
        send->wire[i].index = i;
        send->wire[i].id = id;
        request = ucp_am_send_nbx(endpoint, AM_BULK, &send->wire[i], sizeof(send->wire[i]),
                                  am->bulk[i].base, am->bulk[i].length, &param);
        if (!UCS_PTR_IS_PTR(request))
            bulk_send_part_over(send, UCS_PTR_STATUS(request));
    }
    return GAS_OK;
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
    bulk_send_t *send;
    ucp_ep_h endpoint;
    uint64_t id;
    gas_status_t status = check_am(am);

    if (status != GAS_OK)
        return status;
    status = ucx_endpoint(self, destination, &endpoint);
    if (status != GAS_OK)
        return status;
    if (am->bulk_count == 0)
        return send_head(self, endpoint, am, 0);

    send = malloc(sizeof(*send) + am->bulk_count * sizeof(send->wire[0]));
    if (send == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to send %u buffers", am->bulk_count);
    send->conduit = self;
    send->left = am->bulk_count;
    send->status = GAS_OK;
    send->done = done;
    send->arg = arg;
    id = self->next_id++;
    status = send_head(self, endpoint, am, id);
    if (status != GAS_OK) {
        free(send);
        return status;
    }
    return send_bulk(self, endpoint, am, id, send);
}

/* ---- arrival ---- */

static partial_t **partial_find(ucx_conduit_t *self, uint32_t source, uint64_t id)
{
    partial_t **at = &self->partials[(source * 31u + id) % PARTIAL_BUCKETS];

    while (*at != NULL && ((*at)->source != source || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

static partial_t *partial_get(ucx_conduit_t *self, uint32_t source, uint64_t id)
{
    partial_t **at = partial_find(self, source, id);

    if (*at == NULL) {
        *at = calloc(1, sizeof(**at));
        if (*at != NULL) {
            (*at)->source = source;
            (*at)->id = id;
        }
    }
    return *at;
}

static int partial_reserve(partial_t *partial, uint32_t count)
{
    gas_bulk_t *bulk;

    if (count <= partial->capacity)
        return 1;
    bulk = realloc(partial->bulk, count * sizeof(*bulk));
    if (bulk == NULL)
        return 0;
    memset(bulk + partial->capacity, 0, (count - partial->capacity) * sizeof(*bulk));
    partial->bulk = bulk;
    partial->capacity = count;
    return 1;
}

static void partial_free(partial_t *partial)
{
    free(partial->bulk);
    free(partial->head);
    free(partial);
}

/* Reads an AM_HEAD; false if it is malformed. */
static int parse_head(const ucx_conduit_t *self, const char *bytes, size_t length,
                      gas_arrival_t *arrival, uint64_t *id)
{
    wire_head_t wire;
    size_t rest;

    if (length < sizeof(wire))
        return 0;
    memcpy(&wire, bytes, sizeof(wire));
    rest = length - sizeof(wire);
    if (wire.source >= (uint32_t)self->params.boot->size ||
        wire.header_length > GAS_AM_HEADER_MAX || wire.bulk_count > GAS_AM_BULK_MAX ||
        wire.header_length > rest)
        return 0;
    *id = wire.id;
    arrival->source = (int)wire.source;
    arrival->handler = wire.handler;
    arrival->header_length = wire.header_length;
    arrival->bulk_count = wire.bulk_count;
    arrival->header = bytes + sizeof(wire);
    arrival->data = bytes + sizeof(wire) + wire.header_length;
    arrival->data_length = rest - wire.header_length;
    arrival->bulk = NULL;
    return 1;
}

/* Delivers the partial message if head and announcements are all there and agree. */
static void partial_complete(ucx_conduit_t *self, partial_t *partial)
{
    gas_arrival_t arrival;
    uint64_t id;

    if (partial->head == NULL ||
        !parse_head(self, partial->head, partial->head_length, &arrival, &id) ||
        partial->announced < arrival.bulk_count)
        return;
    *partial_find(self, partial->source, partial->id) = partial->next;
    arrival.bulk = partial->bulk;
    self->params.deliver(self->params.deliver_arg, &arrival);
    partial_free(partial);
}

static ucs_status_t head_arrived(void *arg, const void *header, size_t header_length, void *data,
                                 size_t length, const ucp_am_recv_param_t *param)
{
    ucx_conduit_t *self = arg;
    gas_arrival_t arrival;
    partial_t *partial;
    uint64_t id;

    (void)header;
    (void)header_length;
    (void)param;
    if (!parse_head(self, data, length, &arrival, &id))
        return UCS_OK; /* not ours: dropped */
    if (arrival.bulk_count == 0) {
        self->params.deliver(self->params.deliver_arg, &arrival);
        return UCS_OK;
    }
    partial = partial_get(self, (uint32_t)arrival.source, id);
    if (partial == NULL || !partial_reserve(partial, arrival.bulk_count))
        return UCS_OK;
    partial->head = malloc(length);
    if (partial->head == NULL)
        return UCS_OK;
    memcpy(partial->head, data, length);
    partial->head_length = length;
    partial_complete(self, partial);
    return UCS_OK;
}

static ucs_status_t bulk_arrived(void *arg, const void *header, size_t header_length, void *data,
                                 size_t length, const ucp_am_recv_param_t *param)
{
    ucx_conduit_t *self = arg;
    partial_t *partial;
    wire_bulk_t wire;

    (void)param;
    if (header_length != sizeof(wire))
        return UCS_OK;
    memcpy(&wire, header, sizeof(wire));
    if (wire.source >= (uint32_t)self->params.boot->size || wire.index >= GAS_AM_BULK_MAX)
        return UCS_OK;
    partial = partial_get(self, wire.source, wire.id);
    if (partial == NULL || !partial_reserve(partial, wire.index + 1) ||
        partial->bulk[wire.index].handle != NULL)
        return UCS_OK;
    partial->bulk[wire.index].length = length;
    partial->bulk[wire.index].handle = data;
    partial->announced++;
    partial_complete(self, partial);
    return UCS_INPROGRESS; /* kept until bulk_receive or bulk_reject */
}

/* ---- landing ---- */

static void bulk_landed(void *request, ucs_status_t ucs, size_t length, void *user_data)
{
    bulk_landing_t *landing = user_data;

    (void)length;
    landing->done(landing->arg,
                  ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "a buffer could not be received"));
    free(landing);
    ucp_request_free(request);
}

gas_status_t ucx_bulk_receive(gas_conduit_t *conduit, gas_bulk_t *bulk, void *landing,
                              gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    bulk_landing_t *state = malloc(sizeof(*state));
    ucp_request_param_t param;
    ucs_status_ptr_t request;
    void *handle = bulk->handle;

    if (state == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a buffer");
    state->done = done;
    state->arg = arg;
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.recv_am = bulk_landed;
    param.user_data = state;
    bulk->handle = NULL;
    request = ucp_am_recv_data_nbx(self->worker, handle, landing, bulk->length, &param);
    if (UCS_PTR_IS_PTR(request))
        return GAS_OK;
    free(state);
    if (UCS_PTR_IS_ERR(request))
        return ucx_error(UCS_PTR_STATUS(request), "cannot receive a buffer");
    done(arg, GAS_OK);
    return GAS_OK;
}

void ucx_bulk_reject(gas_conduit_t *conduit, gas_bulk_t *bulk)
{
    if (bulk->handle != NULL)
        ucp_am_data_release(((ucx_conduit_t *)conduit)->worker, bulk->handle);
    bulk->handle = NULL;
}

/* ---- set-up ---- */

static gas_status_t set_handler(ucx_conduit_t *self, unsigned id, uint32_t flags,
                                ucp_am_recv_callback_t callback)
{
    ucp_am_handler_param_t param;
    ucs_status_t ucs;

    memset(&param, 0, sizeof(param));
    param.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                       UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
    param.id = id;
    param.flags = flags;
    param.cb = callback;
    param.arg = self;
    ucs = ucp_worker_set_am_recv_handler(self->worker, &param);
    return ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "cannot install an active-message handler");
}

gas_status_t ucx_am_init(ucx_conduit_t *self)
{
    gas_status_t status = set_handler(self, AM_HEAD, UCP_AM_FLAG_WHOLE_MSG, head_arrived);

    if (status != GAS_OK)
        return status;
    return set_handler(self, AM_BULK, UCP_AM_FLAG_WHOLE_MSG | UCP_AM_FLAG_PERSISTENT_DATA,
                       bulk_arrived);
}

void ucx_am_fini(ucx_conduit_t *self)
{
    for (unsigned i = 0; i < PARTIAL_BUCKETS; i++) {
        while (self->partials[i] != NULL) {
            partial_t *partial = self->partials[i];

            self->partials[i] = partial->next;
            partial_free(partial);
        }
    }
}
