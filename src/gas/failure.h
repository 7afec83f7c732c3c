/*
 * Ranks that have failed: who, how it came about, and what becomes of what they took part in.
 *
 * A rank has failed when it ended without having finished its part of the job. The boot hears of it
 * and reports it; whoever polls next acts on it, under the conduit lock: what had arrived from the
 * rank by then is delivered, then the rank counts as failed here, for good, and everything that
 * waits for it ends with GAS_ERR_RANK_FAILED: sends, buffers, one-sided operations, collective
 * operations, parcels, and, by gas_job_params_t.failed, what the layer above has open. From then on
 * nothing can be sent to it.
 *
 * Ranks learn of a failure one by one: a collective that is under way may end well on some.
 */
#ifndef GAS_FAILURE_H
#define GAS_FAILURE_H

#include "status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct gas_job gas_job_t;

#define GAS_FAILURE_REASON_MAX 96

/* One rank that has failed. */
typedef struct gas_failed {
    int rank;
    int status; /* its exit code; minus the signal that killed it; 0: neither */
    char reason[GAS_FAILURE_REASON_MAX]; /* "was killed by SIGKILL", say */
} gas_failed_t;

typedef struct gas_failure {
    pthread_mutex_t lock;   /* a leaf */
    gas_failed_t *reported; /* in the order of reports, room for all; guarded by lock */
    size_t count;           /* of them; guarded by lock */
    atomic_bool pending;    /* some have been reported and not acted upon */
    atomic_size_t known;    /* that count as failed: the first of `reported` */
    atomic_bool *is_known;  /* by rank; written under the conduit lock */
} gas_failure_t;

gas_status_t gas_failure_init(gas_job_t *job);
void gas_failure_fini(gas_job_t *job);

/* A rank has failed, says the boot. Any thread, any context but a handler's; takes no lock but its
 * own. Reports about a rank that is known to have failed, and about this rank, do nothing. */
void gas_failure_report(gas_job_t *job, int rank, int status, const char *reason);

/* Acts on what has been reported. Under the conduit lock, not inside a poll. */
void gas_failure_handle(gas_job_t *job);

/* How many ranks count as failed. Any thread. */
size_t gas_failure_count(gas_job_t *job);

/* Number `i` of them, oldest first; false if there are not so many. Any thread. */
bool gas_failure_get(gas_job_t *job, size_t i, gas_failed_t *failed);

/* True if `rank` counts as failed. Any thread. */
bool gas_rank_has_failed(gas_job_t *job, int rank);

/* GAS_ERR_RANK_FAILED, with the text that names `rank` and says what became of it. */
gas_status_t gas_failure_error(gas_job_t *job, int rank);

/* The same for an operation of all ranks, with the first that failed; GAS_OK if none has. */
gas_status_t gas_failure_check(gas_job_t *job);

#endif
