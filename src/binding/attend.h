/*
 * Attending to requests while the program does something else.
 *
 * The runtime kicks when work is queued and no thread of this rank is inside a PyGAS wait. Then the
 * executor, a thread of ours, drains it: at once where the interpreter lock looks free (the program
 * is in BLAS, sleeps, does I/O), else as soon as the main thread lets it in, between two bytecodes.
 * Requests to objects that belong to the main thread (affinity.h) run in that thread, there. All of
 * them together take no more than their share of the program's time (share.h).
 */
#ifndef PYGAS_BINDING_ATTEND_H
#define PYGAS_BINDING_ATTEND_H

#include "state.h"

/* Start the executor. Attached, before the job runs. -1 with an exception set. */
int pg_attend_start(void);

/* Stop it; waits for the request that it is running, for at most `limit` nanoseconds: then it is
 * left to itself, as one of pg.users. Attached. */
void pg_attend_stop(uint64_t limit);

/* The runtime's kick. Any thread, attached or not. */
void pg_attend_kick(void *arg, gas_home_t *home, uint64_t age);

/* The main thread is going to have a home: loads what its requests need between two bytecodes. -1
 * with an exception. Attached. */
int pg_attend_main_home(void);

/* True while the calling thread runs requests on top of an interrupted frame of the program. Then
 * it must not run those that have no affinity to it. */
bool pg_attend_is_interrupting(void);

/* Functions of the module; see their docstrings. */
PyObject *pg_attend_drain_home(PyObject *module, PyObject *unused);
PyObject *pg_attend_wakeups(PyObject *module, PyObject *unused);

/* How long drains go on, in nanoseconds, and how many requests at most: then the program has a
 * turn. */
#define PG_ATTEND_LIMIT_NS 1000000u
#define PG_ATTEND_MOST 64

#endif
