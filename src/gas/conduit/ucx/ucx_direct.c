/*
 * The UCX conduit: bulk buffers that ranks of one host read directly out of each other's memory.
 *
 * Design notes. The head of a message to a rank of the same host says where each bulk buffer is.
 * The receiver copies them with process_vm_readv(): one system call for many buffers, in the thread
 * that wants them, without the conduit lock, and with nothing announced one by one. When it has
 * read or declined all of them, it says so (AM_OVER), and the sender lets go.
 *
 * Buffers of a message that is `changeable` may have to be copied while the receiver has not read
 * them, or not all of them (bulk_settle). The random number is the offer's own, and is changed when
 * they have been copied: the receiver reads it last, throws away what it has read, and asks for the
 * buffers, which then come from the copies. (The kernel copies the pieces of a call in their
 * order.)
 *
 * UCX moves a buffer by the same system call, but from inside its progress: in pieces, under the
 * conduit lock, by whichever thread happens to poll.
 *
 * Whether the kernel permits it shows when it is tried. Every read also reads a random number of
 * the offer, whose place and value the head names: a process id that means another process here
 * (one of another container, or one used again) is noticed. Where it does not work, the receiver
 * asks for the buffers (AM_WANT), which then come by rendezvous, and says that it cannot read: the
 * sender offers it none any more. It also asks for a large buffer that is to be received inside a
 * handler, so as not to keep the lock for long.
 */
#include "ucx.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define IN_PLACE_MAX ((size_t)1 << 20) /* the most that is read under the conduit lock */
#define BATCH 64                       /* pieces read by one system call */
#define CALL_MAX ((size_t)1 << 30)     /* bytes, likewise; the kernel's limit is 2 GiB */

/* A message with such buffers that has arrived: what the handles of its buffers point at. Constant
 * but for `left`, which is guarded by the conduit lock. */
struct ucx_direct {
    ucx_conduit_t *self;
    uint32_t source;
    uint32_t left; /* buffers neither received nor declined */
    uint64_t id;
    wire_direct_t wire;
};

/* A buffer that was asked for: in the conduit's list until it is announced, then one of what UCX
 * has. Guarded by the conduit lock. */
struct ucx_wanted {
    ucx_outgoing_t super;
    ucx_wanted_t *next;
    ucx_conduit_t *self;
    ucx_direct_t *direct; /* valid until it is over for the layer above */
    uint32_t index;
    size_t length;
    void *landing;
    gas_done_fn done;
    void *arg;
};

size_t ucx_direct_parse(ucx_conduit_t *self, const char *bytes, size_t length,
                        const gas_arrival_t *arrival, uint64_t id, gas_bulk_t *bulk)
{
    size_t used = sizeof(wire_direct_t) + arrival->bulk_count * sizeof(wire_place_t);
    ucx_direct_t *direct;

    if (bulk == NULL || length < used)
        return length < used ? 0 : used;
    direct = malloc(sizeof(*direct));
    if (direct == NULL)
        return 0;
    direct->self = self;
    direct->source = (uint32_t)arrival->source;
    direct->left = arrival->bulk_count;
    direct->id = id;
    memcpy(&direct->wire, bytes, sizeof(direct->wire));
    bytes += sizeof(direct->wire);
    for (uint32_t i = 0; i < arrival->bulk_count; i++) {
        wire_place_t place;

        memcpy(&place, bytes + i * sizeof(place), sizeof(place));
        if (place.at == 0 || place.length == 0) {
            free(direct);
            return 0;
        }
        bulk[i] = (gas_bulk_t){place.length, direct, place.at, i, arrival->source};
    }
    return used;
}

static gas_status_t answer(ucx_conduit_t *self, unsigned id, const ucx_direct_t *direct,
                           uint32_t index)
{
    wire_answer_t wire = {
        .source = (uint32_t)self->params.boot->rank,
        .index = index,
        .cannot_read = self->peers[direct->source].unreadable,
        .id = direct->id,
    };

    return ucx_send_bytes(self, (int)direct->source, id, &wire, sizeof(wire));
}

/* One of its buffers was received or declined. */
static void direct_part_over(ucx_direct_t *direct)
{
    if (--direct->left > 0)
        return;
    /* Without memory: the sender keeps the buffers until it ends. */
    if (!direct->self->peers[direct->source].failed)
        answer(direct->self, AM_OVER, direct, 0);
    free(direct);
}

void ucx_direct_reject(gas_bulk_t *bulk)
{
    ucx_direct_t *direct = bulk->handle;

    bulk->handle = NULL;
    direct_part_over(direct);
}

/* Where a read of many buffers is. */
typedef struct cursor {
    const gas_bulk_t *bulk;
    void *const *landing;
    uint32_t count;
    uint32_t index; /* of the first buffer that is not there */
    size_t offset;  /* how much of it is */
} cursor_t;

/* Lays out the next pieces, local and remote; how many, and *total: their bytes. */
static unsigned lay_out(const cursor_t *cursor, struct iovec *here, struct iovec *there,
                        size_t *total)
{
    size_t offset = cursor->offset, room = CALL_MAX;
    unsigned pieces = 0;

    for (uint32_t i = cursor->index; i < cursor->count && pieces < BATCH && room > 0; i++) {
        size_t length = cursor->bulk[i].length - offset;

        length = length < room ? length : room;
        here[pieces] = (struct iovec){(char *)cursor->landing[i] + offset, length};
        there[pieces] = (struct iovec){(void *)(uintptr_t)(cursor->bulk[i].place + offset), length};
        pieces++;
        room -= length;
        offset = 0;
    }
    *total = CALL_MAX - room;
    return pieces;
}

static void advance(cursor_t *cursor, size_t length)
{
    while (cursor->index < cursor->count) {
        size_t left = cursor->bulk[cursor->index].length - cursor->offset;

        if (length < left) {
            cursor->offset += length;
            return;
        }
        length -= left;
        cursor->index++;
        cursor->offset = 0;
    }
}

/* What the reads have shown: all is there; this process cannot read the sender's memory, or it is
 * not the sender's; the sender has made a copy. */
typedef enum outcome { READ, UNREADABLE, SETTLED } outcome_t;

static outcome_t read_all(const ucx_direct_t *direct, cursor_t *cursor)
{
    struct iovec here[BATCH + 1], there[BATCH + 1];
    uint64_t proof = 0;

    while (cursor->index < cursor->count) {
        size_t total;
        unsigned pieces = lay_out(cursor, here, there, &total);
        ssize_t got;

        proof = 0;
        here[pieces] = (struct iovec){&proof, sizeof(proof)};
        there[pieces] = (struct iovec){(void *)(uintptr_t)direct->wire.proof_at, sizeof(proof)};
        got = process_vm_readv(direct->wire.pid, here, pieces + 1, there, pieces + 1, 0);
        if (got <= 0)
            return UNREADABLE;
        advance(cursor, (size_t)got < total ? (size_t)got : total); /* without the proof */
    }
    if (proof == direct->wire.proof)
        return READ;
    return proof == UCX_PROOF_MOVED(direct->wire.proof) ? SETTLED : UNREADABLE;
}

/* Copies out of the sender's memory. Without the conduit lock, or with it. */
static gas_status_t read_buffers(ucx_conduit_t *self, const gas_bulk_t *bulk, uint32_t count,
                                 void *const *landing)
{
    const ucx_direct_t *direct = bulk[0].handle;
    cursor_t cursor = {bulk, landing, count, 0, 0};
    outcome_t outcome;

    if (atomic_load_explicit(&self->peers[direct->source].unreadable, memory_order_relaxed))
        return GAS_ERR_UNSUPPORTED;
    outcome = read_all(direct, &cursor);
    if (outcome == UNREADABLE)
        atomic_store(&self->peers[direct->source].unreadable, true);
    return outcome == READ ? GAS_OK : GAS_ERR_UNSUPPORTED;
}

gas_status_t ucx_bulk_copy(gas_conduit_t *conduit, const gas_bulk_t *bulk, uint32_t count,
                           void *const *landing)
{
    if (bulk[0].place == 0)
        return GAS_ERR_UNSUPPORTED;
    return read_buffers((ucx_conduit_t *)conduit, bulk, count, landing);
}

gas_status_t ucx_direct_receive(ucx_conduit_t *self, gas_bulk_t *bulk, void *landing,
                                gas_done_fn done, void *arg)
{
    ucx_direct_t *direct = bulk->handle;
    gas_status_t status = GAS_ERR_UNSUPPORTED;
    ucx_wanted_t *wanted;

    if (bulk->length <= IN_PLACE_MAX)
        status = read_buffers(self, bulk, 1, &landing);
    if (status != GAS_ERR_UNSUPPORTED) {
        ucx_direct_reject(bulk); /* it is not needed any more */
        done(arg, status);
        return GAS_OK;
    }
    wanted = malloc(sizeof(*wanted));
    if (wanted == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a buffer");
    *wanted = (ucx_wanted_t){.next = self->wanted,
                             .self = self,
                             .direct = direct,
                             .index = bulk->index,
                             .length = bulk->length,
                             .landing = landing,
                             .done = done,
                             .arg = arg};
    self->wanted = wanted; /* first: what this rank asks of itself comes at once */
    bulk->handle = NULL;
    status = answer(self, AM_WANT, direct, bulk->index);
    if (status != GAS_OK) {
        self->wanted = wanted->next;
        bulk->handle = direct;
        free(wanted);
    }
    return status;
}

/* It is over for the layer above; the caller frees `wanted`. */
static void wanted_over(ucx_wanted_t *wanted, gas_status_t status)
{
    ucx_direct_t *direct = wanted->direct;

    if (direct->self->closing)
        return;
    wanted->done(wanted->arg, status);
    direct_part_over(direct);
}

static void wanted_give_up(ucx_outgoing_t *outgoing)
{
    wanted_over((ucx_wanted_t *)outgoing, GAS_ERR_RANK_FAILED);
}

/* UCX has done with it. */
static void wanted_received(ucx_wanted_t *wanted, ucs_status_t ucs)
{
    ucx_conduit_t *self = wanted->self;

    if (!wanted->super.orphan)
        wanted_over(wanted,
                    ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "a buffer could not be received"));
    ucx_outgoing_over(self, &wanted->super);
}

void ucx_direct_peer_failed(ucx_conduit_t *self, int rank)
{
    ucx_wanted_t **at = &self->wanted;

    while (*at != NULL) {
        ucx_wanted_t *wanted = *at;

        if (wanted->direct->source != (uint32_t)rank) {
            at = &wanted->next;
            continue;
        }
        *at = wanted->next;
        wanted_over(wanted, GAS_ERR_RANK_FAILED);
        free(wanted);
        at = &self->wanted; /* others may have been added */
    }
}

static void wanted_landed(void *request, ucs_status_t ucs, size_t length, void *user_data)
{
    (void)length;
    wanted_received(user_data, ucs);
    ucp_request_free(request);
}

bool ucx_wanted_arrived(ucx_conduit_t *self, const wire_bulk_t *wire, void *data, size_t length)
{
    ucx_wanted_t **at = &self->wanted, *wanted;
    ucp_request_param_t param;
    ucs_status_ptr_t request;

    while (*at != NULL && ((*at)->direct->source != wire->source || (*at)->direct->id != wire->id ||
                           (*at)->index != wire->index))
        at = &(*at)->next;
    wanted = *at;
    if (wanted == NULL)
        return false;
    *at = wanted->next;
    if (wanted->length != length) {
        wanted_over(wanted, ucx_error(UCS_ERR_MESSAGE_TRUNCATED, "a buffer has another length"));
        free(wanted);
        return false;
    }
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.recv_am = wanted_landed;
    param.user_data = wanted;
    /* First: what this rank sent to itself may be over before UCX returns. */
    ucx_outgoing_add(self, &wanted->super, (int)wanted->direct->source, wanted_give_up);
    request = ucp_am_recv_data_nbx(self->worker, data, wanted->landing, length, &param);
    if (!UCS_PTR_IS_PTR(request))
        wanted_received(wanted, UCS_PTR_STATUS(request));
    return true;
}

void ucx_direct_fini(ucx_conduit_t *self)
{
    while (self->wanted != NULL) {
        ucx_wanted_t *wanted = self->wanted;

        self->wanted = wanted->next;
        free(wanted);
    }
}
