/*
 * Inboxes: messages of collective operations that came before their receiver was ready for them.
 * There is one for each operation under way and each one that a peer has begun before this rank
 * has.
 *
 * Internal to the runtime. Everything here is under the conduit lock.
 */
#ifndef GAS_INBOX_H
#define GAS_INBOX_H

#include "message.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_coll gas_coll_t;
typedef struct gas_inbox gas_inbox_t;

#define GAS_INBOX_BUCKETS 256u
#define GAS_INBOX_BROKEN UINT32_MAX /* number of an inbox that tells that its team is broken */

struct gas_inbox {
    gas_inbox_t *next; /* of the same bucket */
    uint64_t team;
    uint32_t number;      /* of the operation in its team */
    gas_coll_t *coll;     /* NULL: this rank has not begun it */
    char *failure;        /* it has failed, before this rank began it: why; else NULL */
    gas_status_t failed;  /* likewise */
    bool told;            /* other members have been told of that by this rank */
    size_t count;         /* of messages */
    size_t bucket_count;  /* a power of 2; 0 as long as there never was a message */
    gas_msg_t **messages; /* by source modulo bucket_count; the order of arrival */
};

typedef struct gas_inboxes {
    gas_inbox_t *buckets[GAS_INBOX_BUCKETS];
} gas_inboxes_t;

/* NULL if there is none. */
gas_inbox_t *gas_inbox_find(gas_job_t *job, uint64_t team, uint32_t number);

/* The same, made if need be; NULL without memory. */
gas_inbox_t *gas_inbox_get(gas_job_t *job, uint64_t team, uint32_t number);

/* Puts a message in. False without memory: then it is still the caller's. */
bool gas_inbox_put(gas_inbox_t *inbox, gas_msg_t *msg);

/* Takes the oldest message of `source` out; NULL if there is none. */
gas_msg_t *gas_inbox_take(gas_inbox_t *inbox, int source);

/* Any one of the messages, which stays in; the one after `before` if that is not NULL. */
gas_msg_t *gas_inbox_next(gas_inbox_t *inbox, const gas_msg_t *before);

/* Frees its messages. */
void gas_inbox_clear(gas_job_t *job, gas_inbox_t *inbox);

/* Frees it and what is in it. */
void gas_inbox_free(gas_job_t *job, gas_inbox_t *inbox);

/* Frees those of a team for operations that this rank has not begun, and never will. */
void gas_inboxes_forget(gas_job_t *job, uint64_t team);

/* Frees all of them, before the conduit is closed. */
void gas_inboxes_fini(gas_job_t *job);

#endif
