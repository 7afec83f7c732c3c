/*
 * Design notes. One lock guards all completions and sets: it is held for a few instructions per
 * watcher, and a set may watch completions that finish in different threads. It is a leaf, below
 * the conduit lock (replies finish completions inside handlers); nothing is allocated and no Python
 * object is touched under it, so a thread that holds it never waits for the interpreter.
 *
 * A set's event is set under the lock too, for a waiter whose deadline passed may leave at that
 * moment: it disarms the set under the lock before its memory goes.
 */
#include "completion.h"

#include "wait.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void pg_completion_init(pg_completion_t *completion)
{
    atomic_init(&completion->done, false);
    completion->failed = false;
    completion->watches = NULL;
    completion->notice = NULL;
}

static bool satisfied(const pg_watch_set_t *set)
{
    return set->done >= set->wanted || (set->on_failure && set->failed);
}

/* The watcher's completion is done. Under the lock. */
static void note_done(pg_watch_t *watch, bool failed)
{
    pg_watch_set_t *set = watch->set;

    watch->completion = NULL;
    watch->next = NULL;
    *set->last = watch;
    set->last = &watch->next;
    set->done++;
    set->failed |= failed;
    if (set->waiting && satisfied(set)) {
        set->waiting = false;
        gas_event_set(&set->event);
    }
}

gas_work_t *pg_completion_finish(pg_completion_t *completion, bool failed)
{
    gas_work_t *notice;
    pg_watch_t *watch;

    pthread_mutex_lock(&lock);
    completion->failed = failed;
    notice = completion->notice;
    watch = completion->watches;
    completion->watches = NULL;
    atomic_store_explicit(&completion->done, true, memory_order_release);
    while (watch != NULL) {
        pg_watch_t *next = watch->next;

        note_done(watch, failed);
        watch = next;
    }
    pthread_mutex_unlock(&lock);
    return notice;
}

bool pg_completion_leave(pg_completion_t *completion, gas_work_t *notice)
{
    bool left;

    pthread_mutex_lock(&lock);
    left = !pg_completion_is_done(completion);
    if (left)
        completion->notice = notice;
    pthread_mutex_unlock(&lock);
    return left;
}

void pg_watch_set_init(pg_watch_set_t *set)
{
    memset(set, 0, sizeof(*set));
    set->owner = -1;
    set->last = &set->first;
}

void pg_watch_add(pg_watch_set_t *set, pg_watch_t *watch, pg_completion_t *completion)
{
    watch->set = set;
    watch->completion = completion;
    watch->prev = NULL;
    pthread_mutex_lock(&lock);
    if (pg_completion_is_done(completion)) {
        note_done(watch, completion->failed);
    } else {
        watch->next = completion->watches;
        if (watch->next != NULL)
            watch->next->prev = watch;
        completion->watches = watch;
    }
    pthread_mutex_unlock(&lock);
}

void pg_watch_remove(pg_watch_t *watch)
{
    pthread_mutex_lock(&lock);
    if (watch->completion != NULL) {
        if (watch->prev != NULL)
            watch->prev->next = watch->next;
        else
            watch->completion->watches = watch->next;
        if (watch->next != NULL)
            watch->next->prev = watch->prev;
        watch->completion = NULL;
    }
    pthread_mutex_unlock(&lock);
}

int pg_watch_wait(pg_watch_set_t *set, size_t wanted, bool on_failure, uint64_t deadline)
{
    bool ready;
    int outcome;

    pthread_mutex_lock(&lock);
    set->wanted = wanted;
    set->on_failure = on_failure;
    ready = satisfied(set);
    if (!ready) {
        gas_event_init(&set->event);
        set->waiting = true;
    }
    pthread_mutex_unlock(&lock);
    if (ready)
        return 1;
    outcome = pg_enter();
    if (outcome == 0) {
        outcome = pg_wait_reply(&set->event, deadline, set->owner);
        pg_leave();
    }
    pthread_mutex_lock(&lock);
    if (!set->waiting && outcome == 0)
        outcome = 1;
    set->waiting = false;
    pthread_mutex_unlock(&lock);
    return outcome;
}

pg_watch_t *pg_watch_take(pg_watch_set_t *set)
{
    pg_watch_t *watch;

    pthread_mutex_lock(&lock);
    watch = set->first;
    if (watch != NULL) {
        set->first = watch->next;
        if (set->first == NULL)
            set->last = &set->first;
        set->done--;
    }
    pthread_mutex_unlock(&lock);
    return watch;
}

void pg_completion_after_fork(void)
{
    pthread_mutex_init(&lock, NULL);
}
