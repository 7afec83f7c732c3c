/* Real ranks for tests: forked processes, wired up by the launcher's protocol. */
#ifndef GAS_TESTING_RANKS_H
#define GAS_TESTING_RANKS_H

#include "../gas.h"

typedef void (*rank_fn)(gas_job_t *job);

/* Runs `body` in `size` processes, each a rank of one job with the default conduit and these
 * handlers; true if every one ended well. Serves the launcher's side meanwhile. */
bool ranks_run(int size, const gas_handler_t *handlers, rank_fn body);

/* The same when rank `victim` is killed by SIGKILL on the way: the others are told so, and have to
 * end well. */
bool ranks_run_failing(int size, const gas_handler_t *handlers, rank_fn body, int victim);

/* The barrier, as a call that blocks. */
void ranks_barrier(gas_job_t *job);

#endif
