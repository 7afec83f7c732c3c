#include "world.h"

#include "check.h"
#include "inproc.h"

#include <pthread.h>

typedef struct starter {
    world_t *world;
    int rank;
    gas_job_params_t params;
} starter_t;

static void *start_one(void *arg)
{
    starter_t *starter = arg;

    CHECK(gas_inproc_boot_create(starter->world->group, starter->rank, &starter->params.boot) ==
          GAS_OK);
    starter->params.conduit = gas_conduit_loopback();
    CHECK(gas_job_start(&starter->params, &starter->world->jobs[starter->rank]) == GAS_OK);
    return NULL;
}

static void *stop_one(void *arg)
{
    gas_job_stop(*(gas_job_t **)arg);
    return NULL;
}

static void ignore_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)home;
    (void)age;
}

void in_threads(int count, void *(*body)(void *arg), void *args, size_t size)
{
    pthread_t threads[64];

    CHECK(count <= 64);
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (char *)args + (size_t)i * size) == 0);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

void world_start(world_t *world, int size, const gas_loopback_options_t *options,
                 const gas_job_params_t *params, void *const *arg_per_rank)
{
    static const gas_loopback_options_t none;
    starter_t starters[WORLD_MAX];

    CHECK(size <= WORLD_MAX);
    world->size = size;
    world->hub = gas_loopback_hub_create(size, options != NULL ? options : &none);
    CHECK(world->hub != NULL);
    world->group = gas_inproc_create(size, world->hub);
    CHECK(world->group != NULL);
    for (int rank = 0; rank < size; rank++) {
        starter_t *starter = &starters[rank];

        starter->world = world;
        starter->rank = rank;
        starter->params = *params;
        if (starter->params.kick == NULL)
            starter->params.kick = ignore_kick;
        if (arg_per_rank == NULL)
            continue;
        starter->params.kick_arg = arg_per_rank[rank];
        for (int i = 0; i < GAS_HANDLER_MAX; i++)
            starter->params.handlers[i].arg = arg_per_rank[rank];
    }
    in_threads(size, start_one, starters, sizeof(starters[0]));
}

void world_stop(world_t *world)
{
    in_threads(world->size, stop_one, world->jobs, sizeof(world->jobs[0]));
    gas_inproc_destroy(world->group);
    gas_loopback_hub_destroy(world->hub);
}
