/*
 * The UCX conduit: direct buffers on the receiver's side, for the files that share it: ucx_direct.c
 * (the handles), ucx_read.c (reading), ucx_fetch.c (buffers on their way).
 */
#ifndef GAS_CONDUIT_UCX_UCX_DIRECT_H
#define GAS_CONDUIT_UCX_UCX_DIRECT_H

#include "ucx.h"

/* A message with such buffers that has arrived: what the handles of its buffers point at. Constant
 * but for `left`, which is guarded by the conduit lock. */
struct ucx_direct {
    ucx_conduit_t *self;
    uint32_t source;
    uint32_t left; /* buffers neither received nor declined */
    uint64_t id;
    wire_direct_t wire;
};

/* Tells the sender something (AM_OVER, AM_WANT) about the message or the buffer `index` of it. */
gas_status_t ucx_direct_answer(const ucx_direct_t *direct, unsigned id, uint32_t index);

/* One of its buffers was received or declined; after the last it is freed. */
void ucx_direct_part_over(ucx_direct_t *direct);

/* Buffers of one message, in the order of their indices, that are being read. The one who reads
 * sets the first four and zero. */
typedef struct ucx_read {
    const ucx_direct_t *direct;
    const gas_bulk_t *bulk;
    void *const *landing;
    uint32_t count;
    uint32_t index; /* of the first that is not there, among these */
    size_t offset;  /* how much of it is */
    bool settled;   /* what is read is the sender's copies */
} ucx_read_t;

typedef enum ucx_outcome {
    UCX_READ_ON,     /* there is more to read */
    UCX_READ_OVER,   /* all is there */
    UCX_READ_FAILED, /* the sender's memory cannot be read, or it is not the sender's */
    UCX_READ_GONE,   /* it could be read before, and the process has ended since */
} ucx_outcome_t;

/* Reads on, with one system call or two, `most` bytes at most. Any thread, without the conduit lock
 * or with it. */
ucx_outcome_t ucx_read_on(ucx_read_t *read, size_t most);

/*
 * Under the conduit lock. Begins to receive a buffer, which is its caller's no more on GAS_OK:
 * `outcome` says what has been seen of it. UCX_READ_ON: it is read by the polls that follow. Else
 * by rendezvous, or not at all if its sender is gone. `done` may be called before the return.
 */
gas_status_t ucx_fetch_begin(gas_bulk_t *bulk, void *landing, ucx_outcome_t outcome,
                             gas_done_fn done, void *arg);

#endif
