/*
 * Completion: one thing that will be over, and any number of threads that wait for it or for others
 * like it.
 *
 * A gas_event_t has one waiter and knows one thing. Here a *watch set* stands between: it holds a
 * watcher for each completion that it is interested in, and one event for the one thread that waits
 * for the set. So waiting for one of 20,000 completions costs one event, and each of them tells
 * only the sets that watch it.
 *
 * Everything here is memory only (but for pg_watch_wait()); locks are taken for some instructions.
 * Any thread, attached or not, also inside handlers, unless it says otherwise.
 */
#ifndef PYGAS_BINDING_COMPLETION_H
#define PYGAS_BINDING_COMPLETION_H

#include "state.h"

typedef struct pg_watch pg_watch_t;
typedef struct pg_watch_set pg_watch_set_t;

typedef struct pg_completion {
    atomic_bool done;    /* written under the lock of completion.c */
    bool failed;         /* likewise; of value once done */
    pg_watch_t *watches; /* under the lock */
    gas_work_t *notice;  /* under the lock: what finishing hands out */
} pg_completion_t;

/* A watcher; its owner's memory, from pg_watch_add() to pg_watch_remove(). */
struct pg_watch {
    pg_watch_set_t *set;
    pg_completion_t *completion; /* NULL once it is done */
    pg_watch_t *next, *prev;     /* of the completion's watches; then `next` of the set's done */
};

struct pg_watch_set {
    gas_event_t event;         /* set when `wanted` are done; valid while `waiting` */
    bool waiting, on_failure;  /* under the lock, as is all of it */
    size_t wanted, done;       /* `done`: not taken yet */
    int owner;                 /* of the one call that is waited for, to be asked; else -1 */
    bool failed;               /* one of them has failed */
    pg_watch_t *first, **last; /* those done and not taken, in the order of completion */
};

void pg_completion_init(pg_completion_t *completion);

/* True if it is over; what its finisher did before is visible then. */
static inline bool pg_completion_is_done(pg_completion_t *completion)
{
    return atomic_load_explicit(&completion->done, memory_order_acquire);
}

/* It is over: tells the sets that watch it. Returns the notice that was left for that moment, or
 * NULL. Once only; the completion is not touched after its watchers have been told. */
gas_work_t *pg_completion_finish(pg_completion_t *completion, bool failed);

/* Leaves `notice`, in place of an earlier one, to whoever finishes the completion. False, and
 * nothing is done, if it is over. */
bool pg_completion_leave(pg_completion_t *completion, gas_work_t *notice);

void pg_watch_set_init(pg_watch_set_t *set);
void pg_watch_add(pg_watch_set_t *set, pg_watch_t *watch, pg_completion_t *completion);

/* Does nothing if the completion is done. Then it may be freed. */
void pg_watch_remove(pg_watch_t *watch);

/*
 * Waits until `wanted` of those that have not been taken are done, or, if `on_failure`, one has
 * failed. Attached; requests to this rank run meanwhile. One thread at a time.
 * 1, 0 (the deadline passed) or -1, as pg_wait().
 */
int pg_watch_wait(pg_watch_set_t *set, size_t wanted, bool on_failure, uint64_t deadline);

/* The watcher of the next one that is done, or NULL. */
pg_watch_t *pg_watch_take(pg_watch_set_t *set);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_completion_after_fork(void);

#endif
