/*
 * One-sided operations that are under way, and the messages that stand in for RDMA. Internal; the
 * public face is segment.h.
 */
#ifndef GAS_ONESIDED_H
#define GAS_ONESIDED_H

#include "atomic.h"
#include "conduit/conduit.h"
#include "message.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum gas_op_kind { GAS_OP_PUT, GAS_OP_GET, GAS_OP_ATOMIC, GAS_OP_FLUSH } gas_op_kind_t;

/* An operation under way. Guarded by the conduit lock. */
typedef struct gas_op gas_op_t;
struct gas_op {
    gas_job_t *job;
    gas_op_t *next, *prev; /* of all, in the order in which they were begun */
    gas_op_t *next_waiting;
    uint32_t slot, generation; /* its id on the wire */
    gas_op_kind_t kind;
    int rank;
    unsigned left; /* what has to happen before it is over */
    gas_status_t status;
    size_t offset, length;
    const void *source;
    void *landing; /* of a get, or the result of an atomic */
    gas_atomic_t atomic;
    gas_msg_t *reply; /* a get's, while its buffer lands */
    gas_done_fn done; /* NULL once called */
    void *arg;
};

typedef struct gas_op_slot {
    gas_op_t *op; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* 1 + slot; 0: none */
} gas_op_slot_t;

/* Every operation under way. Guarded by the conduit lock. */
typedef struct gas_ops {
    gas_op_t *head, *tail;
    gas_op_slot_t *slots;
    uint32_t slot_count, free; /* free: 1 + slot; 0: none */
    bool rdma;                 /* the conduit has been given puts */
    gas_status_t failed;       /* of a put that was over for its caller; for the next flush */
} gas_ops_t;

/* The header of the messages. Offsets cross the wire, and ids, but no addresses. */
typedef struct gas_op_wire {
    uint64_t id;
    uint64_t offset;
    uint64_t length;
    uint64_t operand; /* of a reply: the number before */
    uint64_t compare;
    uint16_t kind; /* gas_op_kind_t */
    uint8_t atomic_kind;
    uint8_t atomic_type;
    int32_t status; /* of a reply */
} gas_op_wire_t;

/* Begins an operation that cannot be done on the spot; takes a copy of `op`. */
gas_status_t gas_op_begin(gas_job_t *job, const gas_op_t *op);

/* Under the conduit lock: the key of `rank` is there, or (`status`) will not come. */
void gas_op_connected(gas_job_t *job, int rank, gas_status_t status);

/* Under the conduit lock: `rank` has failed; ends the operations that wait for it. */
void gas_ops_peer_failed(gas_job_t *job, int rank);

/* Frees everything without calling `done`. */
void gas_ops_fini(gas_job_t *job);

/* The handlers: of the owner (onesided_server.c), and of the one who asked. */
void gas_op_asked(gas_job_t *job, gas_msg_t *msg, void *arg);
void gas_op_answered(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
