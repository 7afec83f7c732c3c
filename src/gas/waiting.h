/*
 * What threads wait for, for whoever wants to know why nothing moves.
 *
 * A thread that is about to wait says what for; who asks, from any thread, gets a list. A wait that
 * is over before it comes to sleeping costs a few stores and no lock.
 */
#ifndef GAS_WAITING_H
#define GAS_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_job gas_job_t;

/* One wait; its thread's memory, from begin to end. */
typedef struct gas_waiting gas_waiting_t;
struct gas_waiting {
    const char *what;           /* "the reply to a call"; lives for ever */
    int peer;                   /* the rank that it is waited for; -1: none in particular */
    gas_waiting_t *outer;       /* the wait within which this thread does work; NULL: none */
    bool listed;                /* its thread's own */
    uint64_t since;             /* guarded by progress.lock, as the rest: when it first slept */
    bool asleep;                /* it is inside gas_wait(), or about to be again at once */
    void *token;                /* of its thread: gas_work_token() */
    int64_t thread;             /* likewise, for the system */
    gas_waiting_t *next, *prev; /* of those that have slept */
};

/* Around the calls of gas_wait() that wait for one thing. They nest within a thread. */
void gas_waiting_begin(gas_waiting_t *waiting, const char *what, int peer);
void gas_waiting_end(gas_job_t *job, gas_waiting_t *waiting);

/* Internal, under progress.lock: the calling thread goes to sleep, or has slept. */
void gas_waiting_sleeps_locked(gas_job_t *job);
void gas_waiting_slept_locked(gas_job_t *job);

/* For how many nanoseconds a thread of this rank has been waiting, and no work was running; 0 if
 * none waits or some runs. Any thread. */
uint64_t gas_waiting_time(gas_job_t *job);

/*
 * Writes a line for each wait that has come to sleeping, at most `size` bytes:
 * "W\t<thread>\t<milliseconds>\t<rank or -1>\t<what>\n". The number of bytes. Any thread.
 */
size_t gas_waiting_list(gas_job_t *job, char *text, size_t size);

#endif
