/* A job of several ranks in this process, on the loopback conduit. */
#ifndef GAS_TESTING_WORLD_H
#define GAS_TESTING_WORLD_H

#include "../conduit/loopback/loopback.h"
#include "../gas.h"

#define WORLD_MAX 64

typedef struct world {
    int size;
    gas_loopback_hub_t *hub;
    gas_job_t *jobs[WORLD_MAX];
    struct gas_inproc *group;
} world_t;

/* Starts every rank. Of `params`, handlers, kick and interrupt count; with `arg_per_rank` not NULL,
 * rank r's handlers and kick get arg_per_rank[r]. */
void world_start(world_t *world, int size, const gas_loopback_options_t *options,
                 const gas_job_params_t *params, void *const *arg_per_rank);

/* Stops every rank, all at once as real ones would. */
void world_stop(world_t *world);

/* Runs body(arg[i]) in `count` threads and waits for them. `args` is an array of `size`-byte
 * elements. */
void in_threads(int count, void *(*body)(void *arg), void *args, size_t size);

#endif
