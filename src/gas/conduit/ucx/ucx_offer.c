/*
 * The UCX conduit: bulk buffers that ranks of this host may read where they are, the sender's side.
 * How it works is said in ucx_direct.c, which is the receiver's.
 */
#include "ucx.h"

#include "../../pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

/* A message with direct buffers on its way out. Guarded by the conduit lock. */
struct ucx_offer {
    ucx_outgoing_t super;
    ucx_conduit_t *self;
    ucx_offer_t *next; /* in its bucket */
    int destination;
    uint64_t id;
    uint32_t count;
    bool over;               /* AM_OVER has come */
    bool changeable;         /* and not copied */
    _Atomic(uint64_t) proof; /* this and `bulk` the receiver reads: see ucx_read.c */
    void *copy;              /* of the buffers, one after the other; NULL: there is none */
    size_t copy_length;
    uint32_t left; /* 1 until then, and one for each buffer that is going by rendezvous */
    gas_status_t status;
    gas_done_fn done;
    void *arg;
    gas_iov_t bulk[];
};

bool ucx_direct_serves(gas_conduit_t *conduit, int rank)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    return self->direct && !self->peers[rank].cannot_read &&
           gas_boot_shares_host(self->params.boot, rank);
}

static ucx_offer_t **offer_find(ucx_conduit_t *self, uint32_t destination, uint64_t id)
{
    ucx_offer_t **at = &self->offers[(destination * 31u + id) % PARTIAL_BUCKETS];

    while (*at != NULL && ((uint32_t)(*at)->destination != destination || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

static void offer_give_up(ucx_outgoing_t *outgoing);

ucx_offer_t *ucx_offer_create(ucx_conduit_t *self, int destination, uint64_t id, const gas_am_t *am,
                              gas_done_fn done, void *arg)
{
    ucx_offer_t *offer = malloc(sizeof(*offer) + am->bulk_count * sizeof(offer->bulk[0]));
    ucx_offer_t **at;

    if (offer == NULL)
        return NULL;
    offer->self = self;
    offer->destination = destination;
    offer->id = id;
    offer->count = am->bulk_count;
    offer->over = false;
    offer->changeable = am->changeable;
    atomic_init(&offer->proof, self->proof);
    offer->copy = NULL;
    offer->copy_length = 0;
    offer->left = 1;
    offer->status = GAS_OK;
    offer->done = done;
    offer->arg = arg;
    memcpy(offer->bulk, am->bulk, am->bulk_count * sizeof(offer->bulk[0]));
    at = offer_find(self, (uint32_t)destination, id);
    offer->next = *at;
    *at = offer;
    ucx_outgoing_add(self, &offer->super, destination, offer_give_up);
    if (offer->changeable)
        atomic_fetch_add(&self->unsettled, 1);
    return offer;
}

static void settled(ucx_offer_t *offer)
{
    if (offer->changeable)
        atomic_fetch_sub(&offer->self->unsettled, 1);
    offer->changeable = false;
}

static void offer_unlink(ucx_offer_t *offer)
{
    ucx_offer_t **at = offer_find(offer->self, (uint32_t)offer->destination, offer->id);

    if (*at == offer)
        *at = offer->next;
    settled(offer);
    gas_pool_give(offer->copy, offer->copy_length);
}

void ucx_offer_cancel(ucx_offer_t *offer)
{
    offer_unlink(offer);
    ucx_outgoing_over(offer->self, &offer->super);
}

void *ucx_bulk_duplicate(gas_iov_t *bulk, uint32_t count, size_t *length)
{
    size_t total = 0;
    char *copy, *at;

    for (uint32_t i = 0; i < count; i++)
        total += bulk[i].length;
    copy = at = gas_pool_take(total, GAS_POOL_ANYWHERE);
    if (copy == NULL) {
        gas_error(GAS_ERR_NO_MEMORY, "no memory for a copy of %zu bytes that are being sent",
                  total);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        bulk[i].base = memcpy(at, bulk[i].base, bulk[i].length);
        at += bulk[i].length;
    }
    *length = total;
    return copy;
}

/* From now on the receiver gets a copy, of what the buffers hold now. */
static gas_status_t offer_settle(ucx_offer_t *offer)
{
    offer->copy = ucx_bulk_duplicate(offer->bulk, offer->count, &offer->copy_length);
    if (offer->copy == NULL)
        return GAS_ERR_NO_MEMORY;
    atomic_store(&offer->proof, UCX_PROOF_MOVED(offer->self->proof));
    settled(offer);
    return GAS_OK;
}

size_t ucx_bulk_unsettled(gas_conduit_t *conduit)
{
    return atomic_load(&((ucx_conduit_t *)conduit)->unsettled);
}

gas_status_t ucx_bulk_settle(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    for (uint32_t i = 0; i < PARTIAL_BUCKETS && atomic_load(&self->unsettled) > 0; i++)
        for (ucx_offer_t *offer = self->offers[i]; offer != NULL; offer = offer->next)
            if (offer->changeable && !offer->over && offer_settle(offer) != GAS_OK)
                return GAS_ERR_NO_MEMORY;
    return GAS_OK;
}

/* Its destination has failed. UCX may still know of buffers that were asked for. */
static void offer_give_up(ucx_outgoing_t *outgoing)
{
    ucx_offer_t *offer = (ucx_offer_t *)outgoing;

    offer_unlink(offer);
    offer->done(offer->arg, GAS_ERR_RANK_FAILED);
    if (!offer->over && --offer->left == 0)
        ucx_outgoing_over(offer->self, &offer->super);
}

static void offer_part_over(ucx_offer_t *offer)
{
    if (--offer->left > 0)
        return;
    if (!offer->super.orphan)
        offer_unlink(offer);
    if (!offer->self->closing && !offer->super.orphan)
        offer->done(offer->arg, offer->status);
    ucx_outgoing_over(offer->self, &offer->super);
}

size_t ucx_direct_length(const gas_am_t *am)
{
    return sizeof(wire_direct_t) + am->bulk_count * sizeof(wire_place_t);
}

char *ucx_direct_write(const ucx_offer_t *offer, const gas_am_t *am, char *at)
{
    wire_direct_t wire = {.pid = getpid(),
                          .places = offsetof(ucx_offer_t, bulk) - offsetof(ucx_offer_t, proof),
                          .proof_at = (uint64_t)(uintptr_t)&offer->proof,
                          .proof = offer->self->proof};

    at = (char *)memcpy(at, &wire, sizeof(wire)) + sizeof(wire);
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        wire_place_t place = {(uint64_t)(uintptr_t)am->bulk[i].base, am->bulk[i].length};

        at = (char *)memcpy(at, &place, sizeof(place)) + sizeof(place);
    }
    return at;
}

/* A buffer that was asked for, on its way by rendezvous. */
typedef struct part_send {
    ucx_offer_t *offer;
    wire_bulk_t wire; /* UCX reads it until the buffer is sent */
} part_send_t;

static void part_sent(void *request, ucs_status_t ucs, void *user_data)
{
    part_send_t *part = user_data;

    if (ucs != UCS_OK)
        part->offer->status = ucx_error(ucs, "a buffer could not be sent");
    if (!part->offer->self->closing)
        offer_part_over(part->offer);
    free(part);
    if (request != NULL)
        ucp_request_free(request);
}

static void send_part(ucx_conduit_t *self, ucx_offer_t *offer, uint32_t index)
{
    part_send_t *part = malloc(sizeof(*part));
    ucp_request_param_t param;
    ucs_status_ptr_t request;
    ucp_ep_h endpoint;

    if (part == NULL || ucx_endpoint(self, offer->destination, &endpoint) != GAS_OK) {
        free(part); /* the receiver waits until it or this rank ends */
        return;
    }
    part->offer = offer;
    part->wire = (wire_bulk_t){
        .source = (uint32_t)self->params.boot->rank,
        .index = index,
        .count = offer->count,
        .id = offer->id,
    };
    offer->left++;
    self->restless = true;
    self->rendezvous++;
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.flags = UCP_AM_SEND_FLAG_RNDV;
    param.cb.send = part_sent;
    param.user_data = part;
    request = ucp_am_send_nbx(endpoint, AM_BULK, &part->wire, sizeof(part->wire),
                              offer->bulk[index].base, offer->bulk[index].length, &param);
    if (!UCS_PTR_IS_PTR(request))
        part_sent(NULL, UCS_PTR_STATUS(request), part);
}

/* The offer that an AM_OVER or AM_WANT is about; NULL: nonsense, or too late. */
static ucx_offer_t *offer_of(ucx_conduit_t *self, const void *data, size_t length,
                             wire_answer_t *wire)
{
    if (self->closing || length != sizeof(*wire))
        return NULL;
    memcpy(wire, data, sizeof(*wire));
    if (wire->source >= (uint32_t)self->params.boot->size)
        return NULL;
    return *offer_find(self, wire->source, wire->id);
}

ucs_status_t ucx_over_arrived(void *arg, const void *header, size_t header_length, void *data,
                              size_t length, const ucp_am_recv_param_t *param)
{
    wire_answer_t wire;
    ucx_offer_t *offer = offer_of(arg, data, length, &wire);

    (void)header;
    (void)header_length;
    (void)param;
    if (offer == NULL || offer->over)
        return UCS_OK;
    offer->over = true;
    offer_part_over(offer);
    return UCS_OK;
}

ucs_status_t ucx_want_arrived(void *arg, const void *header, size_t header_length, void *data,
                              size_t length, const ucp_am_recv_param_t *param)
{
    ucx_conduit_t *self = arg;
    wire_answer_t wire;
    ucx_offer_t *offer = offer_of(self, data, length, &wire);

    (void)header;
    (void)header_length;
    (void)param;
    if (offer == NULL || wire.index >= offer->count)
        return UCS_OK;
    if (wire.cannot_read)
        self->peers[wire.source].cannot_read = true;
    /* It cannot be copied any more while it goes by rendezvous. Without memory: as it is then. */
    if (offer->changeable)
        offer_settle(offer);
    send_part(self, offer, wire.index);
    return UCS_OK;
}

void ucx_direct_init(ucx_conduit_t *self)
{
    self->direct = strcmp(self->params.config->direct, "never") != 0;
    if (!self->direct)
        return;
    if (getrandom(&self->proof, sizeof(self->proof), 0) != sizeof(self->proof))
        self->direct = false;
#ifdef PR_SET_PTRACER
    /* Where Yama restricts who may read whose memory: the launcher and what it started may. */
    prctl(PR_SET_PTRACER, (unsigned long)getppid(), 0, 0, 0);
#endif
}
