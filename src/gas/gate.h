/*
 * The gate: one thread can hold off the work of its rank for a while, a critical section.
 *
 * Threads are *active* while they run work, but for the times at which that work waits. Closing the
 * gate waits until no other thread is active; then none becomes so until it is opened again. So a
 * section never interrupts a piece of work, unless that waits, and is never interrupted by one.
 * Sections of several threads exclude each other.
 */
#ifndef GAS_GATE_H
#define GAS_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gas_gate {
    pthread_mutex_t lock; /* a leaf; only for those who have to sleep, and who wakes them */
    pthread_cond_t changed;
    _Atomic(void *) holder; /* token of the thread that has closed it or is about to; NULL: open */
    atomic_uint active;     /* threads that run work */
    atomic_uint sleepers;   /* threads that sleep in here */
    unsigned nesting;       /* the holder's own */
} gas_gate_t;

void gas_gate_init(gas_gate_t *gate);
void gas_gate_fini(gas_gate_t *gate);

/* `me`: gas_work_token() of the calling thread. */

/* Become active; false if another thread has closed the gate. Does not block. */
bool gas_gate_enter(gas_gate_t *gate, void *me);
void gas_gate_leave(gas_gate_t *gate);

/* The same, but waits until `deadline` for the gate to open. */
bool gas_gate_enter_waiting(gas_gate_t *gate, void *me, uint64_t deadline);

/* Close it; nests. The caller is not active. Waits until `deadline` for other threads; false if
 * that was not enough, and nothing has changed. */
bool gas_gate_close(gas_gate_t *gate, void *me, uint64_t deadline);

/* Open it again; true if it is open now. Only the holder. */
bool gas_gate_open(gas_gate_t *gate);

static inline void *gas_gate_holder(gas_gate_t *gate)
{
    return atomic_load(&gate->holder);
}

#endif
