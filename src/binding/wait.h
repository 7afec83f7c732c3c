/* Waiting in PyGAS, as a Python thread: requests run meanwhile, signals are served. */
#ifndef PYGAS_BINDING_WAIT_H
#define PYGAS_BINDING_WAIT_H

#include "state.h"

/*
 * Waits until `event` is set or the deadline (gas_clock_now() terms) passes. Attached; detaches
 * while nothing is there. Runs queued requests in place. 1: set; 0: the deadline passed; -1: an
 * exception (of a signal handler, say).
 */
int pg_wait(gas_event_t *event, uint64_t deadline);

/* pg_wait() without a deadline; if nothing moves, `what` is told to be waited for, of rank `peer`
 * (-1: none in particular). Inside pg_enter(). `what` lives for ever. */
int pg_wait_for(gas_event_t *event, const char *what, int peer);

/* pg_wait() for callers that are between pg_enter() and pg_leave() already. */
int pg_wait_within(gas_event_t *event, uint64_t deadline);

/* The same, for the reply of rank `owner` (-1: for something else): if it takes long, that rank is
 * asked to look for a request that blocks it (blocked.h). */
int pg_wait_reply(gas_event_t *event, uint64_t deadline, int owner);

/* Like pg_wait(), but runs no requests, serves no signals and has no deadline: for the last part of
 * a transfer, whose memory cannot be given up. Attached. */
void pg_wait_landing(gas_event_t *event);

/* From Python's timeout in seconds (None: none) to a deadline. -1 with an exception. */
int pg_deadline(PyObject *timeout, uint64_t *deadline);

#endif
