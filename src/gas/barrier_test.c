#include "barrier.h"

#include "testing/check.h"
#include "testing/world.h"

#include <stdatomic.h>
#include <unistd.h>

#define BARRIERS 300

static atomic_int entered[BARRIERS];
static int size;

static void barrier(gas_job_t *job)
{
    gas_event_t event = GAS_EVENT_INIT;
    gas_status_t status;

    CHECK(gas_barrier_enter(job, &event) == GAS_OK);
    do
        status = gas_wait(job, &event, GAS_FOREVER, 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK && gas_barrier_status(job) == GAS_OK);
}

static void *many(void *arg)
{
    gas_job_t *job = *(gas_job_t **)arg;
    unsigned seed = (unsigned)gas_job_rank(job);

    for (int i = 0; i < BARRIERS; i++) {
        if (rand_r(&seed) % 50 == 0)
            usleep((useconds_t)(rand_r(&seed) % 3000));
        atomic_fetch_add(&entered[i], 1);
        barrier(job);
        CHECK(atomic_load(&entered[i]) == size);
    }
    return NULL;
}

static void test_sizes(void)
{
    gas_job_params_t params = {0};
    world_t world;

    for (size = 1; size <= WORLD_MAX; size++) {
        for (int i = 0; i < BARRIERS; i++)
            atomic_store(&entered[i], 0);
        world_start(&world, size, NULL, &params, NULL);
        in_threads(size, many, world.jobs, sizeof(world.jobs[0]));
        world_stop(&world);
    }
}

static void test_awaited_and_busy(void)
{
    gas_job_params_t params = {0};
    gas_event_t first = GAS_EVENT_INIT, second = GAS_EVENT_INIT, third = GAS_EVENT_INIT;
    world_t world;

    world_start(&world, 2, NULL, &params, NULL);
    CHECK(!gas_barrier_is_awaited(world.jobs[1]));
    CHECK(gas_barrier_enter(world.jobs[0], &first) == GAS_OK);
    CHECK(gas_barrier_enter(world.jobs[0], &second) == GAS_BUSY);
    CHECK(gas_wait(world.jobs[1], NULL, gas_clock_now() + 10000000, 0) == GAS_TIMEOUT);
    CHECK(gas_barrier_is_awaited(world.jobs[1]) && !gas_barrier_is_awaited(world.jobs[0]));
    CHECK(!gas_event_is_set(&first));
    CHECK(gas_barrier_enter(world.jobs[1], &third) == GAS_OK);
    CHECK(gas_wait(world.jobs[0], &first, gas_clock_now() + 1000000000, 0) == GAS_OK);
    CHECK(gas_event_is_set(&third) && !gas_barrier_is_awaited(world.jobs[1]));
    world_stop(&world);
}

int main(void)
{
    RUN(test_awaited_and_busy);
    RUN(test_sizes);
    return 0;
}
