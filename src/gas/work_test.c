#include "gas.h"
#include "testing/check.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct task {
    gas_work_t work;
    int number;
} task_t;

static gas_job_t *job;
static int order[100000];
static int ran;
static atomic_uint kicks, late_kicks;

static void count_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)home;
    atomic_fetch_add(&kicks, 1);
    if (age > 0)
        atomic_fetch_add(&late_kicks, 1);
}

static void record(gas_work_t *work)
{
    order[ran++] = ((task_t *)work)->number;
}

static void push_numbers(task_t *tasks, int count)
{
    for (int i = 0; i < count; i++) {
        tasks[i].work = (gas_work_t){.run = record};
        tasks[i].number = i;
        gas_work_push(job, &tasks[i].work);
    }
}

static void test_fifo(void)
{
    task_t tasks[100];

    ran = 0;
    push_numbers(tasks, 100);
    CHECK(gas_work_is_ready(job, GAS_WORK_ALL) && !gas_work_is_running(job));
    CHECK(gas_work_drain(job, 10, GAS_FOREVER) == 10);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 90);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 0);
    for (int i = 0; i < 100; i++)
        CHECK(order[i] == i);
    CHECK(!gas_work_is_ready(job, GAS_WORK_ALL));
}

static void linger(gas_work_t *work)
{
    (void)work;
    ran++;
    usleep(2000);
}

static void test_limit(void)
{
    gas_work_t items[50];
    size_t first;

    ran = 0;
    for (int i = 0; i < 50; i++) {
        items[i] = (gas_work_t){.run = linger};
        gas_work_push(job, &items[i]);
    }
    first = gas_work_drain(job, SIZE_MAX, 5000000);
    CHECK(first >= 2 && first < 25);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 50 - first && ran == 50);
}

static void test_take(void)
{
    task_t tasks[3];

    push_numbers(tasks, 3);
    for (int i = 0; i < 3; i++)
        CHECK(((task_t *)gas_work_take(job))->number == i);
    CHECK(gas_work_take(job) == NULL);
}

/* Work that nobody drains is announced again and again, until it is drained. */
static void test_kicks(void)
{
    task_t task;
    unsigned late;

    atomic_store(&kicks, 0);
    atomic_store(&late_kicks, 0);
    ran = 0;
    push_numbers(&task, 1);
    CHECK(atomic_load(&kicks) >= 1);
    AWAIT(atomic_load(&late_kicks) >= 4);
    late = atomic_load(&late_kicks);
    CHECK(late >= 4 && late < 200);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 1);
    usleep(20000);
    late = atomic_load(&kicks);
    usleep(50000);
    CHECK(atomic_load(&kicks) == late);
}

static unsigned deepest, nested_runs;

/* Every item waits, and the wait drains the next one on top of it. */
static void nest(gas_work_t *work)
{
    static unsigned depth;

    (void)work;
    CHECK(gas_work_is_running(job));
    nested_runs++;
    if (++depth > deepest)
        deepest = depth;
    if (gas_wait(job, NULL, gas_clock_now() + 1000000, GAS_WAIT_WORK) == GAS_WORK)
        CHECK(gas_work_drain(job, 1, GAS_FOREVER) == 1);
    depth--;
}

/* How many items may have gone deeper than the rules allow, each on top of the one before, since
 * the machine was busy with something else and the queue looked stuck: the first one when nothing
 * has been taken for STUCK_NS, the next one after twice that, and so on. */
static unsigned deeper_since(uint64_t start)
{
    uint64_t passed = gas_clock_now() - start, needed = GAS_WORK_STUCK_NS;
    unsigned items = 0;

    for (; passed > needed; needed *= 2) {
        passed -= needed;
        items++;
    }
    return items;
}

/* Runs all that is queued, which began to be queued at `start`. True if it was nested just so
 * deeply. */
static bool nests_as_deep_as(unsigned wanted, uint64_t start)
{
    while (gas_work_is_ready(job, GAS_WORK_ALL))
        gas_work_drain(job, SIZE_MAX, GAS_FOREVER);
    return deepest >= wanted && deepest <= wanted + deeper_since(start);
}

static void test_nesting(void)
{
    uint64_t start = gas_clock_now();
    gas_work_t items[200];

    for (int i = 0; i < 200; i++) {
        items[i] = (gas_work_t){.run = nest};
        gas_work_push(job, &items[i]);
    }
    CHECK(nests_as_deep_as(GAS_WORK_DEPTH_MAX, start));
    CHECK(nested_runs == 200);
}

/* What a waiting item needs runs however deeply it is nested, and before items that came earlier.
 */
static void test_nesting_of_deeper_items(void)
{
    uint64_t start = gas_clock_now();
    gas_work_t items[203];

    nested_runs = deepest = 0;
    for (int i = 0; i < 203; i++) {
        items[i] = (gas_work_t){.run = nest, .depth = i < 200 ? 0 : (unsigned)i - 199};
        gas_work_push(job, &items[i]);
    }
    CHECK(nests_as_deep_as(GAS_WORK_DEPTH_MAX + 3, start));
    CHECK(nested_runs == 203);
}

/* Callbacks that wait nest no more deeply than requests do. */
static void test_nesting_of_callbacks(void)
{
    uint64_t start = gas_clock_now();
    gas_work_t items[200];

    nested_runs = deepest = 0;
    for (int i = 0; i < 200; i++) {
        items[i] = (gas_work_t){.run = nest, .depth = GAS_WORK_CALLBACK};
        gas_work_push(job, &items[i]);
    }
    CHECK(nests_as_deep_as(GAS_WORK_DEPTH_MAX, start));
    CHECK(nested_runs == 200);
}

static void count_run(gas_work_t *work)
{
    (void)work;
    ran++;
}

/* A callback within an item of depth 5: what it waits for is at least that deep. */
static void wait_in_callback(gas_work_t *work)
{
    gas_work_t shallow = {.run = count_run, .depth = 4}, deep = {.run = count_run, .depth = 6};

    (void)work;
    ran = 0;
    gas_work_push(job, &shallow);
    CHECK(!gas_work_is_ready(job, GAS_WORK_ALL));
    gas_work_push(job, &deep);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 1 && ran == 1);
    CHECK(gas_work_take(job) == &shallow);
}

static void wait_for_callback(gas_work_t *work)
{
    gas_work_t callback = {.run = wait_in_callback, .depth = GAS_WORK_CALLBACK};

    (void)work;
    gas_work_push(job, &callback);
    CHECK(gas_work_drain(job, 1, GAS_FOREVER) == 1);
}

static void test_depth_of_callbacks(void)
{
    gas_work_t item = {.run = wait_for_callback, .depth = 5};

    gas_work_push(job, &item);
    CHECK(gas_work_drain(job, 1, GAS_FOREVER) == 1);
}

static atomic_int inside, total, overlaps;

static void alone(gas_work_t *work)
{
    if (atomic_fetch_add(&inside, 1) != 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_add(&total, 1);
    atomic_fetch_sub(&inside, 1);
    free(work);
}

static void *push_and_drain(void *arg)
{
    int drains = *(int *)arg;

    for (int i = 0; i < 20000; i++) {
        gas_work_t *work = malloc(sizeof(*work));

        CHECK(work != NULL);
        *work = (gas_work_t){.run = alone};
        gas_work_push(job, work);
        if (drains)
            gas_work_drain(job, 3, GAS_FOREVER);
    }
    return NULL;
}

static void test_one_drainer(void)
{
    int drains[6] = {1, 1, 1, 0, 0, 1};

    in_threads(6, push_and_drain, drains, sizeof(drains[0]));
    while (gas_work_drain(job, SIZE_MAX, GAS_FOREVER) > 0)
        ;
    CHECK(atomic_load(&total) == 120000 && atomic_load(&overlaps) == 0);
}

int main(void)
{
    gas_job_params_t params = {.kick = count_kick};
    world_t world;

    world_start(&world, 1, NULL, &params, NULL);
    job = world.jobs[0];
    RUN(test_fifo);
    RUN(test_limit);
    RUN(test_take);
    RUN(test_kicks);
    RUN(test_nesting);
    RUN(test_nesting_of_deeper_items);
    RUN(test_nesting_of_callbacks);
    RUN(test_depth_of_callbacks);
    RUN(test_one_drainer);
    world_stop(&world);
    return 0;
}
