/*
 * Work for the layer above: what has arrived for it and can only be done in its own context (for
 * Python, attached to the interpreter).
 *
 * Rules. Items start in the order in which they were pushed (but see GAS_WORK_DEPTH_MAX). One
 * thread at a time has the right to drain; it may nest (an item may wait, and the wait drains
 * further items on the same thread), so an item is never interrupted by another one of this rank
 * unless it waits. Whoever pushes makes sure that somebody will come: a thread that waits and may
 * drain, else the one that is draining, else the layer above is kicked (gas_job_params_t.kick),
 * again and again until the queue is empty.
 */
#ifndef GAS_WORK_H
#define GAS_WORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;
typedef struct gas_work gas_work_t;

/* Embedded in whatever is to be done; `run` owns it from then on. */
struct gas_work {
    gas_work_t *next;
    void (*run)(gas_work_t *work);
    unsigned depth; /* how many items, each waiting for the next, led to this one; on any ranks */
};

typedef struct gas_workq {
    pthread_mutex_t lock;    /* a leaf */
    gas_work_t *head, *tail; /* guarded by lock */
    uint64_t since;          /* when the oldest item became the oldest; guarded by lock */
    atomic_size_t count;     /* written under lock, read anywhere */
    _Atomic(void *) drainer; /* token of the thread that may drain; NULL: free */
    unsigned depth;          /* nesting of gas_work_drain(); the drainer's own */
    unsigned running;        /* depth of the item that runs, innermost; the drainer's own */
    unsigned deepest;        /* no item is deeper; guarded by lock */
} gas_workq_t;

void gas_workq_init(gas_workq_t *queue);
void gas_workq_fini(gas_workq_t *queue); /* items left in it are the caller's to take out first */

/* Queue an item and see to it that it gets run. Any thread, also inside handlers. */
void gas_work_push(gas_job_t *job, gas_work_t *work);

/*
 * Run queued items, oldest first, until the queue is empty, `most` have run or `limit` nanoseconds
 * are over (checked between items). Returns how many ran; 0 also if another thread is draining.
 * What is left has been taken care of.
 */
size_t gas_work_drain(gas_job_t *job, size_t most, uint64_t limit);

/* True if there is something that the calling thread could drain now. */
bool gas_work_is_ready(gas_job_t *job);

/* True if the calling thread is inside gas_work_drain(). */
bool gas_work_is_draining(gas_job_t *job);

/* An address that names the calling thread. */
void *gas_work_token(void);

/* Take the oldest item without running it, to tear down; NULL when there is none. */
gas_work_t *gas_work_take(gas_job_t *job);

/* When draining is nested more deeply than this, only items run that are deeper than the one that
 * waits: it cannot need another one, and those have to run, or two ranks could wait for each other.
 * So the nesting is bounded by this and the depth of the deepest item. */
#define GAS_WORK_DEPTH_MAX 64

#endif
