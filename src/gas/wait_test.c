/* Waiting under stress: many threads and ranks, all against all. */
#include "wait.h"

#include "testing/check.h"
#include "testing/notes.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define MS 1000000u
#define SECOND 1000000000u

static atomic_bool over;

typedef struct pinger {
    world_t *world;
    int index;
    unsigned pings;
    uint64_t slowest;
} pinger_t;

/* Pings random ranks, now directly, now as work of theirs; the event is freed at once. */
static void *ping(void *arg)
{
    pinger_t *self = arg;
    unsigned seed = (unsigned)self->index + 1;
    gas_job_t *job = self->world->jobs[self->index % self->world->size];

    while (!atomic_load(&over)) {
        gas_event_t *event = malloc(sizeof(*event));
        uint64_t before = gas_clock_now(), took;
        note_t note = {.event = event, .back = 1, .work = rand_r(&seed) % 2};

        CHECK(event != NULL);
        gas_event_init(event);
        note_send(job, rand_r(&seed) % self->world->size, note);
        CHECK(wait_until(job, event, deadline_in(30), GAS_WAIT_WORK) == GAS_OK);
        free(event);
        took = gas_clock_now() - before;
        if (took > self->slowest)
            self->slowest = took;
        self->pings++;
        if (rand_r(&seed) % 20 == 0)
            usleep((useconds_t)(rand_r(&seed) % 2000));
    }
    /* Others may still need this rank to do their work. */
    CHECK(wait_until(job, NULL, gas_clock_now() + 300 * MS, GAS_WAIT_WORK) == GAS_TIMEOUT);
    return NULL;
}

static void *end_soon(void *arg)
{
    usleep(*(useconds_t *)arg);
    atomic_store(&over, true);
    return NULL;
}

static void stress(const gas_loopback_options_t *options, int size)
{
    useconds_t duration = 3000000;
    pinger_t pingers[8];
    unsigned pings = 0;
    uint64_t slowest = 0;
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {note_arrived, NULL}};
    pthread_t ender;
    world_t world;

    world_start(&world, size, options, &params, NULL);
    atomic_store(&over, false);
    for (int i = 0; i < 8; i++)
        pingers[i] = (pinger_t){.world = &world, .index = i};
    pthread_create(&ender, NULL, end_soon, &duration);
    in_threads(8, ping, pingers, sizeof(pingers[0]));
    pthread_join(ender, NULL);
    for (int i = 0; i < 8; i++) {
        pings += pingers[i].pings;
        if (pingers[i].slowest > slowest)
            slowest = pingers[i].slowest;
    }
    fprintf(stderr, "  %u pings, the slowest %.1f ms\n", pings, (double)slowest * 1e-6);
    CHECK(pings > 100);
    world_stop(&world);
}

static void test_stress(void)
{
    stress(NULL, 4);
}

static void test_stress_of_one_rank(void)
{
    stress(NULL, 1);
}

static void test_stress_made_hard(void)
{
    stress(&(gas_loopback_options_t){.queue_max = 2, .busy_every = 3, .early_every = 5}, 4);
}

/* ---- a peer on the same processor ---- */

static _Atomic(gas_event_t *) asked;

/* Sets the event that is asked for. */
static void *answer(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        gas_event_t *event = atomic_exchange(&asked, NULL);

        if (event != NULL)
            gas_event_set(event);
        else
            sched_yield();
    }
    return NULL;
}

static void ask(gas_job_t *job)
{
    gas_event_t event = GAS_EVENT_INIT;

    atomic_store(&asked, &event);
    CHECK(wait_until(job, &event, deadline_in(30), 0) == GAS_OK);
}

static unsigned handovers(gas_job_t *job)
{
    return atomic_load(&job->progress.handovers);
}

/* Both threads on one processor: waits are seen to end by yielding, and others end that. */
static void test_handovers(void)
{
    gas_job_params_t params = {.kick = NULL};
    gas_event_t set = {GAS_EVENT_SET};
    uint64_t end = deadline_in(20);
    cpu_set_t before, one;
    pthread_t peer;
    world_t world;
    int first = 0;

    CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    world_start(&world, 1, NULL, &params, NULL);
    CHECK(handovers(world.jobs[0]) == 0);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0); /* of this thread and those it starts */
    atomic_store(&over, false);
    pthread_create(&peer, NULL, answer, NULL);
    while (handovers(world.jobs[0]) < 4 && gas_clock_now() < end)
        ask(world.jobs[0]);
    CHECK(handovers(world.jobs[0]) == 4);
    /* What was there at once says nothing. */
    CHECK(gas_wait(world.jobs[0], &set, GAS_FOREVER, 0) == GAS_OK);
    CHECK(handovers(world.jobs[0]) == 4);
    atomic_store(&over, true);
    pthread_join(peer, NULL);
    CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
    world_stop(&world);
}

int main(void)
{
    RUN(test_handovers);
    RUN(test_stress);
    RUN(test_stress_of_one_rank);
    RUN(test_stress_made_hard);
    return 0;
}
