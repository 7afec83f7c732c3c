/*
 * The hub of the loopback conduit, for the two files that share it: members, their queues, and the
 * bulk buffers on their way. Names that end in _locked want the hub's lock.
 */
#ifndef GAS_CONDUIT_LOOPBACK_LOOPBACK_HUB_H
#define GAS_CONDUIT_LOOPBACK_LOOPBACK_HUB_H

#include "loopback.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct loopback loopback_t;

/* A message's bulk buffers on their way. Guarded by the hub's lock. */
typedef struct send {
    loopback_t *sender;       /* NULL once it has gone: then the buffers are gone too */
    struct send *next, *prev; /* of the sender's */
    int destination;
    uint32_t left; /* buffers not received or declined */
    gas_status_t status;
    gas_done_fn done;
    void *arg;
} send_t;

/* A bulk handle. */
typedef struct announced {
    send_t *send;
    const void *base;
    size_t length;
} announced_t;

typedef enum item_kind { ITEM_MESSAGE, ITEM_DONE } item_kind_t;

typedef struct item {
    struct item *next;
    item_kind_t kind;
    gas_done_fn done; /* ITEM_DONE: done(arg, status) */
    void *arg;
    gas_status_t status;
    int destination;
    gas_arrival_t arrival; /* ITEM_MESSAGE; points into the item */
    char bytes[];
} item_t;

typedef struct queue {
    item_t *head, *tail;
    size_t count;
} queue_t;

typedef struct member {
    loopback_t *conduit; /* NULL: not there */
    queue_t queue;
    int event_fd;
    bool armed;
    bool cut;
    char *segment; /* the hub's, so that it outlives its rank as shared memory does */
} member_t;

struct gas_loopback_hub {
    pthread_mutex_t lock;
    gas_loopback_options_t options;
    int size;
    unsigned receives, arms, sleeps; /* counted for the options */
    member_t members[];
};

struct loopback {
    gas_conduit_t super;
    gas_conduit_params_t params;
    gas_loopback_hub_t *hub;
    member_t *self;
    send_t *sends;   /* not over; guarded by the hub's lock */
    size_t open;     /* how many; guarded by the hub's lock */
    queue_t backlog; /* guarded by the conduit lock */
};

/* True every `period` calls; never if it is 0. */
bool loopback_every(unsigned *count, unsigned period);

void loopback_queue_push(queue_t *queue, item_t *item);
item_t *loopback_queue_pop(queue_t *queue);

/* Puts an item into a member's queue and signals if that is armed. */
void loopback_arrive_locked(member_t *member, item_t *item);

/* An item that calls `done` in its receiver's poll; NULL without memory. */
item_t *loopback_done_item(gas_done_fn done, void *arg, gas_status_t status);

/* A buffer was received or declined: frees its handle, and tells the sender after the last one. */
void loopback_announced_over_locked(announced_t *announced, gas_status_t status);

/* Takes a send out of its sender's list. */
void loopback_send_unlink_locked(send_t *send);

/* Frees an item that nobody will see; its buffers count as declined. */
void loopback_item_drop_locked(item_t *item);

/* segments.c: operations of the table. */
gas_status_t loopback_segment_create(gas_conduit_t *conduit, size_t size, void **base, void **key,
                                     size_t *key_length);
gas_status_t loopback_segment_open(gas_conduit_t *conduit, int rank, const void *key,
                                   size_t key_length, gas_remote_t *remote);
gas_status_t loopback_put(gas_conduit_t *conduit, int rank, size_t offset, const void *source,
                          size_t length, gas_done_fn done, void *arg);
gas_status_t loopback_get(gas_conduit_t *conduit, int rank, size_t offset, void *landing,
                          size_t length, gas_done_fn done, void *arg);
gas_status_t loopback_flush(gas_conduit_t *conduit, gas_done_fn done, void *arg);

#endif
