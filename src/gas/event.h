/*
 * A one-shot event: set once, from any context, awaited by at most one thread with gas_wait().
 *
 * Design notes. One word holds everything, so that the setter touches the event exactly once: as
 * soon as it is set, the waiter may return and free the memory it lives in. The word is UNSET, SET,
 * or the waiter that sleeps for it (waiters are never freed while the job lives: see wait.c).
 */
#ifndef GAS_EVENT_H
#define GAS_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GAS_EVENT_UNSET ((uintptr_t)0)
#define GAS_EVENT_SET ((uintptr_t)1)

typedef struct gas_event {
    _Atomic(uintptr_t) word;
} gas_event_t;

#define GAS_EVENT_INIT {GAS_EVENT_UNSET}

static inline void gas_event_init(gas_event_t *event)
{
    atomic_init(&event->word, GAS_EVENT_UNSET);
}

/* True once the event is set; everything that the setter did before is visible then. */
static inline bool gas_event_is_set(gas_event_t *event)
{
    return atomic_load_explicit(&event->word, memory_order_acquire) == GAS_EVENT_SET;
}

#endif
