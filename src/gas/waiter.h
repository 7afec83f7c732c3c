/*
 * A waiter: how one thread sleeps and how others wake it. Internal to wait.c and progress.c.
 */
#ifndef GAS_WAITER_H
#define GAS_WAITER_H

#include "event.h"
#include "status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gas_waiter gas_waiter_t;

struct gas_waiter {
    gas_waiter_t *next; /* of waiting threads, or of the free list; guarded by progress.lock */
    gas_waiter_t *prev;
    int wake_fd;        /* an eventfd of its own */
    unsigned flags;     /* of its gas_wait(); guarded by progress.lock */
    void *token;        /* of its thread; guarded by progress.lock, as is the next */
    bool drains;        /* it runs any work that comes */
    atomic_bool asleep; /* it sleeps, or is about to: whoever has news writes to wake_fd */
};

/* GAS_ERR_IO without a descriptor left. */
gas_status_t gas_waiter_init(gas_waiter_t *waiter);
void gas_waiter_fini(gas_waiter_t *waiter);

/* The owner says that it is about to sleep. Then it looks for news once more, then sleeps. */
void gas_waiter_announce(gas_waiter_t *waiter);

/* Sleeps until woken, for at most `timeout` nanoseconds. True if a signal handler ran. */
bool gas_waiter_sleep(gas_waiter_t *waiter, uint64_t timeout);

/* The owner takes its announcement back, slept or not. */
void gas_waiter_retract(gas_waiter_t *waiter);

/* Wakes `waiter` if it has announced a sleep. Any thread, also inside handlers. The waiter may have
 * been reused by another thread, which then wakes for nothing. */
void gas_waiter_wake(gas_waiter_t *waiter);

/* Sets an event and wakes who waits for it. Any thread, also inside handlers. `event` may be freed
 * by its waiter as soon as this begins. */
void gas_event_set(gas_event_t *event);

#endif
