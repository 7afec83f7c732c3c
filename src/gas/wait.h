/*
 * How a thread of the program waits: gas_wait().
 */
#ifndef GAS_WAIT_H
#define GAS_WAIT_H

#include "event.h"
#include "status.h"

#include <stdint.h>

typedef struct gas_job gas_job_t;

/* Flags of gas_wait(). */
#define GAS_WAIT_WORK 1u    /* also return, with GAS_WORK, when there is work that I could drain */
#define GAS_WAIT_BRIEFLY 2u /* only spin, then return GAS_BUSY */
#define GAS_WAIT_HOME 4u    /* as GAS_WAIT_WORK, but only for work of my home */

#define GAS_WAIT_MORE 8u /* after a brief wait that was not enough: do not spin once more */

/* A gas_wait() that sleeps returns GAS_INTERRUPTED when a signal handler ran, and at least this
 * often (in nanoseconds), so that its caller can look at signals which another thread received. */
#define GAS_WAIT_SIGNALS 100000000u

/*
 * Blocks until `event` is set (GAS_OK), there is work for the caller (GAS_WORK, only with
 * GAS_WAIT_WORK or GAS_WAIT_HOME), the deadline (gas_clock_now() terms) has passed (GAS_TIMEOUT) or
 * signals should be looked at (GAS_INTERRUPTED). `event` may be NULL: wait for the rest. Polls, so
 * handlers run in here. Any thread; several at once. Sleeps when nothing happens for long. Who gets
 * GAS_WORK has to call gas_work_drain(): nobody else was asked to. After any other answer than
 * GAS_OK the event may still be set later, so it has to stay alive.
 */
gas_status_t gas_wait(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags);

/* How often gas_wait() has been called. */
uint64_t gas_wait_count(gas_job_t *job);

#endif
