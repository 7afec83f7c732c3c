/* Requests: the owner's side. The handler queues them as work; they run attached, in order. */
#ifndef PYGAS_BINDING_REQUEST_H
#define PYGAS_BINDING_REQUEST_H

#include "state.h"

/* The most requests that may be made one within the other: f on rank 1 calls g on rank 0, which
 * calls ... The interpreter's own recursion limit is usually met before. */
#define PG_REQUEST_DEPTH_MAX 1000u

/* *depth: that of a request made by this thread now. 0, or -1 with RecursionError. Attached. */
int pg_request_depth_for_call(uint16_t *depth);

/* The handler of requests. */
void pg_request_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
