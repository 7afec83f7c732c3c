/* Waiting for messages of real ranks: what it costs, and how long they take. */
#include "../../gas.h"
#include "../../testing/check.h"
#include "../../testing/cpu.h"
#include "../../testing/notes.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include <unistd.h>

enum { PING = GAS_HANDLER_USER, PONG, STOP };

static gas_event_t pong, stopped;

static gas_handler_t handlers[GAS_HANDLER_MAX];

static void on_ping(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_am_t am = {.handler = PONG};

    (void)arg;
    CHECK(gas_am_send(job, msg->source, &am, NULL, NULL) == GAS_OK);
    gas_msg_free(job, msg);
}

static void on_pong(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    gas_msg_free(job, msg);
    gas_event_set(&pong);
}

static void on_stop(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    gas_msg_free(job, msg);
    gas_event_set(&stopped);
}

static void await_event(gas_job_t *job, gas_event_t *event)
{
    gas_status_t status;

    do
        status = gas_wait(job, event, deadline_in(20), 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK);
}

static void barrier_body(gas_job_t *job)
{
    unsigned times = rounds(2000);
    uint64_t before;

    ranks_barrier(job);
    before = gas_clock_now();
    for (unsigned i = 0; i < times; i++)
        ranks_barrier(job);
    if (gas_job_rank(job) == 0)
        fprintf(stderr, "  %d ranks: %.1f us a barrier\n", gas_job_size(job),
                (double)(gas_clock_now() - before) / (1e3 * times));
}

static void test_barrier(void)
{
    CHECK(ranks_run(2, handlers, barrier_body));
    CHECK(ranks_run(4, handlers, barrier_body));
}

static void idle_body(gas_job_t *job)
{
    gas_event_t never = GAS_EVENT_INIT;
    uint64_t deadline;
    double before;

    ranks_barrier(job);
    before = cpu_seconds();
    deadline = gas_clock_now() + 1000000000u;
    while (gas_wait(job, &never, deadline, GAS_WAIT_WORK) != GAS_TIMEOUT)
        ;
    CHECK(cpu_within(before, 0.03, "1 s of waiting"));
    ranks_barrier(job);
    before = cpu_seconds();
    sleep(1);
    CHECK(cpu_within(before, 0.03, "1 s outside"));
    ranks_barrier(job);
}

static void test_idle_costs_nothing(void)
{
    CHECK(ranks_run(2, handlers, idle_body));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median round trip in microseconds, one every `gap` microseconds; `raw`: without gas_wait().
 */
static double round_trip(gas_job_t *job, unsigned times, useconds_t gap, int raw)
{
    gas_am_t am = {.handler = PING};
    unsigned count = rounds(times);
    double *took = malloc(count * sizeof(*took)), median;

    for (unsigned i = 0; i < count; i++) {
        uint64_t before;

        if (gap > 0)
            usleep(gap);
        before = gas_clock_now();
        gas_event_init(&pong);
        CHECK(gas_am_send(job, 1, &am, NULL, NULL) == GAS_OK);
        while (raw && !gas_event_is_set(&pong)) {
            gas_job_lock(job);
            job->conduit->ops->poll(job->conduit);
            gas_job_unlock(job);
        }
        await_event(job, &pong);
        took[i] = (double)(gas_clock_now() - before) * 1e-3;
    }
    qsort(took, count, sizeof(*took), compare);
    median = took[count / 2];
    fprintf(stderr, "    slowest of %u: %.0f us\n", count, took[count - 1]);
    free(took);
    return median;
}

static void round_trip_body(gas_job_t *job)
{
    gas_am_t stop = {.handler = STOP};

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        round_trip(job, 10000, 0, 0);
        fprintf(stderr, "  round trip, the owner waits: %.2f us; polling without gas_wait %.2f\n",
                round_trip(job, 50000, 0, 0), round_trip(job, 50000, 0, 1));
        fprintf(stderr, "  one a ms, the owner waits: %.1f us\n", round_trip(job, 1000, 1000, 0));
        CHECK(gas_am_send(job, 1, &stop, NULL, NULL) == GAS_OK);
        fprintf(stderr, "  one a ms, the owner is outside: %.1f us\n",
                round_trip(job, 1000, 1000, 0));
    } else {
        await_event(job, &stopped);
        usleep(1800000);
    }
    ranks_barrier(job);
}

static void test_round_trip(void)
{
    CHECK(ranks_run(2, handlers, round_trip_body));
}

int main(void)
{
    handlers[PING].run = on_ping;
    handlers[PONG].run = on_pong;
    handlers[STOP].run = on_stop;
    RUN(test_barrier);
    RUN(test_idle_costs_nothing);
    RUN(test_round_trip);
    return 0;
}
