/*
 * A team: an ordered group of ranks that do something together. The world is a team like another.
 *
 * Ranks that stand at equal distances in the world (all, every second one, one host of a block-wise
 * start) cost no table. Creating a team sends nothing: its members agree on id and ranks
 * beforehand, by a collective operation of a team that has them all.
 */
#ifndef GAS_TEAM_H
#define GAS_TEAM_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;
typedef struct gas_coll gas_coll_t;
typedef struct gas_team gas_team_t;
typedef struct gas_shrink gas_shrink_t;

#define GAS_TEAM_WORLD 0u /* the id of the world */
#define GAS_TEAM_BUCKETS 64u
#define GAS_TEAM_RECENT 16u /* operations whose signatures are remembered; a power of 2 */

/* What the members of a team must agree on when they begin an operation, besides its number. */
typedef struct gas_coll_signature {
    uint8_t kind;      /* a gas_coll_kind_t */
    uint8_t algorithm; /* a row of the table (collectives/table.h) */
    uint8_t op;        /* a gas_operator_t */
    uint8_t type;      /* a gas_type_t */
    uint32_t root;
    uint64_t count; /* elements of a block */
    uint32_t shape; /* a hash of the array's shape */
    uint32_t extra; /* the upper layer's own */
} gas_coll_signature_t;

struct gas_team {
    gas_job_t *job;
    uint64_t id;
    int rank, size;
    int first, stride; /* member r is rank first + r * stride of the world, if table is NULL */
    int *table;        /* else rank table[r] */
    gas_team_t *next;  /* of the same bucket; guarded by the conduit lock, as all that follows */
    uint32_t begun;    /* operations begun; the number of the next one */
    uint32_t failed_below;  /* 1 + the number of the last operation that failed; 0: none did */
    gas_coll_t *open;       /* operations under way, the latest first */
    char *broken;           /* why nothing can be begun any more; NULL: all is well */
    gas_status_t broken_as; /* the status that goes with it */
    gas_coll_signature_t recent[GAS_TEAM_RECENT]; /* by number modulo GAS_TEAM_RECENT */
    gas_shrink_t *shrinks; /* agreements on who is left, the latest first (shrink.h) */
};

/* The teams of a job and the world. */
typedef struct gas_teams {
    gas_team_t *buckets[GAS_TEAM_BUCKETS]; /* guarded by the conduit lock */
    gas_team_t *world;                     /* constant while the job runs */
    uint32_t shrunk;                       /* new teams that this rank made up an id for, when it
                                              led a shrink; guarded by the conduit lock */
} gas_teams_t;

gas_status_t gas_teams_init(gas_job_t *job);
void gas_teams_fini(gas_job_t *job);

/*
 * This rank's part of a new team: `ranks`, in the world's numbering, has `size` entries, all
 * different, and this rank is one of them. Every member calls it with the same id, which no other
 * team of the job has or had, and the same ranks; a member's messages may come before. Local, any
 * thread. GAS_ERR_INVALID if one of that does not hold as far as this rank can see.
 */
gas_status_t gas_team_create(gas_job_t *job, uint64_t id, const int *ranks, int size,
                             gas_team_t **team);

/*
 * Frees it. Local; nothing may be on its way to this rank any more, so the members meet in a
 * barrier of the team before, if it is not broken. A broken one cannot do that; it is not used any
 * more, but stays known until the job ends, as members may still send and ask. GAS_BUSY, and
 * nothing happens, if an operation is under way; not for the world.
 */
gas_status_t gas_team_free(gas_team_t *team);

/* The world's number of a member; 0 <= rank < size. */
static inline int gas_team_to_world(const gas_team_t *team, int rank)
{
    return team->table != NULL ? team->table[rank] : team->first + rank * team->stride;
}

/* A member's number in the team, or -1. Takes time in proportion to the size if there is a table.
 */
int gas_team_from_world(const gas_team_t *team, int world_rank);

/* Puts it out of use on all members, for a reason that the runtime does not know of. Any thread. */
void gas_team_break(gas_team_t *team, gas_status_t status, const char *text);

/* True if nothing can be begun any more. Any thread. */
bool gas_team_is_broken(gas_team_t *team);

/* Internal, under the conduit lock: the team with that id, or NULL. */
gas_team_t *gas_team_find(gas_job_t *job, uint64_t id);

#endif
