/* The UCX conduit: arrival, the assembly of messages from head and bulk buffers, and landing. */
#include "ucx.h"
#include "ucx_wire.h"

#include <stdlib.h>
#include <string.h>

#define DIRECT_FEW 16 /* buffers of a message that is delivered without being kept */

/* A message of which a part has arrived. Guarded by the conduit lock. */
struct partial {
    partial_t *next;
    uint32_t source;
    uint64_t id;
    uint32_t announced; /* bulk buffers that are there */
    uint32_t count;     /* of bulk; known from the first part that arrived */
    gas_bulk_t *bulk;   /* by index; handle NULL until announced */
    char *head;         /* a copy of the AM_HEAD, NULL until it arrives */
    size_t head_length;
};

/* A landing buffer that is being filled. */
typedef struct bulk_landing {
    ucx_outgoing_t super;
    ucx_conduit_t *conduit;
    gas_done_fn done;
    void *arg;
} bulk_landing_t;

/* ---- arrival ---- */

static partial_t **partial_find(ucx_conduit_t *self, uint32_t source, uint64_t id)
{
    partial_t **at = &self->partials[(source * 31u + id) % PARTIAL_BUCKETS];

    while (*at != NULL && ((*at)->source != source || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

/* The partial message that a part belongs to, made if this is its first; NULL if the part disagrees
 * with earlier ones or there is no memory. */
static partial_t *partial_get(ucx_conduit_t *self, uint32_t source, uint64_t id, uint32_t count)
{
    partial_t **at = partial_find(self, source, id);
    partial_t *partial = *at;

    if (partial != NULL)
        return partial->count == count ? partial : NULL;
    if (id < self->peers[source].expected)
        return NULL;
    partial = calloc(1, sizeof(*partial));
    if (partial == NULL)
        return NULL;
    if (count > 0) {
        partial->bulk = calloc(count, sizeof(*partial->bulk));
        if (partial->bulk == NULL) {
            free(partial);
            return NULL;
        }
    }
    partial->source = source;
    partial->id = id;
    partial->count = count;
    self->peers[source].partials++;
    *at = partial;
    return partial;
}

static void partial_free(partial_t *partial)
{
    free(partial->bulk);
    free(partial->head);
    free(partial);
}

/* Reads an AM_HEAD; false if it is malformed. *places: where it says where its buffers are; NULL:
 * it does not. */
static int parse_head(ucx_conduit_t *self, const char *bytes, size_t length, gas_arrival_t *arrival,
                      uint64_t *id, const char **places)
{
    wire_head_t wire;
    size_t taken = wire_head_get(&wire, bytes, length);
    size_t rest, used = 0;

    if (taken == 0 || wire.source >= (uint32_t)self->params.boot->size ||
        wire.header_length > GAS_AM_HEADER_MAX || wire.bulk_count > GAS_AM_BULK_MAX ||
        wire.header_length > length - taken)
        return 0;
    *id = wire_id(wire.id, self->peers[wire.source].expected);
    arrival->source = (int)wire.source;
    arrival->handler = wire.handler;
    arrival->header_length = wire.header_length;
    arrival->bulk_count = wire.bulk_count;
    arrival->header = bytes + taken;
    *places = NULL;
    rest = length - taken - wire.header_length;
    bytes += taken + wire.header_length;
    if (wire.direct) {
        used = ucx_direct_parse(self, bytes, rest, arrival, *id, NULL);
        if (used == 0 || wire.bulk_count == 0)
            return 0;
        *places = bytes;
    }
    arrival->data = bytes + used;
    arrival->data_length = rest - used;
    arrival->bulk = NULL;
    return 1;
}

/* Delivers what is complete and next in order from `source`. */
static void deliver_partials(ucx_conduit_t *self, uint32_t source)
{
    ucx_peer_t *peer = &self->peers[source];

    while (peer->partials > 0) {
        partial_t **at = partial_find(self, source, peer->expected);
        partial_t *partial = *at;
        gas_arrival_t arrival;
        const char *places;
        uint64_t id;

        if (partial == NULL || partial->head == NULL || partial->announced < partial->count)
            return;
        *at = partial->next;
        peer->partials--;
        peer->expected++;
        parse_head(self, partial->head, partial->head_length, &arrival, &id, &places);
        arrival.bulk = partial->bulk;
        self->params.deliver(self->params.deliver_arg, &arrival);
        partial_free(partial);
    }
}

/* A message that is next, with a few buffers that can be read at once. */
static void deliver_direct(ucx_conduit_t *self, gas_arrival_t *arrival, uint64_t id,
                           const char *places)
{
    gas_bulk_t bulk[DIRECT_FEW];
    size_t length = (size_t)((const char *)arrival->data - places);

    if (ucx_direct_parse(self, places, length, arrival, id, bulk) == 0)
        return;
    arrival->bulk = bulk;
    self->peers[arrival->source].expected++;
    self->params.deliver(self->params.deliver_arg, arrival);
    deliver_partials(self, (uint32_t)arrival->source);
}

static ucs_status_t head_arrived(void *arg, const void *header, size_t header_length, void *data,
                                 size_t length, const ucp_am_recv_param_t *param)
{
    ucx_conduit_t *self = arg;
    gas_arrival_t arrival;
    const char *places;
    partial_t *partial;
    ucx_peer_t *peer;
    uint64_t id;

    (void)header;
    (void)header_length;
    (void)param;
    if (self->closing || !parse_head(self, data, length, &arrival, &id, &places))
        return UCS_OK; /* too late or not ours: dropped */
    peer = &self->peers[arrival.source];
    if (arrival.bulk_count == 0 && id == peer->expected) {
        peer->expected++;
        self->params.deliver(self->params.deliver_arg, &arrival);
        deliver_partials(self, (uint32_t)arrival.source);
        return UCS_OK;
    }
    if (places != NULL && id == peer->expected && arrival.bulk_count <= DIRECT_FEW) {
        deliver_direct(self, &arrival, id, places);
        return UCS_OK;
    }
    partial = partial_get(self, (uint32_t)arrival.source, id, arrival.bulk_count);
    if (partial == NULL || partial->head != NULL)
        return UCS_OK;
    partial->head = malloc(length);
    if (partial->head == NULL)
        return UCS_OK;
    memcpy(partial->head, data, length);
    partial->head_length = length;
    if (places != NULL && partial->announced == 0 &&
        ucx_direct_parse(self, places, (size_t)((const char *)arrival.data - places), &arrival, id,
                         partial->bulk) > 0)
        partial->announced = partial->count;
    deliver_partials(self, partial->source);
    return UCS_OK;
}

void ucx_near_arrived(void *arg, int source, unsigned kind, char *bytes, size_t length)
{
    (void)source;
    if (kind == AM_HEAD)
        head_arrived(arg, NULL, 0, bytes, length, NULL);
    else if (kind == AM_OVER)
        ucx_over_arrived(arg, NULL, 0, bytes, length, NULL);
    else if (kind == AM_WANT)
        ucx_want_arrived(arg, NULL, 0, bytes, length, NULL);
}

static ucs_status_t bulk_arrived(void *arg, const void *header, size_t header_length, void *data,
                                 size_t length, const ucp_am_recv_param_t *param)
{
    ucx_conduit_t *self = arg;
    partial_t *partial;
    wire_bulk_t wire;
    int declined;

    (void)param;
    if (self->closing || header_length != sizeof(wire))
        return UCS_OK;
    memcpy(&wire, header, sizeof(wire));
    if (wire.source >= (uint32_t)self->params.boot->size || wire.count > GAS_AM_BULK_MAX ||
        wire.index >= wire.count)
        return UCS_OK;
    if (ucx_wanted_arrived(self, &wire, data, length))
        return UCS_INPROGRESS;
    partial = partial_get(self, wire.source, wire.id, wire.count);
    if (partial == NULL || partial->bulk[wire.index].handle != NULL)
        return UCS_OK;
    partial->bulk[wire.index].length = length;
    partial->bulk[wire.index].handle = data;
    partial->bulk[wire.index].source = (int)wire.source;
    partial->announced++;
    self->arriving = data;
    deliver_partials(self, wire.source);
    declined = self->arriving == NULL;
    self->arriving = NULL;
    return declined ? UCS_OK : UCS_INPROGRESS; /* kept until bulk_receive or bulk_reject */
}

/* ---- landing ---- */

static void bulk_landed(void *request, ucs_status_t ucs, size_t length, void *user_data)
{
    bulk_landing_t *landing = user_data;

    (void)length;
    if (!landing->conduit->closing && !landing->super.orphan)
        landing->done(landing->arg,
                      ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "a buffer could not be received"));
    ucx_outgoing_over(landing->conduit, &landing->super);
    ucp_request_free(request);
}

static void landing_give_up(ucx_outgoing_t *outgoing)
{
    bulk_landing_t *landing = (bulk_landing_t *)outgoing;

    landing->done(landing->arg, GAS_ERR_RANK_FAILED);
}

gas_status_t ucx_bulk_receive(gas_conduit_t *conduit, gas_bulk_t *bulk, void *landing,
                              gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    bulk_landing_t *state;
    ucp_request_param_t param;
    ucs_status_ptr_t request;
    void *handle = bulk->handle;

    if (bulk->place != 0)
        return ucx_direct_receive(bulk, landing, done, arg);
    state = malloc(sizeof(*state));
    if (state == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a buffer");
    state->conduit = self;
    state->done = done;
    state->arg = arg;
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.recv_am = bulk_landed;
    param.user_data = state;
    bulk->handle = NULL;
    self->restless = true;
    /* First: what this rank sent to itself may be over before UCX returns. */
    ucx_outgoing_add(self, &state->super, bulk->source, landing_give_up);
    request = ucp_am_recv_data_nbx(self->worker, handle, landing, bulk->length, &param);
    if (UCS_PTR_IS_PTR(request))
        return GAS_OK;
    ucx_outgoing_over(self, &state->super);
    if (UCS_PTR_IS_ERR(request))
        return ucx_error(UCS_PTR_STATUS(request), "cannot receive a buffer");
    done(arg, GAS_OK);
    return GAS_OK;
}

void ucx_bulk_reject(gas_conduit_t *conduit, gas_bulk_t *bulk)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    if (bulk->handle != NULL && bulk->place != 0) {
        ucx_direct_reject(bulk);
    } else if (bulk->handle != NULL) {
        self->restless = true;
        if (bulk->handle == self->arriving)
            self->arriving = NULL;                  /* UCX declines it when its callback returns */
        else if (!self->peers[bulk->source].failed) /* releasing it answers its sender */
            ucp_am_data_release(self->worker, bulk->handle);
    }
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

    if (status == GAS_OK)
        status = set_handler(self, AM_BULK, UCP_AM_FLAG_WHOLE_MSG | UCP_AM_FLAG_PERSISTENT_DATA,
                             bulk_arrived);
    if (status == GAS_OK)
        status = set_handler(self, AM_OVER, UCP_AM_FLAG_WHOLE_MSG, ucx_over_arrived);
    if (status == GAS_OK)
        status = set_handler(self, AM_WANT, UCP_AM_FLAG_WHOLE_MSG, ucx_want_arrived);
    return status;
}

/* Frees the partial messages of `source`, of everybody if it is negative. */
static void drop_partials(ucx_conduit_t *self, int source)
{
    for (unsigned i = 0; i < PARTIAL_BUCKETS; i++) {
        partial_t **at = &self->partials[i];

        while (*at != NULL) {
            partial_t *partial = *at;

            if (source >= 0 && partial->source != (uint32_t)source) {
                at = &partial->next;
                continue;
            }
            *at = partial->next;
            self->peers[partial->source].partials--;
            for (uint32_t k = 0; k < partial->count; k++)
                ucx_bulk_reject(&self->super, &partial->bulk[k]);
            partial_free(partial);
        }
    }
}

void ucx_am_peer_failed(ucx_conduit_t *self, int rank)
{
    drop_partials(self, rank);
}

void ucx_am_fini(ucx_conduit_t *self)
{
    drop_partials(self, -1);
}
