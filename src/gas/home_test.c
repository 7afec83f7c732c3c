#include "gas.h"
#include "testing/check.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define MS 1000000u
#define SECOND 1000000000u

typedef struct resident {
    int number;
    gas_home_t *home;
    atomic_int ready, leave;
    int ran; /* its own */
    pthread_t thread;
} resident_t;

typedef struct task {
    gas_work_t work;
    resident_t *resident;
    int number;
    atomic_int *finished;
} task_t;

static gas_job_t *job;
static atomic_uint kicks;
static gas_home_t *kicked;
static atomic_int refused;

static void count_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)age;
    if (home != NULL) {
        CHECK(home == kicked);
        atomic_fetch_add(&kicks, 1);
    }
}

/* Runs in its resident's thread, in order. */
static void run_at_home(gas_work_t *work)
{
    task_t *task = (task_t *)work;

    CHECK(pthread_equal(task->resident->thread, pthread_self()));
    CHECK(gas_home_is_here(task->resident->home));
    CHECK(task->resident->ran <= task->number);
    task->resident->ran = task->number + 1;
    atomic_fetch_add(task->finished, 1);
    free(task);
}

static void *reside(void *arg)
{
    resident_t *self = arg;
    gas_event_t never = GAS_EVENT_INIT;
    gas_work_t *left;

    self->thread = pthread_self();
    self->home = gas_home_open(job, false, 0);
    CHECK(self->home != NULL && gas_home_open(job, false, 0) == self->home);
    gas_home_ref(self->home);
    atomic_store(&self->ready, 1);
    while (!atomic_load(&self->leave)) {
        unsigned flags = self->number % 2 == 0 ? GAS_WAIT_WORK : GAS_WAIT_HOME;
        gas_status_t status = gas_wait(job, &never, gas_clock_now() + 100 * MS, flags);

        if (status == GAS_WORK)
            gas_work_drain(job, 3, GAS_FOREVER);
    }
    gas_home_close(job, self->home);
    while ((left = gas_home_take(self->home)) != NULL) {
        atomic_fetch_add(&refused, 1);
        free(left);
    }
    gas_home_unref(self->home);
    return NULL;
}

static task_t *task_for(resident_t *resident, int number, atomic_int *finished)
{
    task_t *task = malloc(sizeof(*task));

    CHECK(task != NULL);
    *task = (task_t){{.run = run_at_home}, resident, number, finished};
    return task;
}

/* Four threads wait; each gets its own work, and soon, awake or asleep. */
static void test_each_its_own(void)
{
    resident_t residents[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    atomic_int finished = 0;
    pthread_t threads[4];
    int pushed = 0;

    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, reside, &residents[i]);
        while (!atomic_load(&residents[i].ready))
            sched_yield();
    }
    for (int round = 0; round < 300; round++) {
        uint64_t deadline = deadline_in(20);

        for (int i = 0; i < 4; i++)
            for (int n = 0; n < (round + i) % 5; n++, pushed++)
                CHECK(gas_home_push(job, residents[i].home,
                                    &task_for(&residents[i], round * 8 + n, &finished)->work));
        while (atomic_load(&finished) < pushed && gas_clock_now() < deadline)
            sched_yield();
        CHECK(atomic_load(&finished) == pushed);
        if (round % 30 == 0)
            usleep(5000); /* they sleep */
    }
    for (int i = 0; i < 4; i++) {
        atomic_store(&residents[i].leave, 1);
        pthread_join(threads[i], NULL);
        gas_home_unref(residents[i].home);
    }
}

/* A thread ends while others push: everything is run, taken out or refused. */
static void test_the_end_of_a_thread(void)
{
    for (int round = 0; round < 50; round++) {
        resident_t resident = {.number = round};
        atomic_int finished = 0;
        pthread_t thread;
        int turned_away = 0;

        atomic_store(&refused, 0);
        pthread_create(&thread, NULL, reside, &resident);
        while (!atomic_load(&resident.ready))
            sched_yield();
        for (int i = 0; i < 500; i++) {
            task_t *task = task_for(&resident, i, &finished);

            if (i == 100)
                atomic_store(&resident.leave, 1);
            if (!gas_home_push(job, resident.home, &task->work)) {
                turned_away++;
                free(task);
            }
        }
        pthread_join(thread, NULL);
        CHECK(atomic_load(&finished) + atomic_load(&refused) + turned_away == 500);
        CHECK(!gas_home_push(job, resident.home, &(gas_work_t){.run = NULL}));
        gas_home_unref(resident.home);
    }
}

static void count(gas_work_t *work)
{
    (void)work;
    atomic_fetch_add(&refused, 1);
}

/* A thread that can be kicked is, again and again, until its work is drained; the two queues take
 * turns. */
static void test_kicks_and_turns(void)
{
    gas_home_t *home = kicked = gas_home_open(job, true, 7);
    gas_work_t own[10], general[10];
    unsigned seen;

    CHECK(home->tag == 7 && gas_home_mine(job) == home);
    atomic_store(&refused, 0);
    for (int i = 0; i < 10; i++) {
        own[i] = general[i] = (gas_work_t){.run = count};
        CHECK(gas_home_push(job, home, &own[i]));
        gas_work_push(job, &general[i]);
    }
    usleep(50000);
    CHECK(atomic_load(&kicks) >= 4);
    CHECK(gas_work_drain(job, 10, GAS_FOREVER) == 10);
    CHECK(atomic_load(&home->queue.count) == 5 && atomic_load(&job->workq.count) == 5);
    CHECK(gas_work_drain_some(
              job,
              &(gas_drain_t){.which = GAS_WORK_HOME, .most = SIZE_MAX, .limit = GAS_FOREVER}) == 5);
    CHECK(gas_work_drain(job, SIZE_MAX, GAS_FOREVER) == 5);
    usleep(20000);
    seen = atomic_load(&kicks);
    usleep(50000);
    CHECK(atomic_load(&kicks) == seen);
    gas_home_close(job, home);
    gas_home_unref(home);
}

int main(void)
{
    gas_job_params_t params = {.kick = count_kick};
    world_t world;

    world_start(&world, 1, NULL, &params, NULL);
    job = world.jobs[0];
    RUN(test_each_its_own);
    RUN(test_the_end_of_a_thread);
    RUN(test_kicks_and_turns);
    world_stop(&world);
    return 0;
}
