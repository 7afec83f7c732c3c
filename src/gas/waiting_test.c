#include "waiting.h"

#include "testing/check.h"
#include "testing/notes.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static gas_job_t *job;
static gas_event_t inner, outer, running, go_on;

static bool lists(const char *what)
{
    char text[1024];
    size_t length = gas_waiting_list(job, text, sizeof(text) - 1);

    text[length] = '\0';
    return strstr(text, what) != NULL;
}

static void await(bool (*condition)(void))
{
    AWAIT(condition());
}

static bool waits_for_outer(void)
{
    return lists("\t3\tthe outer\n") && gas_waiting_time(job) > 0;
}

static bool waits_for_both(void)
{
    return lists("\t-1\tthe inner\n") && lists("\t3\tthe outer\n") && gas_waiting_time(job) > 0;
}

/* Work that runs within the outer wait: it computes for a while, then waits, too. */
static void work_run(gas_work_t *work)
{
    gas_waiting_t waiting;

    (void)work;
    gas_event_set(&running);
    while (!gas_event_is_set(&go_on))
        usleep(1000);
    gas_waiting_begin(&waiting, "the inner", -1);
    CHECK(wait_until(job, &inner, GAS_FOREVER, GAS_WAIT_WORK) == GAS_OK);
    gas_waiting_end(job, &waiting);
}

static void *wait_outer(void *arg)
{
    gas_waiting_t waiting;

    (void)arg;
    gas_waiting_begin(&waiting, "the outer", 3);
    CHECK(wait_until(job, &outer, GAS_FOREVER, GAS_WAIT_WORK) == GAS_OK);
    gas_waiting_end(job, &waiting);
    return NULL;
}

static void test_nested(void)
{
    static gas_work_t work = {.run = work_run};
    gas_job_params_t params = {0};
    pthread_t thread;
    world_t world;

    world_start(&world, 1, NULL, &params, NULL);
    job = world.jobs[0];
    CHECK(gas_waiting_time(job) == 0 && !lists("the"));
    pthread_create(&thread, NULL, wait_outer, NULL);
    await(waits_for_outer);
    gas_work_push(job, &work);
    while (!gas_event_is_set(&running))
        usleep(1000);
    CHECK(gas_waiting_time(job) == 0); /* it is busy */
    CHECK(lists("\t3\tthe outer\n"));
    gas_event_set(&go_on);
    await(waits_for_both);
    gas_event_set(&inner);
    await(waits_for_outer);
    gas_event_set(&outer);
    pthread_join(thread, NULL);
    CHECK(gas_waiting_time(job) == 0 && !lists("the"));
    world_stop(&world);
}

/* Many threads come and go while somebody looks; none is there at the end. */
static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        gas_event_t event = GAS_EVENT_INIT;
        gas_waiting_t waiting;

        gas_waiting_begin(&waiting, "nothing", i % 4);
        gas_wait(job, &event, gas_clock_now() + 100000u * (unsigned)(i % 10), 0);
        gas_waiting_end(job, &waiting);
    }
    return NULL;
}

static void *look(void *arg)
{
    char text[200];

    (void)arg;
    for (int i = 0; i < 2000; i++) {
        CHECK(gas_waiting_list(job, text, sizeof(text)) <= sizeof(text));
        gas_waiting_time(job);
    }
    return NULL;
}

static void *one_of_eight(void *arg)
{
    return *(int *)arg == 0 ? look(NULL) : come_and_go(NULL);
}

static void test_many(void)
{
    int numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    gas_job_params_t params = {0};
    world_t world;

    world_start(&world, 1, NULL, &params, NULL);
    job = world.jobs[0];
    in_threads(8, one_of_eight, numbers, sizeof(numbers[0]));
    CHECK(!lists("nothing"));
    world_stop(&world);
}

int main(void)
{
    RUN(test_nested);
    RUN(test_many);
    return 0;
}
