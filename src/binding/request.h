/* Requests: the owner's side. The handler queues them as work; they run attached, in order. */
#ifndef PYGAS_BINDING_REQUEST_H
#define PYGAS_BINDING_REQUEST_H

#include "state.h"

/* The handler of requests. */
void pg_request_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
