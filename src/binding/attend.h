/*
 * Attending to requests while the program does something else.
 *
 * The runtime kicks when work is queued and no thread of this rank is inside a PyGAS wait. Then the
 * executor, a thread of ours, drains it: at once where the interpreter lock looks free (the program
 * is in BLAS, sleeps, does I/O), else as soon as the main thread lets it in, between two bytecodes.
 */
#ifndef PYGAS_BINDING_ATTEND_H
#define PYGAS_BINDING_ATTEND_H

#include "state.h"

/* Start the executor. Main thread, attached, before the job runs. -1 with an exception set. */
int pg_attend_start(void);

/* Stop it; waits for the request that it is running, for at most `limit` nanoseconds: then it is
 * left to itself, as one of pg.users. Attached. */
void pg_attend_stop(uint64_t limit);

/* The runtime's kick. Any thread, attached or not. */
void pg_attend_kick(void *arg, uint64_t age);

/* How long drains outside of a wait go on, in nanoseconds, and how many requests at most: then the
 * program has a turn. */
#define PG_ATTEND_LIMIT_NS 1000000u
#define PG_ATTEND_MOST 64

#endif
