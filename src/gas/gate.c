/*
 * Design notes. Entering and closing each write their own word first and then read the other's:
 * `active` then `holder`, `holder` then `active`; all of it sequentially consistent, so at least
 * one of the two sees the other. A thread that has to sleep counts itself in `sleepers` under the
 * lock, looks again and waits; who changes a word looks at `sleepers` afterwards. So nobody who
 * does not have to sleep takes the lock.
 *
 * A closer keeps newcomers out from the start (`holder`), so it gets in however busy the others
 * are. If its time is over it takes its name back.
 */
#include "gate.h"

#include "clock.h"

void gas_gate_init(gas_gate_t *gate)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&gate->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_init(&gate->holder, NULL);
    atomic_init(&gate->active, 0);
    atomic_init(&gate->sleepers, 0);
    gate->nesting = 0;
}

void gas_gate_fini(gas_gate_t *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
}

/* A word has changed: those who sleep look again. */
static void wake_sleepers(gas_gate_t *gate)
{
    if (atomic_load(&gate->sleepers) == 0)
        return;
    pthread_mutex_lock(&gate->lock);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* Sleeps until woken or the deadline; false if that has passed. Under the lock, counted. */
static bool sleep_locked(gas_gate_t *gate, uint64_t deadline)
{
    struct timespec until = gas_clock_timespec(deadline);

    if (deadline == GAS_FOREVER)
        return pthread_cond_wait(&gate->changed, &gate->lock) == 0;
    return pthread_cond_timedwait(&gate->changed, &gate->lock, &until) == 0;
}

bool gas_gate_enter(gas_gate_t *gate, void *me)
{
    void *holder;

    atomic_fetch_add(&gate->active, 1);
    holder = atomic_load(&gate->holder);
    if (holder == NULL || holder == me)
        return true;
    gas_gate_leave(gate);
    return false;
}

void gas_gate_leave(gas_gate_t *gate)
{
    if (atomic_fetch_sub(&gate->active, 1) == 1)
        wake_sleepers(gate);
}

/* As gas_gate_enter(), whose way back takes the lock. It only tries where it may succeed, or two
 * who wait here would wake each other for ever. */
static bool try_enter_locked(gas_gate_t *gate, void *me)
{
    void *holder = atomic_load(&gate->holder);

    if (holder != NULL && holder != me)
        return false;
    atomic_fetch_add(&gate->active, 1);
    holder = atomic_load(&gate->holder);
    if (holder == NULL || holder == me)
        return true;
    if (atomic_fetch_sub(&gate->active, 1) == 1)
        pthread_cond_broadcast(&gate->changed);
    return false;
}

bool gas_gate_enter_waiting(gas_gate_t *gate, void *me, uint64_t deadline)
{
    bool entered = gas_gate_enter(gate, me);

    if (entered)
        return true;
    pthread_mutex_lock(&gate->lock);
    atomic_fetch_add(&gate->sleepers, 1);
    while (!(entered = try_enter_locked(gate, me)) && sleep_locked(gate, deadline))
        ;
    atomic_fetch_sub(&gate->sleepers, 1);
    pthread_mutex_unlock(&gate->lock);
    return entered;
}

static bool try_name(gas_gate_t *gate, void *me)
{
    void *nobody = NULL;

    return atomic_compare_exchange_strong(&gate->holder, &nobody, me);
}

bool gas_gate_close(gas_gate_t *gate, void *me, uint64_t deadline)
{
    bool named, closed;

    if (atomic_load(&gate->holder) == me) {
        gate->nesting++;
        return true;
    }
    named = try_name(gate, me);
    closed = named && atomic_load(&gate->active) == 0;
    if (!closed) {
        bool in_time = true;

        pthread_mutex_lock(&gate->lock);
        atomic_fetch_add(&gate->sleepers, 1);
        while (!closed && in_time) {
            named = named || try_name(gate, me);
            closed = named && atomic_load(&gate->active) == 0;
            if (!closed)
                in_time = sleep_locked(gate, deadline);
        }
        atomic_fetch_sub(&gate->sleepers, 1);
        if (!closed && named) {
            atomic_store(&gate->holder, NULL);
            pthread_cond_broadcast(&gate->changed);
        }
        pthread_mutex_unlock(&gate->lock);
    }
    if (closed)
        gate->nesting = 1;
    return closed;
}

bool gas_gate_open(gas_gate_t *gate)
{
    if (--gate->nesting > 0)
        return false;
    atomic_store(&gate->holder, NULL);
    wake_sleepers(gate);
    return true;
}
