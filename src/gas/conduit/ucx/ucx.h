/*
 * The UCX conduit, for the files that share it. UCX >= 1.13 and nothing newer.
 *
 * Design notes. Ranks of one host send their messages through memory that they share (../near),
 * which is UCX's fast way as well; but there all write into one queue of the receiver, and one that
 * is killed while it does leaves a hole there, behind which nothing arrives from anybody. UCX is
 * for ranks of other hosts, for those whose memory cannot be shared, and for what a rank sends to
 * itself.
 *
 * A message without bulk buffers is one eager UCX active message (AM_HEAD). Bulk
 * buffers for a rank of the same host are read by it from where they are (ucx_direct.c). Else each
 * is a UCX active message of its own (AM_BULK), sent by rendezvous, so it stays contiguous
 * on both sides: that is the path on which UCX moves it in one copy (CMA on one host, RDMA across).
 * The head counts the buffers; `partial` messages wait, by (source, id), until the head and every
 * announcement are there, and only then is the message delivered, with all of its buffers announced
 * at once.
 *
 * Ids count the messages of one rank to one other, from 0, and the receiver delivers in their
 * order: a message that is complete too early waits as a partial one. UCX promises no order, as
 * fragments of long messages and rendezvous announcements may take different lanes.
 *
 * A peer's death. Endpoints are in UCX's error mode NONE, as with shared memory mode PEER does
 * without CMA; but they have an error handler, without which a CMA read from a process that is gone
 * ends this one. UCX hears of a death only by such a read; the runtime hears of it from the
 * launcher. What was sent into the queue of a peer that is gone UCX keeps for ever, and such an
 * endpoint cannot be closed in mode NONE: so operations are orphaned. While UCX keeps a message
 * back for want of room in a dead peer's queue, it cannot be armed either, and waiting is by
 * looking in.
 *
 * The worker is in SERIALIZED mode: the runtime's conduit lock guards everything in here. Once
 * `closing` is set, UCX may still call back from within destroy, but nothing is passed on.
 */
#ifndef GAS_CONDUIT_UCX_UCX_H
#define GAS_CONDUIT_UCX_UCX_H

#include "../conduit.h"
#include "../near/near.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <ucp/api/ucp.h>

/* An AM_HEAD is a wire_head_t (ucx_wire.h), then the header; if `direct`, a wire_direct_t and for
 * each bulk buffer a wire_place_t; then the data. All without padding. */
enum { AM_HEAD = 0, AM_BULK = 1, AM_OVER = 2, AM_WANT = 3 };

/* See ucx_direct.c. */
typedef struct wire_direct {
    int32_t pid;
    uint32_t places;   /* how far behind the proof its table of places is (ucx_read.c) */
    uint64_t proof_at; /* an address in that process, at which is */
    uint64_t proof;
} wire_direct_t;

typedef struct wire_place {
    uint64_t at;
    uint64_t length;
} wire_place_t;

/* What is in its place once the sender has made copies of the buffers. */
#define UCX_PROOF_MOVED(proof) ((proof) ^ 1)

/* An AM_OVER (all direct buffers of a message have been read) or AM_WANT (send one of them, since
 * it cannot be read). */
typedef struct wire_answer {
    uint32_t source;
    uint32_t index;
    uint32_t cannot_read; /* offer me none any more */
    uint32_t reserved;
    uint64_t id;
} wire_answer_t;

/* The UCX header of an AM_BULK. */
typedef struct wire_bulk {
    uint32_t source;
    uint32_t index;
    uint32_t count; /* of the message's buffers */
    uint32_t reserved;
    uint64_t id;
} wire_bulk_t;

typedef struct partial partial_t;
typedef struct ucx_offer ucx_offer_t;
typedef struct ucx_direct ucx_direct_t;
typedef struct ucx_fetch ucx_fetch_t;

/*
 * What has been given to UCX, in one list per conduit, so that what UCX never finishes is freed.
 * When the peer fails, an operation is over for the layer above (`give_up`), but UCX may still know
 * of it: it becomes an *orphan*, which is only there to be freed.
 */
typedef struct ucx_outgoing ucx_outgoing_t;
struct ucx_outgoing {
    ucx_outgoing_t *next, *prev;
    int rank; /* the peer; -1: none */
    bool orphan;
    void (*give_up)(ucx_outgoing_t *outgoing); /* tells the layer above, and counts it as over */
};

/* Buffers that are being received, in their order. */
typedef struct ucx_fetches {
    ucx_fetch_t *first, **end;
} ucx_fetches_t;

/* Whether this rank can read a peer's memory; what has turned out does not change. */
enum { UCX_MEMORY_UNKNOWN, UCX_MEMORY_OPEN, UCX_MEMORY_CLOSED };

/* What there is to know about one other rank. */
typedef struct ucx_peer {
    near_link_t *link;      /* for messages, if it is on this host; NULL: by UCX */
    bool link_tried;        /* `link` is what it is */
    ucp_ep_h endpoint;      /* NULL until UCX is first needed for it */
    uint64_t sent;          /* id of the next message to it */
    uint64_t expected;      /* id of the next message from it to deliver */
    size_t partials;        /* messages from it that are not delivered */
    ucp_rkey_h rkey;        /* of its segment; NULL until it is opened */
    uint64_t base;          /* where it has its segment */
    bool cannot_read;       /* it said that it cannot read this rank's memory */
    atomic_int memory_seen; /* UCX_MEMORY_...; any thread */
    bool failed;            /* it is gone, or UCX cannot reach it any more */
} ucx_peer_t;

#define PARTIAL_BUCKETS 256u

typedef struct ucx_conduit {
    gas_conduit_t super;
    gas_conduit_params_t params;
    ucp_context_h context;
    ucp_worker_h worker;
    int event_fd;
    near_t *near;                         /* NULL: nobody is reached in that way */
    ucx_peer_t *peers;                    /* by rank */
    int closing;                          /* no callback is passed on any more */
    bool lossy;                           /* a peer has failed */
    void *arriving;                       /* the buffer whose callback from UCX is running */
    ucx_outgoing_t *outgoing;             /* what is not over for UCX */
    void *spare;                          /* memory for the next small message, or NULL */
    size_t backlog;                       /* eager sends that UCX keeps */
    bool restless;                        /* see conduit.h */
    size_t outstanding;                   /* what is not over for the layer above */
    partial_t *partials[PARTIAL_BUCKETS]; /* messages that are not delivered */
    bool direct;                          /* offer buffers to ranks of this host; constant */
    uint64_t proof;                       /* random; constant */
    ucx_offer_t *offers[PARTIAL_BUCKETS]; /* direct buffers that are not read */
    atomic_size_t unsettled;              /* offers that are changeable; read by any thread */
    ucx_fetches_t reads;                  /* direct buffers that polls read, a piece each */
    ucx_fetches_t wanted;                 /* those that were asked for, not announced */
    size_t rendezvous;                    /* how many buffers were sent so: for tests */
    int rdma;                             /* put and get are worth using, or asked for; constant */
    ucp_mem_h memory;                     /* of this rank's segment; NULL: there is none */
    void *base;                           /* of it */
    size_t size;                          /* of it */
} ucx_conduit_t;

/* `what` failed with `ucs`: remembers the text and returns the runtime's status. */
gas_status_t ucx_error(ucs_status_t ucs, const char *what);

/* Makes the way to `rank` through shared memory, once; NULL: there is none. */
near_link_t *ucx_make_link(ucx_conduit_t *self, int rank);

/* The same; most often it has been made. */
static inline near_link_t *ucx_link(ucx_conduit_t *self, int rank)
{
    const ucx_peer_t *peer = &self->peers[rank];

    return peer->link_tried ? peer->link : ucx_make_link(self, rank);
}

/* UCX's endpoint to `rank`, made now if it is the first time. */
gas_status_t ucx_endpoint(ucx_conduit_t *self, int rank, ucp_ep_h *endpoint);

/* ucx_send.c and ucx_am.c: the active-message operations of the table, and what they need from
 * create and destroy. */
gas_status_t ucx_am_init(ucx_conduit_t *self);
void ucx_am_fini(ucx_conduit_t *self);   /* before the worker is destroyed */
void ucx_send_fini(ucx_conduit_t *self); /* after it */
gas_status_t ucx_am_send(gas_conduit_t *conduit, int destination, const gas_am_t *am,
                         gas_done_fn done, void *arg);
gas_status_t ucx_bulk_receive(gas_conduit_t *conduit, gas_bulk_t *bulk, void *landing,
                              gas_done_fn done, void *arg);
void ucx_bulk_reject(gas_conduit_t *conduit, gas_bulk_t *bulk);
void ucx_peer_failed(gas_conduit_t *conduit, int rank);

/* A message has come through shared memory. */
void ucx_near_arrived(void *arg, int source, unsigned kind, char *bytes, size_t length);

/* Sends a message of the conduit's own; `bytes` are copied. */
gas_status_t ucx_send_bytes(ucx_conduit_t *self, int rank, unsigned id, const void *bytes,
                            size_t length);

/* ucx_offer.c. The sender: may buffers for that rank be offered; an offer, to be made before its
 * head is sent; what the head says about it: its length, and written at `at`, its end. */
void ucx_direct_init(ucx_conduit_t *self);
bool ucx_direct_serves(gas_conduit_t *conduit, int rank);
ucx_offer_t *ucx_offer_create(ucx_conduit_t *self, int destination, uint64_t id, const gas_am_t *am,
                              gas_done_fn done, void *arg);
void ucx_offer_cancel(ucx_offer_t *offer);
size_t ucx_direct_length(const gas_am_t *am);
char *ucx_direct_write(const ucx_offer_t *offer, const gas_am_t *am, char *at);
size_t ucx_bulk_unsettled(gas_conduit_t *conduit);
gas_status_t ucx_bulk_settle(gas_conduit_t *conduit);

/* Copies buffers into one piece of the pool's memory, of *length, and points them there. NULL
 * without memory. */
void *ucx_bulk_duplicate(gas_iov_t *bulk, uint32_t count, size_t *length);

/* ucx_direct.c. The receiver: what a head says about an offer, how many bytes of it, 0 if that is
 * malformed. The handles are made if `bulk` is not NULL. */
size_t ucx_direct_parse(ucx_conduit_t *self, const char *bytes, size_t length,
                        const gas_arrival_t *arrival, uint64_t id, gas_bulk_t *bulk);
gas_status_t ucx_bulk_copy(gas_conduit_t *conduit, const gas_bulk_t *bulk, uint32_t count,
                           void *const *landing);
gas_status_t ucx_direct_receive(gas_bulk_t *bulk, void *landing, gas_done_fn done, void *arg);
void ucx_direct_reject(gas_bulk_t *bulk);

/* ucx_fetch.c. Polls: reads a piece of a buffer under way, if there is any. How much was done. */
void ucx_fetch_init(ucx_conduit_t *self);
unsigned ucx_fetch_poll(ucx_conduit_t *self);

/* An AM_BULK has arrived: true if it was asked for, and is taken care of. */
bool ucx_wanted_arrived(ucx_conduit_t *self, const wire_bulk_t *wire, void *data, size_t length);

ucs_status_t ucx_over_arrived(void *arg, const void *header, size_t header_length, void *data,
                              size_t length, const ucp_am_recv_param_t *param);
ucs_status_t ucx_want_arrived(void *arg, const void *header, size_t header_length, void *data,
                              size_t length, const ucp_am_recv_param_t *param);

/* A send, a landing or a transfer is on its way, or over and freed. */
void ucx_outgoing_add(ucx_conduit_t *self, ucx_outgoing_t *outgoing, int rank,
                      void (*give_up)(ucx_outgoing_t *outgoing));
void ucx_outgoing_over(ucx_conduit_t *self, ucx_outgoing_t *outgoing);

/* Drops what has arrived from a rank in part. */
void ucx_am_peer_failed(ucx_conduit_t *self, int rank);

/* ucx_segment.c and ucx_rma.c: segments and one-sided operations. */
gas_status_t ucx_segment_create(gas_conduit_t *conduit, size_t size, void **base, void **key,
                                size_t *key_length);
gas_status_t ucx_segment_open(gas_conduit_t *conduit, int rank, const void *key, size_t key_length,
                              gas_remote_t *remote);
void ucx_segment_close(ucx_conduit_t *self); /* peers' segments; before the worker is destroyed */
void ucx_segment_fini(ucx_conduit_t *self);  /* this rank's; after it */
gas_status_t ucx_put(gas_conduit_t *conduit, int rank, size_t offset, const void *source,
                     size_t length, gas_done_fn done, void *arg);
gas_status_t ucx_get(gas_conduit_t *conduit, int rank, size_t offset, void *landing, size_t length,
                     gas_done_fn done, void *arg);
gas_status_t ucx_flush(gas_conduit_t *conduit, gas_done_fn done, void *arg);

/* `what` failed, most likely since /dev/shm is full: says so. `needed`: bytes, in it. */
gas_status_t ucx_shm_error(gas_status_t status, const char *what, size_t needed);

/* True if /dev/shm has room for `size` bytes more (or is not there at all). */
bool ucx_shm_has(size_t size);

#endif
