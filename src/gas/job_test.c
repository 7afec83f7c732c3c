#include "job.h"

#include "testing/check.h"
#include "testing/inproc.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int arrived;

static void count(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    atomic_fetch_add(&arrived, 1);
    gas_msg_free(job, msg);
}

static void send_to(gas_job_t *job, int destination, uint16_t handler)
{
    gas_am_t am = {.handler = handler};

    CHECK(gas_am_send(job, destination, &am, NULL, NULL) == GAS_OK);
}

static void await_count(gas_job_t *job, int wanted)
{
    uint64_t deadline = deadline_in(2);

    while (atomic_load(&arrived) < wanted && gas_clock_left(deadline) > 0)
        gas_wait(job, NULL, gas_clock_now() + 1000000, 0);
    CHECK(atomic_load(&arrived) == wanted);
}

static void test_destinations(void)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {count, NULL}};
    gas_am_t am = {.handler = GAS_HANDLER_USER};
    world_t world;

    world_start(&world, 3, NULL, &params, NULL);
    CHECK(gas_am_send(world.jobs[0], 3, &am, NULL, NULL) == GAS_ERR_INVALID);
    CHECK(gas_am_send(world.jobs[0], -1, &am, NULL, NULL) == GAS_ERR_INVALID);
    for (int rank = 0; rank < 3; rank++)
        send_to(world.jobs[0], rank, GAS_HANDLER_USER);
    await_count(world.jobs[0], 3);
    world_stop(&world);
}

static void test_unknown_handler(void)
{
    gas_job_params_t params = {0};
    world_t world;

    world_start(&world, 2, NULL, &params, NULL);
    send_to(world.jobs[0], 1, GAS_HANDLER_USER);
    send_to(world.jobs[0], 1, 60000);
    AWAIT(atomic_load(&world.jobs[1]->dropped) == 2);
    world_stop(&world);
}

static void test_close(void)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {count, NULL}};
    world_t world;

    atomic_store(&arrived, 0);
    world_start(&world, 2, NULL, &params, NULL);
    gas_job_close(world.jobs[1]);
    send_to(world.jobs[0], 1, GAS_HANDLER_USER);
    AWAIT(atomic_load(&world.jobs[1]->dropped) == 1);
    CHECK(atomic_load(&arrived) == 0);
    world_stop(&world);
}

static void test_traffic(void)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {count, NULL}};
    gas_am_t am = {.handler = GAS_HANDLER_USER,
                   .header = "head",
                   .header_length = 4,
                   .data = "some data",
                   .data_length = 9};
    gas_exchange_t exchange;
    world_t world;

    atomic_store(&arrived, 0);
    world_start(&world, 3, NULL, &params, NULL);
    for (int i = 0; i < 5; i++)
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
    await_count(world.jobs[1], 5);
    exchange = gas_traffic_of_peer(world.jobs[0], 1);
    CHECK(exchange.sent.messages == 5 && exchange.sent.bytes == 5 * 13);
    CHECK(exchange.received.messages == 0 && exchange.received.bytes == 0);
    exchange = gas_traffic_of_handler(world.jobs[1], GAS_HANDLER_USER);
    CHECK(exchange.received.messages == 5 && exchange.received.bytes == 5 * 13);
    CHECK(gas_traffic_of_peer(world.jobs[0], 2).sent.messages == 0);
    world_stop(&world);
}

static void test_bad_setting(void)
{
    gas_job_params_t params = {.conduit = gas_conduit_loopback()};
    gas_job_t *job;

    CHECK(gas_boot_single_create(&params.boot) == GAS_OK);
    setenv("PYGAS_SPIN_US", "often", 1);
    CHECK(gas_job_start(&params, &job) == GAS_ERR_INVALID);
    unsetenv("PYGAS_SPIN_US");
    CHECK(strstr(gas_error_text(), "PYGAS_SPIN_US") != NULL);
}

static void note(void *arg, gas_status_t status)
{
    (void)status;
    atomic_store((atomic_int *)arg, 1);
}

/* A stop lets out what it has sent, but does not wait for ever for a peer that does not take it. */
static void test_stop_with_backlog(void)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {count, NULL}};
    gas_iov_t bulk = {"bulk", 4};
    gas_am_t am = {.handler = GAS_HANDLER_USER, .bulk_count = 1, .bulk = &bulk};
    atomic_int done = 0;
    uint64_t start;
    world_t world;

    atomic_store(&arrived, 0);
    world_start(&world, 2, &(gas_loopback_options_t){.queue_max = 2}, &params, NULL);
    for (int i = 0; i < 1000; i++)
        send_to(world.jobs[0], 1, GAS_HANDLER_USER);
    gas_job_stop(world.jobs[0]);
    await_count(world.jobs[1], 1000);
    gas_loopback_hub_cut(world.hub, 1, 1);
    /* Rank 1 sends to itself, so that only it is concerned; cut off, it never gets the message. */
    CHECK(gas_am_send(world.jobs[1], 1, &am, note, &done) == GAS_OK);
    start = gas_clock_now();
    gas_job_stop(world.jobs[1]);
    CHECK(gas_clock_now() - start < UINT64_C(4000000000) * patience());
    CHECK(atomic_load(&done) == 0);
    gas_inproc_destroy(world.group);
    gas_loopback_hub_destroy(world.hub);
}

int main(void)
{
    RUN(test_destinations);
    RUN(test_unknown_handler);
    RUN(test_close);
    RUN(test_traffic);
    RUN(test_bad_setting);
    RUN(test_stop_with_backlog);
    return 0;
}
