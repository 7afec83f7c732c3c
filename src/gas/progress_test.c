#include "progress.h"

#include "testing/check.h"
#include "testing/cpu.h"
#include "testing/notes.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MS 1000000u
#define SECOND 1000000000u

static atomic_uint kicks;

static void count_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)home;
    (void)age;
    atomic_fetch_add(&kicks, 1);
}

static void start(world_t *world, int size, const gas_loopback_options_t *options)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {note_arrived, NULL},
                               .kick = count_kick};

    world_start(world, size, options, &params, NULL);
}

/* The machine may let any thread wait for its turn. So what a wait takes is the least of so many.
 */
#define ATTEMPTS 5

/* How late a wait of `limit` ends, which is never too early. A wait for ever ends after
 * GAS_WAIT_SIGNALS to let signals in. */
static uint64_t lateness(gas_job_t *job, uint64_t limit, bool forever)
{
    gas_event_t event = GAS_EVENT_INIT;
    uint64_t least = GAS_FOREVER;

    for (int i = 0; i < ATTEMPTS && least >= 50 * MS; i++) {
        uint64_t before = gas_clock_now(), took;

        if (forever)
            CHECK(gas_wait(job, &event, GAS_FOREVER, 0) == GAS_INTERRUPTED);
        else
            CHECK(wait_until(job, &event, before + limit, 0) == GAS_TIMEOUT);
        took = gas_clock_now() - before;
        CHECK(took >= limit);
        if (took - limit < least)
            least = took - limit;
    }
    return least;
}

static void test_deadlines(void)
{
    gas_event_t event = GAS_EVENT_INIT;
    world_t world;

    start(&world, 1, NULL);
    for (uint64_t limit = 0; limit <= 250 * MS; limit = limit * 5 + 50000)
        CHECK(lateness(world.jobs[0], limit, false) < 50 * MS * patience());
    CHECK(gas_wait(world.jobs[0], &event, 0, 0) == GAS_TIMEOUT);
    CHECK(gas_wait(world.jobs[0], &event, GAS_FOREVER, GAS_WAIT_BRIEFLY) == GAS_BUSY);
    CHECK(lateness(world.jobs[0], GAS_WAIT_SIGNALS, true) < 50 * MS * patience());
    gas_event_set(&event);
    CHECK(gas_wait(world.jobs[0], &event, 0, 0) == GAS_OK);
    world_stop(&world);
}

static void on_signal(int number)
{
    (void)number;
}

static void *signal_soon(void *arg)
{
    usleep(20000);
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

static void test_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    gas_event_t event = GAS_EVENT_INIT;
    pthread_t self = pthread_self(), other;
    uint64_t before, least = GAS_FOREVER;
    world_t world;

    sigaction(SIGUSR1, &action, NULL);
    start(&world, 1, NULL);
    for (int i = 0; i < ATTEMPTS && least >= 60 * MS; i++) {
        pthread_create(&other, NULL, signal_soon, &self);
        before = gas_clock_now();
        CHECK(gas_wait(world.jobs[0], &event, GAS_FOREVER, 0) == GAS_INTERRUPTED);
        if (gas_clock_now() - before < least)
            least = gas_clock_now() - before;
        pthread_join(other, NULL);
    }
    CHECK(least < 60 * MS * patience());
    world_stop(&world);
}

static void test_idle_costs_nothing(void)
{
    gas_event_t event = GAS_EVENT_INIT;
    world_t world;
    double before;

    start(&world, 4, NULL);
    before = cpu_seconds();
    CHECK(wait_until(world.jobs[0], &event, gas_clock_now() + SECOND, GAS_WAIT_WORK) ==
          GAS_TIMEOUT);
    CHECK(cpu_within(before, 0.03, "1 s of waiting"));
    before = cpu_seconds();
    sleep(1);
    CHECK(cpu_within(before, 0.03, "1 s outside"));
    world_stop(&world);
}

/* ---- several threads ---- */

typedef struct waiting {
    gas_job_t *job;
    gas_event_t event;
    uint64_t done_at;
    unsigned flags;
} waiting_t;

static void *wait_body(void *arg)
{
    waiting_t *self = arg;

    CHECK(wait_until(self->job, &self->event, deadline_in(20), self->flags) == GAS_OK);
    self->done_at = gas_clock_now();
    return NULL;
}

/* Threads of rank 1 sleep; their events come by message, one by one, so that the watch has to go
 * from each to the next; the last one must hear of it just as soon. One that is not woken finds out
 * after GAS_WAIT_SIGNALS; few may be late, for want of a processor. */
static void test_handover(void)
{
    waiting_t waiting[6];
    pthread_t threads[6];
    int late = 0;
    world_t world;

    start(&world, 2, NULL);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 6; i++) {
            waiting[i] = (waiting_t){.job = world.jobs[1], .flags = i % 2 ? GAS_WAIT_WORK : 0};
            pthread_create(&threads[i], NULL, wait_body, &waiting[i]);
            usleep(100);
        }
        usleep(5000);
        for (int i = 0; i < 6; i++) {
            int next = (i * 5 + round) % 6;
            uint64_t sent = gas_clock_now();

            note_send(world.jobs[0], 1, (note_t){.event = &waiting[next].event});
            pthread_join(threads[next], NULL);
            late += waiting[next].done_at - sent >= 50 * MS * patience();
        }
    }
    CHECK(late <= 6); /* of 120 */
    world_stop(&world);
}

static void *set_body(void *arg)
{
    gas_event_t **events = arg;

    for (int i = 0; i < 6; i++) {
        usleep(500);
        gas_event_set(events[i]);
    }
    return NULL;
}

static void test_events_of_threads(void)
{
    waiting_t waiting[6];
    gas_event_t *events[6];
    pthread_t threads[6], setter;
    world_t world;

    start(&world, 1, NULL);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 6; i++) {
            waiting[i] = (waiting_t){.job = world.jobs[0]};
            events[i] = &waiting[i].event;
            pthread_create(&threads[i], NULL, wait_body, &waiting[i]);
        }
        pthread_create(&setter, NULL, set_body, events);
        for (int i = 0; i < 6; i++)
            pthread_join(threads[i], NULL);
        pthread_join(setter, NULL);
    }
    world_stop(&world);
}

static void test_work_wakes_sleeper(void)
{
    waiting_t waiting;
    pthread_t thread;
    world_t world;

    start(&world, 2, NULL);
    for (int round = 0; round < 50; round++) {
        waiting = (waiting_t){.job = world.jobs[1], .flags = GAS_WAIT_WORK};
        pthread_create(&thread, NULL, wait_body, &waiting);
        usleep(3000);
        atomic_store(&kicks, 0);
        if (round % 2 == 0) {
            note_send(world.jobs[0], 1, (note_t){.event = &waiting.event, .work = 1});
        } else {
            note_push(world.jobs[1], &waiting.event, round % 4 == 1);
        }
        pthread_join(thread, NULL);
    }
    world_stop(&world);
}

/* Nobody is inside rank 1: its progress thread takes the message in and kicks until it is drained.
 */
static void test_kicks(void)
{
    gas_event_t event = GAS_EVENT_INIT;
    world_t world;
    unsigned seen;

    start(&world, 2, NULL);
    usleep(10000);
    atomic_store(&kicks, 0);
    note_send(world.jobs[0], 1, (note_t){.event = &event, .work = 1});
    for (unsigned wanted = 1; wanted < 6; wanted++) {
        AWAIT(atomic_load(&kicks) >= wanted);
    }
    CHECK(!gas_event_is_set(&event));
    CHECK(gas_work_drain(world.jobs[1], SIZE_MAX, GAS_FOREVER) == 1);
    CHECK(gas_event_is_set(&event));
    usleep(30000);
    seen = atomic_load(&kicks);
    usleep(50000);
    CHECK(atomic_load(&kicks) == seen);
    world_stop(&world);
}

/* What a rank asks of itself is seen to as well, if nobody waits. */
static void test_own_work_is_kicked_for(void)
{
    gas_event_t event = GAS_EVENT_INIT;
    world_t world;

    start(&world, 1, NULL);
    for (int round = 0; round < 20; round++) {
        usleep((unsigned)round * 100); /* the progress thread has various things on its mind */
        event = (gas_event_t)GAS_EVENT_INIT;
        atomic_store(&kicks, 0);
        note_push(world.jobs[0], &event, true);
        if (round % 2 == 1)
            gas_work_hasten(world.jobs[0]); /* at once, then */
        else
            AWAIT(atomic_load(&kicks) > 0);
        CHECK(atomic_load(&kicks) > 0);
        CHECK(gas_work_drain(world.jobs[0], SIZE_MAX, GAS_FOREVER) == 1);
        CHECK(gas_event_is_set(&event));
    }
    world_stop(&world);
}

/* The sender's queue overflows and it goes away to compute: its progress thread sends the rest. */
static void test_backlog_is_sent(void)
{
    static gas_event_t events[2000];
    gas_event_t never = GAS_EVENT_INIT;
    world_t world;
    double before;

    start(&world, 2, &(gas_loopback_options_t){.queue_max = 4});
    for (int waits = 0; waits < 2; waits++) {
        memset(events, 0, sizeof(events));
        gas_loopback_hub_cut(world.hub, 1, 1);
        usleep(5000);
        for (int i = 0; i < 2000; i++)
            note_send(world.jobs[0], 1, (note_t){.event = &events[i]});
        before = cpu_seconds();
        if (waits)
            CHECK(wait_until(world.jobs[0], &never, gas_clock_now() + 100 * MS, 0) == GAS_TIMEOUT);
        else
            usleep(100000);
        fprintf(stderr, "  0.1 s with a backlog: %.1f ms of CPU\n", (cpu_seconds() - before) * 1e3);
        CHECK(!gas_event_is_set(&events[0]));
        gas_loopback_hub_cut(world.hub, 1, 0);
        AWAIT(gas_event_is_set(&events[1999]));
        for (int i = 0; i < 2000; i++)
            CHECK(gas_event_is_set(&events[i]));
    }
    world_stop(&world);
}

/* A tend that is due after `tend_after`, and says when it was called. */
static atomic_uint tended;
static _Atomic(uint64_t) tend_after;

static uint64_t count_tend(void *arg)
{
    (void)arg;
    atomic_fetch_add(&tended, 1);
    return atomic_load(&tend_after);
}

static bool tended_within(unsigned before, uint64_t limit)
{
    uint64_t deadline = gas_clock_now() + limit;

    while (atomic_load(&tended) == before && gas_clock_left(deadline) > 0)
        usleep(200);
    return atomic_load(&tended) > before;
}

static void test_tending(void)
{
    gas_job_params_t params = {
        .handlers[GAS_HANDLER_USER] = {note_arrived, NULL}, .kick = count_kick, .tend = count_tend};
    gas_event_t event = GAS_EVENT_INIT;
    unsigned before;
    world_t world;

    atomic_store(&tend_after, GAS_FOREVER);
    world_start(&world, 1, NULL, &params, NULL);
    usleep(50000);
    before = atomic_load(&tended);
    CHECK(!tended_within(before, 200 * MS)); /* asleep for good */
    for (int i = 0; i < 20; i++) {
        before = atomic_load(&tended);
        gas_progress_hurry(world.jobs[0]);
        CHECK(tended_within(before, SECOND * (uint64_t)patience()));
        usleep(2000);
    }
    /* Also while a waiting thread has the watch. */
    gas_wait(world.jobs[0], &event, gas_clock_now() + 20 * MS, 0);
    before = atomic_load(&tended);
    gas_progress_hurry(world.jobs[0]);
    CHECK(tended_within(before, SECOND * (uint64_t)patience()));
    /* And again and again if that is asked for. */
    atomic_store(&tend_after, 2 * MS);
    gas_progress_hurry(world.jobs[0]);
    for (int i = 0; i < 5; i++)
        CHECK(tended_within(atomic_load(&tended), SECOND * (uint64_t)patience()));
    world_stop(&world);
}

int main(void)
{
    RUN(test_deadlines);
    RUN(test_signal);
    RUN(test_idle_costs_nothing);
    RUN(test_handover);
    RUN(test_events_of_threads);
    RUN(test_work_wakes_sleeper);
    RUN(test_kicks);
    RUN(test_own_work_is_kicked_for);
    RUN(test_backlog_is_sent);
    RUN(test_tending);
    return 0;
}
