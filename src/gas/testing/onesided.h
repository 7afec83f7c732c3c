/* One-sided operations that block and have to succeed, for tests. */
#ifndef GAS_TESTING_ONESIDED_H
#define GAS_TESTING_ONESIDED_H

#include "../gas.h"

/* What an operation came to. */
typedef struct outcome {
    gas_event_t event;
    gas_status_t status;
} outcome_t;

void outcome_init(outcome_t *outcome);

/* A gas_done_fn; `arg` is an outcome. */
void outcome_set(void *arg, gas_status_t status);

/* Waits for it, 20 s at most; its status. */
gas_status_t outcome_await(gas_job_t *job, outcome_t *outcome);

void put_at(gas_job_t *job, int rank, size_t offset, const void *source, size_t length);
void get_at(gas_job_t *job, int rank, size_t offset, void *landing, size_t length);
void flush_all(gas_job_t *job);

/* The number before. */
gas_number_t atomic_at(gas_job_t *job, int rank, size_t offset, gas_atomic_t atomic);

/* Every kind of atomic, by all ranks at once, on 32- and 64-bit numbers and doubles at the start of
 * the segment of rank 0, which must be 0; checks that nothing is lost. `barrier` blocks until all
 * ranks have come to it. */
void contend_atomics(gas_job_t *job, unsigned times, void (*barrier)(gas_job_t *job));

#endif
