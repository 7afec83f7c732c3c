/*
 * Design notes.
 *
 * Keys. What it takes to reach a peer's segment (the conduit's key) is fetched by an active message
 * on the first operation on that segment: a rank that uses the segments of 10 peers exchanges 10
 * keys, however many ranks there are, and the launcher, one process for the whole job, has no part
 * in it. A rank that is asked before it has attached answers when it has, so attaching needs no
 * barrier. Operations that come meanwhile wait in the peer's list.
 *
 * The fast path takes no lock: `reach` is written last, with release, and then changes only to
 * FAILED. A copy that is under way then goes on: the segment stays mapped. Everything but the
 * direct pointer goes on in onesided.c, under the conduit lock.
 */
#include "segment.h"

#include "job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What goes with a key, as the header of its message. */
typedef struct key_wire {
    uint64_t size;
    int32_t status; /* GAS_OK, or why there is none */
    uint32_t reserved;
} key_wire_t;

gas_status_t gas_segment_init(gas_job_t *job)
{
    const char *mode = job->config.one_sided;

    if (strcmp(mode, "auto") == 0)
        job->segment.mode = GAS_REACH_POINTER;
    else if (strcmp(mode, "rdma") == 0)
        job->segment.mode = GAS_REACH_RDMA;
    else if (strcmp(mode, "message") == 0)
        job->segment.mode = GAS_REACH_MESSAGE;
    else
        return gas_error(GAS_ERR_INVALID, "PYGAS_ONE_SIDED is '%s': give auto, rdma or message",
                         mode);
    return GAS_OK;
}

void gas_segment_fini(gas_job_t *job)
{
    gas_ops_fini(job);
    free(job->segment.peers);
    free(job->segment.key);
}

gas_peer_t *gas_segment_peers(gas_job_t *job)
{
    gas_segment_t *segment = &job->segment;

    if (segment->peers == NULL) {
        segment->peers = calloc((size_t)gas_job_size(job), sizeof(segment->peers[0]));
        if (segment->peers == NULL)
            gas_error(GAS_ERR_NO_MEMORY, "no memory for %d peers", gas_job_size(job));
        for (int rank = 0; segment->peers != NULL && rank < gas_job_size(job); rank++)
            if (gas_rank_has_failed(job, rank))
                atomic_store(&segment->peers[rank].reach, GAS_REACH_FAILED);
    }
    return segment->peers;
}

void gas_segment_peer_failed(gas_job_t *job, int rank)
{
    gas_peer_t *peers = job->segment.peers;

    if (peers == NULL)
        return;
    peers[rank].asks = false;
    atomic_store(&peers[rank].reach, GAS_REACH_FAILED);
    gas_op_connected(job, rank, GAS_ERR_RANK_FAILED);
    gas_ops_peer_failed(job, rank);
}

void *gas_segment_base(gas_job_t *job)
{
    return gas_segment_size(job) > 0 ? job->segment.base : NULL;
}

size_t gas_segment_size(gas_job_t *job)
{
    return atomic_load_explicit(&job->segment.size, memory_order_acquire);
}

/* ---- attaching, and the exchange of keys ---- */

static gas_status_t send_key(gas_job_t *job, int rank)
{
    gas_segment_t *segment = &job->segment;
    key_wire_t wire = {.size = gas_segment_size(job)};
    gas_am_t am = {.handler = GAS_HANDLER_KEY,
                   .header = &wire,
                   .header_length = sizeof(wire),
                   .data = segment->key,
                   .data_length = segment->key_length};

    if (wire.size == 0)
        wire.status = GAS_ERR_NO_MEMORY;
    return gas_am_send(job, rank, &am, NULL, NULL);
}

/* Answers those who asked before there was an answer. */
static void answer_askers(gas_job_t *job)
{
    gas_peer_t *peers = job->segment.peers;

    for (int rank = 0; rank < gas_job_size(job); rank++) {
        if (peers[rank].asks && send_key(job, rank) != GAS_OK)
            atomic_fetch_add(&job->dropped, 1);
        peers[rank].asks = false;
    }
}

static gas_status_t attach_locked(gas_job_t *job, size_t size)
{
    gas_segment_t *segment = &job->segment;
    gas_conduit_t *conduit = job->conduit;
    gas_status_t status;
    void *base;

    if (gas_segment_size(job) > 0)
        return gas_error(GAS_ERR_INVALID, "the segment is attached already, with %zu bytes",
                         gas_segment_size(job));
    if (gas_segment_peers(job) == NULL)
        return GAS_ERR_NO_MEMORY;
    status =
        conduit->ops->segment_create(conduit, size, &base, &segment->key, &segment->key_length);
    segment->failed = status != GAS_OK;
    if (status == GAS_OK) {
        gas_peer_t *self = &segment->peers[gas_job_rank(job)];

        segment->base = base;
        atomic_store_explicit(&segment->size, size, memory_order_release);
        if (segment->mode == GAS_REACH_POINTER) {
            self->pointer = base;
            atomic_store_explicit(&self->reach, GAS_REACH_POINTER, memory_order_release);
        }
    }
    answer_askers(job);
    return status;
}

gas_status_t gas_segment_attach(gas_job_t *job, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    gas_status_t status;

    if (size == 0 || size > SIZE_MAX / 2)
        return gas_error(GAS_ERR_INVALID, "a segment of %zu bytes cannot be attached", size);
    gas_job_lock(job);
    status = attach_locked(job, (size + page - 1) / page * page);
    gas_job_unlock(job);
    return status;
}

gas_status_t gas_segment_connect(gas_job_t *job, int rank)
{
    gas_peer_t *peer = &job->segment.peers[rank];
    gas_am_t am = {.handler = GAS_HANDLER_KEY_ASK};
    gas_status_t status;

    if (peer->asked)
        return GAS_OK;
    peer->asked = true; /* first: a rank may answer itself before the send returns */
    status = gas_am_send(job, rank, &am, NULL, NULL);
    if (status != GAS_OK)
        peer->asked = false;
    return status;
}

void gas_segment_asked(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    int rank = msg->source;

    (void)arg;
    gas_msg_free(job, msg);
    if (gas_segment_peers(job) == NULL)
        atomic_fetch_add(&job->dropped, 1);
    else if (gas_segment_size(job) == 0 && !job->segment.failed)
        job->segment.peers[rank].asks = true;
    else if (send_key(job, rank) != GAS_OK)
        atomic_fetch_add(&job->dropped, 1);
}

static gas_status_t open_segment(gas_job_t *job, const gas_msg_t *msg, gas_peer_t *peer)
{
    gas_reach_t mode = (gas_reach_t)job->segment.mode, reach = GAS_REACH_MESSAGE;
    gas_conduit_t *conduit = job->conduit;
    gas_remote_t remote = {NULL, 0};
    gas_status_t status;

    if (mode != GAS_REACH_MESSAGE) {
        status =
            conduit->ops->segment_open(conduit, msg->source, msg->data, msg->data_length, &remote);
        if (status != GAS_OK)
            return status;
    }
    if (remote.pointer != NULL && mode == GAS_REACH_POINTER)
        reach = GAS_REACH_POINTER;
    else if (remote.rdma)
        reach = GAS_REACH_RDMA;
    peer->pointer = remote.pointer;
    atomic_store_explicit(&peer->reach, reach, memory_order_release);
    return GAS_OK;
}

void gas_segment_keyed(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_peer_t *peer = NULL;
    int rank = msg->source;
    gas_status_t status;
    key_wire_t wire;

    (void)arg;
    if (job->segment.peers != NULL)
        peer = &job->segment.peers[rank];
    if (peer == NULL || !peer->asked || msg->header_length != sizeof(wire) ||
        atomic_load(&peer->reach) != GAS_REACH_UNKNOWN) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    memcpy(&wire, msg->header, sizeof(wire));
    peer->asked = false;
    if (wire.status != GAS_OK) {
        status = gas_error(wire.status < 0 ? (gas_status_t)wire.status : GAS_ERR_PROTOCOL,
                           "rank %d could not attach its segment", rank);
    } else if (wire.size != gas_segment_size(job)) {
        peer->size = wire.size;
        atomic_store(&peer->reach, GAS_REACH_NOT);
        status = GAS_ERR_INVALID;
    } else {
        status = open_segment(job, msg, peer);
    }
    gas_msg_free(job, msg);
    gas_op_connected(job, rank, status);
}

/* ---- operations ---- */

static gas_status_t range_error(gas_job_t *job, int rank, size_t offset, size_t length)
{
    size_t size = gas_segment_size(job);

    if (rank < 0 || rank >= gas_job_size(job))
        return gas_error(GAS_ERR_INVALID, "there is no rank %d in a job of %d", rank,
                         gas_job_size(job));
    if (size == 0)
        return gas_error(GAS_ERR_INVALID,
                         "this rank has no segment: every rank attaches one before it is used");
    return gas_error(GAS_ERR_INVALID,
                     "%zu bytes at offset %zu are not inside the segment of rank %d, which has "
                     "%zu bytes",
                     length, offset, rank, size);
}

/* Checks that the range is one, and finds how to get there. */
static inline gas_status_t reach_range(gas_job_t *job, int rank, size_t offset, size_t length,
                                       char **pointer)
{
    size_t size = gas_segment_size(job);
    gas_peer_t *peer;
    int reach;

    if (rank < 0 || rank >= gas_job_size(job) || size == 0 || offset > size ||
        length > size - offset)
        return range_error(job, rank, offset, length);
    peer = &job->segment.peers[rank];
    reach = atomic_load_explicit(&peer->reach, memory_order_acquire);
    if (reach == GAS_REACH_FAILED)
        return gas_failure_error(job, rank);
    if (reach == GAS_REACH_NOT)
        return gas_error(GAS_ERR_INVALID,
                         "rank %d has attached a segment of %zu bytes, this rank one of %zu: give "
                         "the same size everywhere",
                         rank, peer->size, size);
    *pointer = reach == GAS_REACH_POINTER ? peer->pointer + offset : NULL;
    return GAS_OK;
}

void *gas_segment_pointer(gas_job_t *job, int rank)
{
    char *pointer = NULL;

    if (rank < 0 || rank >= gas_job_size(job) || gas_segment_size(job) == 0)
        return NULL;
    if (reach_range(job, rank, 0, 0, &pointer) != GAS_OK)
        return NULL;
    return pointer;
}

gas_status_t gas_put(gas_job_t *job, int rank, size_t offset, const void *source, size_t length,
                     gas_done_fn done, void *arg)
{
    char *pointer = NULL;
    gas_status_t status = reach_range(job, rank, offset, length, &pointer);

    if (status != GAS_OK)
        return status;
    if (length > 0 && pointer == NULL)
        return gas_op_begin(job, &(gas_op_t){.kind = GAS_OP_PUT,
                                             .rank = rank,
                                             .offset = offset,
                                             .length = length,
                                             .source = source,
                                             .done = done,
                                             .arg = arg});
    if (length > 0)
        memcpy(pointer, source, length);
    done(arg, GAS_OK);
    return GAS_OK;
}

gas_status_t gas_get(gas_job_t *job, int rank, size_t offset, void *landing, size_t length,
                     gas_done_fn done, void *arg)
{
    char *pointer = NULL;
    gas_status_t status = reach_range(job, rank, offset, length, &pointer);

    if (status != GAS_OK)
        return status;
    if (length > 0 && pointer == NULL)
        return gas_op_begin(job, &(gas_op_t){.kind = GAS_OP_GET,
                                             .rank = rank,
                                             .offset = offset,
                                             .length = length,
                                             .landing = landing,
                                             .done = done,
                                             .arg = arg});
    if (length > 0)
        memcpy(landing, pointer, length);
    done(arg, GAS_OK);
    return GAS_OK;
}

gas_status_t gas_atomic(gas_job_t *job, int rank, size_t offset, const gas_atomic_t *atomic,
                        void *result, gas_done_fn done, void *arg)
{
    gas_status_t status = gas_atomic_check(atomic);
    gas_number_t before;
    size_t width;
    char *pointer = NULL;

    if (status != GAS_OK)
        return status;
    width = gas_atomic_width(atomic->type);
    status = reach_range(job, rank, offset, width, &pointer);
    if (status != GAS_OK)
        return status;
    if (offset % width != 0)
        return gas_error(GAS_ERR_INVALID, "offset %zu of an atomic is not a multiple of %zu",
                         offset, width);
    if (pointer == NULL)
        return gas_op_begin(job, &(gas_op_t){.kind = GAS_OP_ATOMIC,
                                             .rank = rank,
                                             .offset = offset,
                                             .length = width,
                                             .landing = result,
                                             .atomic = *atomic,
                                             .done = done,
                                             .arg = arg});
    before = gas_atomic_apply(atomic, pointer);
    if (result != NULL)
        memcpy(result, &before, width);
    done(arg, GAS_OK);
    return GAS_OK;
}

gas_status_t gas_flush(gas_job_t *job, gas_done_fn done, void *arg)
{
    atomic_thread_fence(memory_order_seq_cst); /* for what was stored through pointers */
    return gas_op_begin(job, &(gas_op_t){.kind = GAS_OP_FLUSH, .done = done, .arg = arg});
}
