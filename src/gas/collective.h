/*
 * Collective operations on a team: begun by every member in the same order, carried on by whoever
 * polls the conduit, over without anybody having to wait.
 *
 * Two kinds of users. gas_coll_start() moves arrays: bytes and numbers in memory of the caller, by
 * one of the algorithms of collectives/table.h. gas_coll_open() begins an *exchange*, whose
 * messages the layer above sends and takes itself; numbering, agreement, failure and the end are
 * the same.
 *
 * Members agree on an operation by its number in the team, and every message carries its signature:
 * one that does not fit fails the operation, on every member, with a text that says who wanted
 * what.
 */
#ifndef GAS_COLLECTIVE_H
#define GAS_COLLECTIVE_H

#include "event.h"
#include "inbox.h"
#include "message.h"
#include "reduction.h"
#include "status.h"
#include "team.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum gas_coll_kind {
    GAS_COLL_BARRIER,
    GAS_COLL_BROADCAST,
    GAS_COLL_GATHER,
    GAS_COLL_SCATTER,
    GAS_COLL_ALLGATHER,
    GAS_COLL_ALLTOALL,
    GAS_COLL_REDUCE,
    GAS_COLL_ALLREDUCE,
    GAS_COLL_REDUCE_SCATTER,
    GAS_COLL_SCAN,
    GAS_COLL_EXSCAN,
    GAS_COLL_SHARE, /* from here on exchanges only */
    GAS_COLL_SPLIT,
    GAS_COLL_CHECK, /* that the members are about to call the same */
    GAS_COLL_KINDS
} gas_coll_kind_t;

/* Before every so many operations of a team in which members may run ahead of others (the root of a
 * broadcast, say), its members meet, so that what is kept for those behind has an end. */
#define GAS_COLL_AHEAD_MAX 64u

#define GAS_COLL_AUTO (-1) /* algorithm: what the table selects */

/*
 * What an operation is to do. A block is `count` elements of `type`. All members give the same
 * values but for the memory:
 *
 *   barrier                      no memory, count 0
 *   broadcast                    root: send, a block; others: recv, a block
 *   gather, scatter              all blocks are the root's: its recv, its send
 *   allgather                    send: a block; recv: all blocks
 *   alltoall                     send and recv: all blocks, not overlapping
 *   reduce                       send: a block; the root's recv: a block
 *   allreduce, scan, exscan      send and recv: a block; exscan leaves the first member's recv
 * alone reduce_scatter               send: all blocks; recv: a block
 *
 * "All blocks" are as many as the team has members, in their order. Where both memories are one
 * block, they may be the same; those of gather, scatter and allgather may overlap where the same
 * member's block is. They stay the caller's, to keep alive and alone until the operation is over.
 */
typedef struct gas_coll_args {
    gas_coll_kind_t kind;
    int algorithm; /* of the table's rows of this kind, or GAS_COLL_AUTO */
    int root;      /* a member; 0 where there is no root */
    gas_operator_t op;
    gas_type_t type;
    uint64_t count;
    uint32_t shape, extra; /* the layer above's part of the signature */
    bool ordered;          /* reduce strictly from the first member to the last */
    const void *send;
    void *recv;
} gas_coll_args_t;

#define GAS_COLL_HEAD_MAX 38u

/* A message that an exchange waits for; the caller's memory, until `ready` is called. */
typedef struct gas_coll_recv gas_coll_recv_t;
struct gas_coll_recv {
    gas_coll_recv_t *next; /* guarded by the conduit lock */
    gas_coll_t *coll;
    int source; /* the world's number */
    void *landing;
    size_t length;
    gas_msg_t *msg; /* the taker's, once it is ready; NULL if the operation has failed */
    /* Called once, under the conduit lock: must not block. NULL: internal, a landing is filled. */
    void (*ready)(gas_coll_recv_t *recv);
};

/* Called once, when the operation is over, under the conduit lock: must not block. The operation is
 * not touched by the runtime any more, but by gas_coll_status(), _text() and _free(). */
typedef void (*gas_coll_over_fn)(void *arg);

/*
 * Begin an operation; it may be over before this returns. Any thread that is not in a handler; its
 * caller sees to it that the threads of a rank begin those of one team in the order in which the
 * other members do. On an error nothing was begun: GAS_ERR_INVALID; or, if the team is broken, why.
 */
gas_status_t gas_coll_start(gas_team_t *team, const gas_coll_args_t *args, gas_coll_over_fn over,
                            void *arg, gas_coll_t **coll);

/* Begin an exchange; of `args` count kind, root and what makes up the signature. It is over when
 * the caller closes it. */
gas_status_t gas_coll_open(gas_team_t *team, const gas_coll_args_t *args, gas_coll_t **coll);

/* Take no part in the operation that is next, which fails for all members: `why` says for what
 * reason. `args` as for gas_coll_open(), of which only the kind matters. */
gas_status_t gas_coll_refuse(gas_team_t *team, const gas_coll_args_t *args, const char *why);

/* True if the members of this exchange should meet first: see GAS_COLL_AHEAD_MAX. */
bool gas_coll_meets_first(const gas_coll_t *coll);

/* How the header of messages of this operation begins; returns its length. To that of an exchange
 * the layer above may add. */
size_t gas_coll_head(const gas_coll_t *coll, unsigned char head[GAS_COLL_HEAD_MAX]);

/* The `length` bytes that the layer above has added to the header of a message, in that; NULL if it
 * is no message of an exchange, or added another number of bytes. Any thread. */
const void *gas_coll_added(const gas_msg_t *msg, size_t length);

/* Wait for the next message of `source`, a member; recv->ready is called when it is there, perhaps
 * before this returns, or when the operation has failed. */
void gas_coll_take(gas_coll_t *coll, gas_coll_recv_t *recv, int source);

/* End an exchange. Nothing is waited for any more. */
void gas_coll_close(gas_coll_t *coll);

/* Fail an operation that is not over, for all members: `text` says why. What is on its way into the
 * caller's memory still arrives, so it is over only when it says so. Any thread. */
void gas_coll_fail(gas_coll_t *coll, gas_status_t status, const char *text);

/* How it went; of an exchange also before it is over. The text is "" on success. */
gas_status_t gas_coll_status(const gas_coll_t *coll);
const char *gas_coll_text(const gas_coll_t *coll);

/* When it is over; or instead of the end, when the job is. */
void gas_coll_free(gas_coll_t *coll);

/*
 * No operation of a team that has `rank` of the world as a member can succeed any more: those under
 * way fail, later ones cannot be begun. For the death of a rank, which every other rank notices by
 * itself: nobody is told. What this rank has sent to the lost one is the conduit's to end. Any
 * thread.
 */
void gas_coll_lose_rank(gas_job_t *job, int rank, gas_status_t status, const char *text);

/* The name of a kind: "allreduce". */
const char *gas_coll_kind_name(gas_coll_kind_t kind);

/* ---- internal to the runtime ---- */

typedef struct gas_colls {
    gas_inboxes_t inboxes;
    gas_coll_t *ready, **ready_end; /* can go on; guarded by the conduit lock */
    atomic_size_t ready_count;      /* written under the lock, read anywhere */
    atomic_size_t running;          /* threads that run rounds; likewise */
    bool polling;                   /* a poll is on, whose caller looks at `ready` afterwards;
                                       guarded by the conduit lock */
    _Atomic(uint64_t) probed;       /* when operations that hang were last looked for */
    atomic_int abandoned;           /* 1 + a rank that waits in vain for this one, which is ending;
                                       0: none */
} gas_colls_t;

void gas_colls_init(gas_job_t *job);
void gas_colls_fini(gas_job_t *job);

/* Frees a message that nobody will take; tells the layer above if it is one of its exchanges. Under
 * the conduit lock. */
void gas_coll_discard(gas_job_t *job, gas_msg_t *msg);

/* Carries on what can go on. Without the conduit lock; whoever polls calls it. */
void gas_coll_run(gas_job_t *job);

/* For a wait that takes long: asks the members that operations wait for whether they have finished
 * their program. */
void gas_coll_probe(gas_job_t *job);

/* Handlers. */
void gas_coll_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);
void gas_coll_note_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
