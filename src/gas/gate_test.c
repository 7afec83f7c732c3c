#include "gas.h"
#include "testing/check.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define MS 1000000u

static gas_job_t *job;
static atomic_int inside, workers, done;
static atomic_uint kicks, held_kicks;

static void count_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)home;
    atomic_fetch_add(&kicks, 1);
    if (age > 0 && gas_gate_holder(&job->gate) != NULL)
        atomic_fetch_add(&held_kicks, 1);
}

/* An item: no section may be open meanwhile. */
static void work_outside(gas_work_t *work)
{
    atomic_fetch_add(&workers, 1);
    CHECK(atomic_load(&inside) == 0);
    sched_yield();
    CHECK(atomic_load(&inside) == 0);
    atomic_fetch_sub(&workers, 1);
    atomic_fetch_add(&done, 1);
    free(work);
}

static void section(void)
{
    while (!gas_work_hold(job, gas_clock_now() + MS))
        ;
    CHECK(gas_work_hold(job, 0)); /* nests */
    CHECK(gas_work_is_holding(job));
    CHECK(atomic_fetch_add(&inside, 1) == 0 && atomic_load(&workers) == 0);
    sched_yield();
    CHECK(atomic_fetch_sub(&inside, 1) == 1 && atomic_load(&workers) == 0);
    gas_work_release(job);
    gas_work_release(job);
}

/* An item that waits: sections may come in between, but not while it goes on. */
static void work_with_wait(gas_work_t *work)
{
    bool parked;

    CHECK(gas_work_is_running(job));
    parked = gas_work_park(job);
    CHECK(parked && !gas_work_is_running(job));
    sched_yield();
    gas_work_drain(job, 1, GAS_FOREVER);
    while (!gas_work_resume(job, parked, gas_clock_now() + MS))
        ;
    CHECK(atomic_load(&inside) == 0);
    section(); /* also within an item */
    work_outside(work);
}

static void *mix(void *arg)
{
    int kind = *(int *)arg;

    for (int i = 0; i < 3000; i++) {
        gas_work_t *work = malloc(sizeof(*work));

        CHECK(work != NULL);
        *work = (gas_work_t){.run = i % 3 == 0 ? work_with_wait : work_outside};
        gas_work_push(job, work);
        if (kind == 0)
            section();
        else
            gas_work_drain(job, 2, GAS_FOREVER);
    }
    return NULL;
}

static void test_exclusion(void)
{
    int kinds[4] = {0, 0, 1, 1};

    in_threads(4, mix, kinds, sizeof(kinds[0]));
    while (gas_work_drain(job, SIZE_MAX, GAS_FOREVER) > 0)
        ;
    CHECK(atomic_load(&done) == 4 * 3000);
}

static atomic_int ran;

static void note(gas_work_t *work)
{
    (void)work;
    atomic_fetch_add(&ran, 1);
}

/* The holder may run notices, and nothing else; nobody else anything. */
static void *drain_nothing(void *arg)
{
    (void)arg;
    CHECK(!gas_work_is_ready(job, GAS_WORK_ALL));
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 0);
    CHECK(!gas_work_hold(job, gas_clock_now() + 5 * MS));
    return NULL;
}

static void test_what_runs_in_a_section(void)
{
    gas_work_t items[3] = {{.run = note}, {.run = note, .depth = GAS_WORK_NOTICE}, {.run = note}};
    gas_event_t never = GAS_EVENT_INIT;
    pthread_t other;

    CHECK(gas_work_hold(job, 0));
    for (int i = 0; i < 3; i++)
        gas_work_push(job, &items[i]);
    pthread_create(&other, NULL, drain_nothing, NULL);
    pthread_join(other, NULL);
    CHECK(gas_wait(job, &never, GAS_FOREVER, GAS_WAIT_WORK) == GAS_WORK);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 1);
    CHECK(gas_wait(job, &never, gas_clock_now() + 5 * MS, GAS_WAIT_WORK) == GAS_TIMEOUT);
    atomic_store(&kicks, 0);
    atomic_store(&held_kicks, 0);
    usleep(50000);
    CHECK(atomic_load(&held_kicks) > 0); /* so that it can be reported */
    gas_work_release(job);
    CHECK(atomic_load(&kicks) > atomic_load(&held_kicks));
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 2);
    CHECK(atomic_load(&ran) == 3);
}

static void *release_later(void *arg)
{
    CHECK(gas_work_hold(job, GAS_FOREVER));
    atomic_store((atomic_int *)arg, 1);
    usleep(20000);
    gas_work_release(job);
    return NULL;
}

/* A thread that sleeps at the gate is woken when it opens. */
static void test_sleepers(void)
{
    for (int i = 0; i < 20; i++) {
        atomic_int held = 0;
        pthread_t other;
        uint64_t begin;

        pthread_create(&other, NULL, release_later, &held);
        while (atomic_load(&held) == 0)
            sched_yield();
        begin = gas_clock_now();
        CHECK(gas_work_hold(job, GAS_FOREVER));
        CHECK(gas_clock_now() - begin < 1000 * (uint64_t)MS * patience());
        gas_work_release(job);
        pthread_join(other, NULL);
    }
}

int main(void)
{
    gas_job_params_t params = {.kick = count_kick};
    world_t world;

    world_start(&world, 1, NULL, &params, NULL);
    job = world.jobs[0];
    RUN(test_exclusion);
    RUN(test_what_runs_in_a_section);
    RUN(test_sleepers);
    world_stop(&world);
    return 0;
}
