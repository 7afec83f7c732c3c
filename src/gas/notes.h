/*
 * Notes: small messages among the members of a team, of one handler, about operations that cannot
 * succeed (notes.c) and about who is left of the team (shrink.c).
 *
 * Internal to the runtime.
 */
#ifndef GAS_NOTES_H
#define GAS_NOTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;

typedef enum gas_note_kind {
    NOTE_FAILED,
    NOTE_BROKEN,
    NOTE_PROBE,
    NOTE_ENDING,
    NOTE_ABANDONED,
    NOTE_SHRINK_ASK,     /* the leader: what do you know? */
    NOTE_SHRINK_STATE,   /* the answer; with a value, it has been decided */
    NOTE_SHRINK_DECIDED, /* the decision */
    NOTE_SHRINK_AWAIT    /* to the leader: I wait for you */
} gas_note_kind_t;

/* The header of a note; what else there is to say is in its data. */
typedef struct gas_note {
    uint64_t team;
    uint32_t number; /* of the operation, or of the agreement, in the team */
    uint32_t kind;
    int64_t value; /* a gas_status_t; the id of a new team */
} gas_note_t;

/* One that cannot be sent is lost: its receiver has failed, or hears of it from others. */
void gas_note_send(gas_job_t *job, int world_rank, const gas_note_t *note, const void *data,
                   size_t length);

#endif
