/*
 * Ranks that have failed (gas/failure.h), and calls of the runtime that have, as the binding sees
 * them.
 */
#ifndef PYGAS_BINDING_FAILURE_H
#define PYGAS_BINDING_FAILURE_H

#include "state.h"

/* The job's gas_failed_fn. Not attached: ends what is open to that rank, and queues the rest as
 * work.
 */
void pg_rank_failed(gas_job_t *job, int rank, void *arg);

/* Raises the exception for a failed runtime call, from gas_error_text(). Returns NULL. */
PyObject *pg_raise_status(gas_status_t status);

/* Raises RankFailedError for `rank`. Returns NULL. */
PyObject *pg_raise_rank_failed(int rank);

/* The same when it is not known yet whether anybody will look at it (told.h). */
PyObject *pg_rank_failed_quietly(int rank);

/* Raises RankFailedError for an operation of all ranks. Returns NULL. */
PyObject *pg_raise_ranks_failed(void);

/* True if a member of a team has failed; NULL: any rank. */
bool pg_member_has_failed(const gas_team_t *team);

/* The same for an operation of a team: names its members that have failed; all ranks that have, if
 * none of them is a member. */
PyObject *pg_raise_members_failed(const gas_team_t *team);

/*
 * Raises the exception for something that failed on the way to or from `rank`. A transport may
 * notice a death sooner than the launcher: so if it could be that, waits a little for the verdict.
 * Attached; no requests run meanwhile. Returns NULL.
 */
PyObject *pg_raise_transfer(int rank, gas_status_t status);

/* Python functions: failed_ranks() -> list of (rank, status, reason); require_all(), which raises
 * if there are any; catch_up(); set_policy(go_on). */
PyObject *pg_require_all(PyObject *module, PyObject *unused);
PyObject *pg_failed_ranks(PyObject *module, PyObject *unused);
PyObject *pg_catch_up(PyObject *module, PyObject *unused);
PyObject *pg_set_policy(PyObject *module, PyObject *go_on);

#endif
