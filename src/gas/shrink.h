/*
 * Shrinking a team: the members that live agree on who has failed, and so on the ranks and the id
 * of a new team without them. It works on a team that is out of use, as one with a failed member
 * is.
 *
 * Every member that lives calls it, each time; then every member that lives gets the same answer,
 * also if others fail meanwhile. The answer leaves out whom any member knew to have failed when it
 * began; a member that fails later may be in it. The algorithm and why it is right stand above
 * shrink.c.
 */
#ifndef GAS_SHRINK_H
#define GAS_SHRINK_H

#include "event.h"
#include "message.h"
#include "notes.h"
#include "status.h"
#include "team.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One agreement of a team, on one rank. It is the team's, and lasts as long. */
struct gas_shrink {
    gas_shrink_t *next; /* of the team's, the latest first */
    gas_team_t *team;
    uint32_t number;   /* among the team's, from 0 */
    gas_event_t event; /* set when it is decided; awaited by one thread */

    /* Guarded by the conduit lock. */
    bool entered;      /* this rank has called */
    bool leads;        /* this rank asks the others */
    bool decided;      /* `lost` and `id` are the answer, and constant */
    bool announced;    /* and this rank has told everybody, as the leader */
    bool taken;        /* and the layer above has it */
    int promised;      /* the highest member that has asked; -1: none */
    int cursor;        /* the leader's: all members below have answered or failed */
    uint8_t *lost;     /* a bit for each member: it has failed */
    uint8_t *answered; /* the leader's: a bit for each member */
    uint64_t id;       /* of the new team */
    uint64_t since;    /* when this rank entered */
};

/* This rank calls; goes on with the call before if that was not taken. Wait for (*shrink)->event
 * then. Any thread. */
gas_status_t gas_shrink_enter(gas_team_t *team, gas_shrink_t **shrink);

/* The answer, once, when the event is set: the id of the new team and the ranks in the world of its
 * members, in their order, of which there are at most as many as the team has; returns how many. */
int gas_shrink_take(gas_shrink_t *shrink, uint64_t *id, int *ranks);

/* ---- internal to the runtime; under the conduit lock ---- */

/* A member has failed: who leads now goes on. */
void gas_shrink_lose_rank(gas_job_t *job, int world_rank);

/* A note of one of the kinds NOTE_SHRINK_... has come. */
void gas_shrink_heard(gas_job_t *job, const gas_note_t *note, const gas_msg_t *msg);

/* For a wait that takes long: asks once more, and whether anybody has finished its program. */
void gas_shrink_probe(gas_team_t *team, uint64_t now, uint64_t patience);

/* True if this rank waits for the answer. */
bool gas_shrink_is_open(const gas_team_t *team);

void gas_shrink_free_all(gas_team_t *team);

#endif
