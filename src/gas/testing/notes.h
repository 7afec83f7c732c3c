/*
 * Notes: the messages of the tests of waiting. A note sets an event of its destination, or asks for
 * a note back that sets one here, at once or as queued work.
 */
#ifndef GAS_TESTING_NOTES_H
#define GAS_TESTING_NOTES_H

#include "../gas.h"

typedef struct note {
    gas_event_t *event;
    int back; /* reply with `event` instead of setting it */
    int work; /* do it as work */
} note_t;

/* The handler of notes, GAS_HANDLER_USER. */
void note_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

void note_send(gas_job_t *job, int destination, note_t note);

/* Pushes setting `event` as work of `job`; `own`: that its rank has asked itself for. */
void note_push(gas_job_t *job, gas_event_t *event, bool own);

/* gas_wait() until it is over, doing the work that comes. */
gas_status_t wait_until(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags);

#endif
