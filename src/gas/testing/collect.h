/* Collective operations that block, for tests; and those of many ranks that one thread carries on.
 */
#ifndef GAS_TESTING_COLLECT_H
#define GAS_TESTING_COLLECT_H

#include "world.h"

/* One rank's part of an operation. */
typedef struct collected {
    gas_coll_t *coll;
    atomic_bool over;
    gas_status_t begun;
} collected_t;

/* The barrier of the world, as a call that blocks and succeeds. */
void collect_barrier(gas_job_t *job);

/* Begins an operation; `part` stays alive until it is over. */
void collect_begin(gas_team_t *team, const gas_coll_args_t *args, collected_t *part);

/* Polls for all ranks of the world until each of the parts is over; checks that this takes less
 * than 20 s. */
void collect_finish(world_t *world, collected_t *parts, int count);

/* The same for one part, which polls for its rank only. */
void collect_finish_on(world_t *world, int rank, collected_t *part);

/* Frees the parts of those that were begun. */
void collect_free(collected_t *parts, int count);

#endif
