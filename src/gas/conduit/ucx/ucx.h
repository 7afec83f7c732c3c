/*
 * The UCX conduit, for the files that share it. UCX >= 1.13 and nothing newer.
 *
 * Design notes. A message without bulk buffers is one eager UCX active message (AM_HEAD). Each bulk
 * buffer is a UCX active message of its own (AM_BULK), sent by rendezvous, so it stays contiguous
 * on both sides: that is the path on which UCX moves it in one copy (CMA on one host, RDMA across).
 * The head counts the buffers; `partial` messages wait, by (source, id), until the head and every
 * announcement are there, and only then is the message delivered, with all of its buffers announced
 * at once.
 *
 * Ids count the messages of one rank to one other, from 0, and the receiver delivers in their
 * order: a message that is complete too early waits as a partial one. UCX promises no order, as
 * fragments of long messages and rendezvous announcements may take different lanes.
 *
 * The worker is in SERIALIZED mode: the runtime's conduit lock guards everything in here. Once
 * `closing` is set, UCX may still call back from within destroy, but nothing is passed on.
 */
#ifndef GAS_CONDUIT_UCX_UCX_H
#define GAS_CONDUIT_UCX_UCX_H

#include "../conduit.h"

#include <stdbool.h>
#include <ucp/api/ucp.h>

/* An AM_HEAD is a wire_head_t (ucx_wire.h), then header and data, without padding. */
enum { AM_HEAD = 0, AM_BULK = 1 };

/* The UCX header of an AM_BULK. */
typedef struct wire_bulk {
    uint32_t source;
    uint32_t index;
    uint32_t count; /* of the message's buffers */
    uint32_t reserved;
    uint64_t id;
} wire_bulk_t;

typedef struct partial partial_t;

/* What is on its way out, in one list per conduit, so that what UCX never finishes is freed. */
typedef struct ucx_outgoing ucx_outgoing_t;
struct ucx_outgoing {
    ucx_outgoing_t *next, *prev;
};

/* What there is to know about one other rank. */
typedef struct ucx_peer {
    ucp_ep_h endpoint; /* NULL until the first message to it */
    uint64_t sent;     /* id of the next message to it */
    uint64_t expected; /* id of the next message from it to deliver */
    size_t partials;   /* messages from it that are not delivered */
    ucp_rkey_h rkey;   /* of its segment; NULL until it is opened */
    uint64_t base;     /* where it has its segment */
} ucx_peer_t;

#define PARTIAL_BUCKETS 256u

typedef struct ucx_conduit {
    gas_conduit_t super;
    gas_conduit_params_t params;
    ucp_context_h context;
    ucp_worker_h worker;
    int event_fd;
    ucx_peer_t *peers;                    /* by rank */
    int closing;                          /* no callback is passed on any more */
    void *arriving;                       /* the buffer whose callback from UCX is running */
    ucx_outgoing_t *outgoing;             /* sends that are not over */
    void *spare;                          /* memory for the next small message, or NULL */
    size_t backlog;                       /* eager sends that UCX keeps */
    size_t outstanding;                   /* every send that is not over */
    partial_t *partials[PARTIAL_BUCKETS]; /* messages that are not delivered */
    int rdma;                             /* put and get are worth using, or asked for; constant */
    ucp_mem_h memory;                     /* of this rank's segment; NULL: there is none */
    void *base;                           /* of it */
    size_t size;                          /* of it */
} ucx_conduit_t;

/* `what` failed with `ucs`: remembers the text and returns the runtime's status. */
gas_status_t ucx_error(ucs_status_t ucs, const char *what);

/* The endpoint to `rank`, made now if this is the first message. */
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

/* A send or a transfer is on its way, or over and freed. */
void ucx_outgoing_add(ucx_conduit_t *self, ucx_outgoing_t *outgoing);
void ucx_outgoing_over(ucx_conduit_t *self, ucx_outgoing_t *outgoing);

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
