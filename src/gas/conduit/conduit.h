/*
 * The conduit: everything the runtime asks of a transport. One backend per transport library, each
 * a table of operations, so that the unit tests can run on a loopback.
 *
 * Locking. The runtime serializes every operation under one lock per conduit, except those
 * that say otherwise (`sleep`, `describe`, `bulk_copy`). Callbacks (`deliver`, `done`) run inside
 * an operation, so with that lock held: they may call am_send, bulk_receive and bulk_reject, never
 * poll, and never block.
 *
 * Memory. What a caller passes to am_send as header and data is copied before it returns. Bulk
 * buffers are sent from where they are and stay the caller's to keep alive and unchanged until
 * `done`; those of a message that says `changeable`, unchanged until `done` or a bulk_settle, which
 * copies those that have not been fetched. A landing buffer stays the caller's likewise.
 *
 * Segments. A transport moves bytes; it does no atomics, so that all atomics on a segment are done
 * by processors of its owner's host and agree with each other (see ../atomic.h).
 */
#ifndef GAS_CONDUIT_CONDUIT_H
#define GAS_CONDUIT_CONDUIT_H

#include "../boot/boot.h"
#include "../config.h"
#include "../status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_conduit gas_conduit_t;

/* The longest header of an active message, in bytes. */
#define GAS_AM_HEADER_MAX 64

/* The most bulk buffers in one message. */
#define GAS_AM_BULK_MAX (1u << 20)

typedef struct gas_iov {
    const void *base;
    size_t length;
} gas_iov_t;

/* An active message to send. */
typedef struct gas_am {
    uint16_t handler;
    uint16_t header_length; /* at most GAS_AM_HEADER_MAX */
    uint32_t bulk_count;    /* at most GAS_AM_BULK_MAX */
    const void *header;
    const void *data; /* copied; meant to be small (inline_max) but of any length */
    size_t data_length;
    const gas_iov_t *bulk; /* moved by rendezvous, each into its own landing buffer */
    bool changeable;       /* the bulk buffers may be changed before `done`, after a bulk_settle */
} gas_am_t;

/* Called exactly once when an operation that returned GAS_OK is over; then its memory is free. */
typedef void (*gas_done_fn)(void *arg, gas_status_t status);

/* A bulk buffer that a peer announced and that waits for a landing buffer. */
typedef struct gas_bulk {
    uint64_t length;
    void *handle;   /* the conduit's own, as are the others */
    uint64_t place; /* where the sender has it, if it can be read from there; else 0 */
    uint32_t index; /* of the message's */
    int source;
} gas_bulk_t;

/* An active message that has arrived. Everything it points at is valid during `deliver` only, but
 * each bulk handle lives until it is given to bulk_receive or bulk_reject. */
typedef struct gas_arrival {
    int source;
    uint16_t handler;
    uint16_t header_length;
    uint32_t bulk_count;
    const void *header;
    const void *data;
    size_t data_length;
    const gas_bulk_t *bulk;
} gas_arrival_t;

typedef void (*gas_deliver_fn)(void *arg, const gas_arrival_t *arrival);

/* What a transport can do with the segment of a peer. */
typedef struct gas_remote {
    void *pointer; /* where it is mapped into this process; NULL: nowhere */
    int rdma;      /* `put` and `get` reach it, without its owner's processor */
} gas_remote_t;

typedef struct gas_conduit_params {
    gas_boot_t *boot; /* outlives the conduit */
    const gas_config_t *config;
    gas_deliver_fn deliver;
    void *deliver_arg;
} gas_conduit_params_t;

typedef struct gas_conduit_ops {
    const char *name;

    /* Opens the transport and publishes this rank's address through boot->put. The caller then
     * fences; no operation is called before that. */
    gas_status_t (*create)(const gas_conduit_params_t *params, gas_conduit_t **conduit);

    /* Frees everything, finished or not; no callback is called any more. */
    void (*destroy)(gas_conduit_t *conduit);

    /*
     * Sends. Does not block and does not poll: what the transport cannot take now it keeps and
     * sends on later polls. Messages from one rank to one other are delivered in the order in which
     * they were sent, each once all of its bulk buffers have been announced. The endpoint is made
     * on the first message to a rank. `done` is called if and only if there are bulk buffers and
     * GAS_OK was returned; that may happen before the return.
     */
    gas_status_t (*am_send)(gas_conduit_t *conduit, int destination, const gas_am_t *am,
                            gas_done_fn done, void *arg);

    /* Fetches an announced buffer into `landing`, of the announced length. `done` may be called
     * before the return. */
    gas_status_t (*bulk_receive)(gas_conduit_t *conduit, gas_bulk_t *bulk, void *landing,
                                 gas_done_fn done, void *arg);

    /*
     * May be NULL. Without the lock; blocks for as long as it takes to copy. Copies the buffers of
     * one message, none of which was given to bulk_receive or bulk_reject, out of the sender's
     * memory, where that can be done: else GAS_ERR_UNSUPPORTED, and bulk_receive will do. On
     * GAS_OK all are there; bulk_reject each all the same, which tells the sender.
     */
    gas_status_t (*bulk_copy)(gas_conduit_t *conduit, const gas_bulk_t *bulk, uint32_t count,
                              void *const *landing);

    /* May be NULL: then everything is settled. How many messages are on their way whose buffers may
     * not be changed without a bulk_settle. Without the lock. */
    size_t (*bulk_unsettled)(gas_conduit_t *conduit);

    /* Copies those buffers, as they are now, so that what is fetched later is the copies. On an
     * error some were not copied. */
    gas_status_t (*bulk_settle)(gas_conduit_t *conduit);

    /* May be NULL: yes. Whether bulk buffers for that rank travel so cheaply that even small ones
     * are better not copied into their message. */
    bool (*bulk_is_cheap)(gas_conduit_t *conduit, int destination);

    /* Declines an announced buffer; the sender's `done` is still called. */
    void (*bulk_reject)(gas_conduit_t *conduit, gas_bulk_t *bulk);

    /*
     * Reserves this rank's segment, at most once: `size` bytes that are zero and really there, so
     * that no access fails later. The conduit's until destroy. `key`, in memory that the caller
     * frees with free(), is what a peer needs for segment_open. May block for the time that it
     * takes to clear the memory. GAS_ERR_NO_MEMORY leaves nothing reserved.
     */
    gas_status_t (*segment_create)(gas_conduit_t *conduit, size_t size, void **base, void **key,
                                   size_t *key_length);

    /* Opens the segment of `rank`, once, with its key; never blocks. What is mapped stays so until
     * destroy, also if the peer ends before. */
    gas_status_t (*segment_open)(gas_conduit_t *conduit, int rank, const void *key,
                                 size_t key_length, gas_remote_t *remote);

    /*
     * One-sided transfers, to and from segments that were opened with `rdma`; the caller has
     * checked the bounds. `done` of put comes when the source may be reused, `done` of get when
     * the data are there; perhaps before the return. No order is kept between them.
     */
    gas_status_t (*put)(gas_conduit_t *conduit, int rank, size_t offset, const void *source,
                        size_t length, gas_done_fn done, void *arg);
    gas_status_t (*get)(gas_conduit_t *conduit, int rank, size_t offset, void *landing,
                        size_t length, gas_done_fn done, void *arg);

    /* `done` comes when every put that is over locally is complete in the memory of its target. */
    gas_status_t (*flush)(gas_conduit_t *conduit, gas_done_fn done, void *arg);

    /*
     * `rank` has failed, and will be given nothing any more. What was sent to it and what is
     * landing from it is over: `done` is called, with GAS_ERR_RANK_FAILED, and the memory is free.
     * Nothing of it counts as backlog or outstanding. Buffers that it announced may still be given
     * to bulk_reject.
     */
    void (*peer_failed)(gas_conduit_t *conduit, int rank);

    /* Moves traffic and runs callbacks. How much was done; 0 when there was nothing to do. */
    unsigned (*poll)(gas_conduit_t *conduit);

    /* GAS_OK: from now on the arrival of anything ends a `sleep`, also one that starts later.
     * GAS_BUSY: something is there already, or to be gone on with: poll first. */
    gas_status_t (*arm)(gas_conduit_t *conduit);

    /* Without the lock, from any number of threads. Blocks until what was armed happens, `wake_fd`
     * is readable, a signal handler ran or `timeout` nanoseconds are over (GAS_FOREVER: no limit).
     * May return early. GAS_INTERRUPTED if a signal handler ran, else GAS_OK. */
    gas_status_t (*sleep)(gas_conduit_t *conduit, int wake_fd, uint64_t timeout);

    /* How many sends the transport has not taken yet: while there are any, nothing wakes a sleeper
     * when they could go on, so somebody must poll from time to time. */
    size_t (*backlog)(gas_conduit_t *conduit);

    /* True if since the last call something was begun that goes on only while this rank polls,
     * although nothing arrives: a rendezvous, or the reading of a large buffer. NULL: it may always
     * have been. */
    bool (*restless)(gas_conduit_t *conduit);

    /* How many operations of this rank are not over: sends not taken, buffers not fetched by their
     * receivers. */
    size_t (*outstanding)(gas_conduit_t *conduit);

    /* One line about the library and the transports in use. Without the lock. */
    void (*describe)(gas_conduit_t *conduit, char *text, size_t size);
} gas_conduit_ops_t;

struct gas_conduit {
    const gas_conduit_ops_t *ops;
};

/* The conduit this library was built for. */
const gas_conduit_ops_t *gas_conduit_default(void);

#endif
