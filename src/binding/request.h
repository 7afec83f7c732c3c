/* Requests: the owner's side. The handler queues them as work; they run attached, in order. */
#ifndef PYGAS_BINDING_REQUEST_H
#define PYGAS_BINDING_REQUEST_H

#include "call.h"

/* The most requests that may be made one within the other: f on rank 1 calls g on rank 0, which
 * calls ... The interpreter's own recursion limit is usually met before. */
#define PG_REQUEST_DEPTH_MAX 1000u

/* *depth: that of a request made by this thread now. 0, or -1 with RecursionError. Attached. */
int pg_request_depth_for_call(uint16_t *depth);

/* Who asks for what this thread is doing: the caller of the request that it runs, else itself. */
typedef struct pg_caller {
    int rank;
    uint32_t thread; /* the number of a thread of that rank, below 2^31; never 0 */
} pg_caller_t;

pg_caller_t pg_request_caller(void);

/* The number of this thread. Attached or not. */
uint32_t pg_request_thread(void);

/* caller(): the same as a tuple. */
PyObject *pg_caller(PyObject *module, PyObject *unused);

/* Replies with `result` of the request of rank `source` on `object` (NULL if it had none), or with
 * the exception that is set if it is NULL, which is no longer set then. returnable: see giveback.h.
 * Inside pg_enter(). True if `result` was sent; else an exception was, or nothing. */
bool pg_request_reply(int source, const pg_request_head_t *head, PyObject *object, PyObject *result,
                      bool returnable);

/* How many requests this rank has run. */
uint64_t pg_request_count(void);

/* The handler of requests. */
void pg_request_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

/* True if the calling thread is running a request. */
bool pg_request_is_running(void);

#endif
