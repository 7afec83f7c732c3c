/*
 * Exchange: a collective operation on objects, seen from inside. Python code (pygas/collectives/)
 * says which member sends what to whom; numbering and failure are the runtime's.
 */
#ifndef PYGAS_BINDING_EXCHANGE_H
#define PYGAS_BINDING_EXCHANGE_H

#include "team.h"

/* Begins one. A new Exchange, or NULL with an exception. */
PyObject *pg_exchange_open(PyObject *members, const gas_coll_args_t *args);

/* For a caller that waits; attached, not between pg_enter() and pg_leave(). Each returns NULL or -1
 * with an exception if it cannot. The next message of a member, a number, as a new Encoded; the
 * end, when all that was sent has arrived; failing it for all members, which ends it. */
PyObject *pg_exchange_receive(PyObject *self, PyObject *member);
int pg_exchange_finish(PyObject *self);
int pg_exchange_fail(PyObject *self, PyObject *why);

/* True if the members should meet before anything else. */
bool pg_exchange_meets_first(PyObject *self);

/* Takes in the references in a message of one. Inside handlers. */
void pg_exchange_arrived(gas_msg_t *msg);

/* The job's gas_discard_fn: the references in a message that nobody takes go home. */
void pg_exchange_discard(gas_job_t *job, gas_msg_t *msg);

#endif
