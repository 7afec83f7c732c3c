/*
 * The heads of requests and replies on the wire.
 *
 * Design notes. A message of up to 60 bytes, with 9 of the conduit's, crosses a host in one cache
 * line, and each further line takes longer (ucx_wire.h). So heads are packed: numbers
 * that are mostly small take as many groups of seven bits as they need, lowest first, and flags
 * share a byte. A call with a small argument and its reply then fit.
 */
#ifndef PYGAS_BINDING_HEADS_H
#define PYGAS_BINDING_HEADS_H

#include "names.h"
#include "ops.h"
#include "payload.h"

#include <stdbool.h>
#include <stdint.h>

/* What the caller wants of a result. Two bits. */
typedef enum pg_want {
    PG_WANT_VALUE, /* the result by value; what cannot be copied as a Proxy */
    PG_WANT_COPY,  /* the result by value, or an exception */
    PG_WANT_PROXY, /* a Proxy to the result */
    PG_WANT_PLAIN  /* as PG_WANT_VALUE, but only the outcomes VALUE and ERROR: for Futures */
} pg_want_t;

/* What a result is. Three bits. */
typedef enum pg_outcome {
    PG_OUTCOME_VALUE,
    PG_OUTCOME_ERROR, /* the payload describes an exception */
    /* With these nothing travels. */
    PG_OUTCOME_METHOD,     /* an attribute that is a method */
    PG_OUTCOME_SELF,       /* the object itself */
    PG_OUTCOME_STOP,       /* an iterator is exhausted */
    PG_OUTCOME_CANCELLED,  /* the request was not started and never will be, or left a Future that
                              was cancelled */
    PG_OUTCOME_RETURNABLE, /* a value that is to come back if nobody takes it (giveback.h) */
    PG_OUTCOME_ENDED, /* not started, and never will be: the rank has ended its part of the job */
    PG_OUTCOME_COUNT
} pg_outcome_t;

static inline bool pg_outcome_is_failure(pg_outcome_t outcome)
{
    return outcome == PG_OUTCOME_ERROR || outcome == PG_OUTCOME_ENDED;
}

typedef struct pg_request_head {
    uint64_t call;
    uint64_t object; /* an id of exports.h, if the operation has an object */
    pg_wire_t wire;
    pg_op_t op;
    pg_want_t want;
    uint32_t thread;  /* whose request it is: a number of its rank (request.h) */
    uint16_t depth;   /* how many requests, one made within the other, led to this one */
    bool cancellable; /* the caller may ask to cancel it (cancel.h) */
    pg_name_t name;   /* of the attribute or method; then the payload is what the operation has
                         beside it: nothing, one object, or a method's positional arguments */
} pg_request_head_t;

typedef struct pg_reply_head {
    uint64_t call;
    pg_wire_t wire;
    pg_outcome_t outcome;
} pg_reply_head_t;

#define PG_HEAD_MAX 64 /* bytes, of either */

/* Write a head, and return how many bytes it took. */
size_t pg_request_head_put(const pg_request_head_t *head, uint8_t bytes[PG_HEAD_MAX]);
size_t pg_reply_head_put(const pg_reply_head_t *head, uint8_t bytes[PG_HEAD_MAX]);

/* Read a head of exactly `length` bytes, into which a spelled name then points; false if it is
 * malformed. */
bool pg_request_head_get(pg_request_head_t *head, const void *bytes, size_t length);
bool pg_reply_head_get(pg_reply_head_t *head, const void *bytes, size_t length);

#endif
