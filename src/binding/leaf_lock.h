/*
 * A lock for what takes some instructions: to hold it one neither blocks nor takes another lock
 * that may be held for long, so it is hardly ever found taken.
 *
 * Taking it is one atomic exchange, and giving it a plain store: a third of what a pthread mutex
 * costs, which shows where a message takes four of them. Whoever finds it taken looks again, after
 * longer and longer rests: nobody wakes him up.
 */
#ifndef PYGAS_BINDING_LEAF_LOCK_H
#define PYGAS_BINDING_LEAF_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

/* All zero: it is free. */
typedef struct pg_leaf_lock {
    atomic_bool taken;
} pg_leaf_lock_t;

/* Internal: it was found taken. */
void pg_leaf_lock_await(pg_leaf_lock_t *lock);

static inline void pg_leaf_lock_take(pg_leaf_lock_t *lock)
{
    if (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire))
        pg_leaf_lock_await(lock);
}

/* Also in a forked child, where another thread of its parent had it. */
static inline void pg_leaf_lock_give(pg_leaf_lock_t *lock)
{
    atomic_store_explicit(&lock->taken, false, memory_order_release);
}

#endif
