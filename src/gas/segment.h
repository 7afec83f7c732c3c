/*
 * Segments: memory of every rank that all ranks can read and write without its owner's help.
 *
 * Each rank attaches one segment, of the same size on all (a symmetric heap); a place in it is
 * named by a rank and an offset. On one host an access is a copy through shared memory and needs
 * nothing of the owner, which may compute, sleep or be stopped. Elsewhere it goes by RDMA where the
 * transport has any, else by messages that the owner's progress thread answers.
 *
 * `done` is called exactly once if GAS_OK was returned: before the return, or from inside a poll,
 * so it must not block or poll (see conduit.h). Operations may overtake each other; to order them,
 * wait for `done`, for puts also for gas_flush(). An error return means that nothing was started.
 * Any thread, and handlers too, may call everything but gas_segment_attach().
 */
#ifndef GAS_SEGMENT_H
#define GAS_SEGMENT_H

#include "atomic.h"
#include "conduit/conduit.h"
#include "message.h"
#include "onesided.h"
#include "status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* How a peer's segment is reached. */
typedef enum gas_reach {
    GAS_REACH_UNKNOWN, /* its key is not here */
    GAS_REACH_POINTER,
    GAS_REACH_RDMA,
    GAS_REACH_MESSAGE,
    GAS_REACH_NOT,   /* it is of another size */
    GAS_REACH_FAILED /* its rank has failed; one that is mapped stays so */
} gas_reach_t;

typedef struct gas_peer {
    char *pointer;    /* GAS_REACH_POINTER: its segment; written once, before reach */
    atomic_int reach; /* written under the conduit lock, read anywhere */
    bool asked;       /* its key was asked for; guarded by the conduit lock, as all below */
    bool asks;        /* it has asked for this rank's key, which is not there yet */
    size_t size;      /* GAS_REACH_NOT: what it has */
    gas_op_t *waiting, **waiting_end; /* operations that wait for its key, oldest first */
} gas_peer_t;

typedef struct gas_segment {
    char *base;         /* of this rank's own; written once, before size */
    atomic_size_t size; /* 0 until it is attached */
    int mode;           /* the setting one_sided, as a gas_reach_t; constant */
    void *key;          /* for peers; guarded by the conduit lock, as all below */
    size_t key_length;
    bool failed;       /* attaching was tried in vain */
    gas_peer_t *peers; /* by rank; made when first needed */
    gas_ops_t ops;
} gas_segment_t;

/*
 * Attaches this rank's segment: `size` bytes, rounded up to whole pages, all zero, on one host in
 * shared memory. They are really there afterwards: no access fails for lack of memory. Every rank
 * has to attach the same size, once; nobody waits here, but what is done to a peer's segment waits
 * until the peer has attached it. Blocks for the time that it takes to clear the memory, with the
 * conduit lock held. GAS_ERR_NO_MEMORY leaves nothing attached and may be followed by another try.
 *
 * The memory belongs to the job: gas_job_stop() unmaps this rank's segment and those of its peers.
 * A peer may go on using the segment of a rank that has stopped. Nothing is left in
 * /dev/shm, however a rank ends.
 */
gas_status_t gas_segment_attach(gas_job_t *job, size_t size);

/* This rank's own segment; NULL and 0 before it is attached. */
void *gas_segment_base(gas_job_t *job);
size_t gas_segment_size(gas_job_t *job);

/* The segment of `rank` as it is mapped here. NULL where there is no such mapping, and until the
 * first operation on that segment is done. */
void *gas_segment_pointer(gas_job_t *job, int rank);

/* Copies to or from `offset` of the segment of `rank`. `done` of put: `source` may be reused, which
 * says nothing about the target. */
gas_status_t gas_put(gas_job_t *job, int rank, size_t offset, const void *source, size_t length,
                     gas_done_fn done, void *arg);
gas_status_t gas_get(gas_job_t *job, int rank, size_t offset, void *landing, size_t length,
                     gas_done_fn done, void *arg);

/* Does an atomic operation on the number at `offset`, a multiple of its width. The number as it was
 * before goes to `result` (4 or 8 bytes), unless that is NULL. `done`: it has happened. */
gas_status_t gas_atomic(gas_job_t *job, int rank, size_t offset, const gas_atomic_t *atomic,
                        void *result, gas_done_fn done, void *arg);

/*
 * `done` comes when every put of this rank that was begun before is complete in the memory of its
 * target. Its status tells of puts that failed after their own `done`, since the last flush.
 */
gas_status_t gas_flush(gas_job_t *job, gas_done_fn done, void *arg);

/* Internal. GAS_ERR_INVALID for a bad setting. */
gas_status_t gas_segment_init(gas_job_t *job);
void gas_segment_fini(gas_job_t *job); /* `done` of what is open is not called any more */

/* Internal, under the conduit lock: sees to it that the key of `rank` comes, upon which
 * gas_op_connected() is called. */
gas_status_t gas_segment_connect(gas_job_t *job, int rank);

/* Internal, under the conduit lock: ends what is under way on the segment of `rank`, which has
 * failed. From then on operations on it are GAS_ERR_RANK_FAILED. */
void gas_segment_peer_failed(gas_job_t *job, int rank);

/* Internal, under the conduit lock: the table of peers; NULL without memory. */
gas_peer_t *gas_segment_peers(gas_job_t *job);

/* Internal: the handlers of the messages about keys. */
void gas_segment_asked(gas_job_t *job, gas_msg_t *msg, void *arg);
void gas_segment_keyed(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
