/*
 * Exchange: a collective operation on objects, seen from inside. Python code (pygas/collectives/)
 * says which member sends what to whom; numbering and failure are the runtime's.
 */
#ifndef PYGAS_BINDING_EXCHANGE_H
#define PYGAS_BINDING_EXCHANGE_H

#include "team.h"

/* Begins one. A new Exchange, or NULL with an exception. */
PyObject *pg_exchange_open(PyObject *members, const gas_coll_args_t *args);

/* Takes in the references in a message of one. Inside handlers. */
void pg_exchange_arrived(gas_msg_t *msg);

/* The job's gas_discard_fn: the references in a message that nobody takes go home. */
void pg_exchange_discard(gas_job_t *job, gas_msg_t *msg);

#endif
