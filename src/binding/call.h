/*
 * Calls: the asking side of a request and its reply.
 *
 * A call has a slot in a table, whose index and generation travel with the request and come back
 * with the reply. It is shared by its table slot and by whoever waits for it.
 */
#ifndef PYGAS_BINDING_CALL_H
#define PYGAS_BINDING_CALL_H

#include "ops.h"
#include "payload.h"
#include "state.h"

/* Headers on the wire. */
typedef struct pg_request_head {
    uint64_t call;
    uint64_t object; /* an id of exports.h, if the operation has an object */
    pg_wire_t wire;
    uint8_t op;
    uint8_t want; /* a pg_want_t */
    uint8_t reserved[6];
} pg_request_head_t;

typedef enum pg_want {
    PG_WANT_VALUE, /* the result by value; what cannot be copied as a Proxy */
    PG_WANT_COPY,  /* the result by value, or an exception */
    PG_WANT_PROXY, /* a Proxy to the result */
    PG_WANT_PLAIN  /* as PG_WANT_VALUE, but only the outcomes VALUE and ERROR: for Futures */
} pg_want_t;

typedef enum pg_outcome {
    PG_OUTCOME_VALUE,
    PG_OUTCOME_ERROR, /* the payload describes an exception */
    /* With these nothing travels. */
    PG_OUTCOME_METHOD, /* an attribute that is a method */
    PG_OUTCOME_SELF,   /* the object itself */
    PG_OUTCOME_STOP    /* an iterator is exhausted */
} pg_outcome_t;

typedef struct pg_reply_head {
    uint64_t call;
    pg_wire_t wire;
    uint8_t outcome; /* a pg_outcome_t */
    uint8_t reserved[7];
} pg_reply_head_t;

typedef struct pg_call {
    atomic_int references;
    int owner;
    uint64_t id;
    gas_event_t event; /* set when reply is there */
    gas_msg_t *reply;  /* the call's, once the event is set */
} pg_call_t;

/* Sends a request. A new reference to the call, or NULL with an exception. `args`: a tuple. */
pg_call_t *pg_call_start(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want);

/*
 * What the reply says: the result, a new reference, or NULL with the exception that was raised over
 * there. Only once the event is set, and once per call. *outcome, if not NULL, says what the result
 * is; for those with which nothing travels it is None.
 */
PyObject *pg_call_result(pg_call_t *call, pg_outcome_t *outcome);

/* pg_call_start(), wait, pg_call_result(). */
PyObject *pg_call_blocking(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want,
                           pg_outcome_t *outcome);

/* How many requests this process has sent: whoever has fetched something ahead can see whether the
 * program has asked for something since. */
uint64_t pg_call_count(void);

void pg_call_unref(pg_call_t *call);

/* The handler of replies. */
void pg_call_replied(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
