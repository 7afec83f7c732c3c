#include "failure.h"

#include "testing/check.h"
#include "testing/collect.h"
#include "testing/inproc.h"
#include "testing/onesided.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <string.h>
#include <unistd.h>

enum { NOTE = GAS_HANDLER_USER };

static _Atomic(gas_msg_t *) kept;
static atomic_int arrived, told;

static void keep(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    atomic_fetch_add(&arrived, 1);
    if (msg->bulk_count > 0)
        kept = msg;
    else
        gas_msg_free(job, msg);
}

/* The layer above hears of it once for each survivor, and can send then. */
static void on_failed(gas_job_t *job, int rank, void *arg)
{
    gas_am_t am = {.handler = NOTE};

    (void)arg;
    CHECK(gas_rank_has_failed(job, rank));
    CHECK(gas_am_send(job, rank, &am, NULL, NULL) == GAS_ERR_RANK_FAILED);
    atomic_fetch_add(&told, 1);
}

static void start(world_t *world, int size, const gas_loopback_options_t *options)
{
    gas_job_params_t params = {.failed = on_failed};

    params.handlers[NOTE].run = keep;
    atomic_store(&arrived, 0);
    atomic_store(&told, 0);
    kept = NULL;
    world_start(world, size, options, &params, NULL);
}

static void fail(world_t *world, int rank)
{
    gas_inproc_fail(world->group, rank, -9, "was killed by SIGKILL");
}

static void await_failure(gas_job_t *job, int rank)
{
    uint64_t deadline = deadline_in(10);

    while (!gas_rank_has_failed(job, rank)) {
        CHECK(gas_clock_left(deadline) > 0);
        gas_wait(job, NULL, gas_clock_now() + 1000000, 0);
    }
}

static void await_event(gas_job_t *job, gas_event_t *event)
{
    gas_status_t status;

    do
        status = gas_wait(job, event, deadline_in(10), 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK);
}

static void poll_for_a_while(gas_job_t *job)
{
    gas_wait(job, NULL, gas_clock_now() + 20000000, 0);
}

static void test_what_is_known(void)
{
    gas_failed_t failed;
    world_t world;

    start(&world, 3, NULL);
    CHECK(gas_failure_count(world.jobs[0]) == 0 && !gas_failure_get(world.jobs[0], 0, &failed));
    CHECK(gas_failure_check(world.jobs[0]) == GAS_OK);
    fail(&world, 2);
    await_failure(world.jobs[0], 2);
    await_failure(world.jobs[1], 2);
    fail(&world, 2); /* said twice, and nonsense */
    gas_failure_report(world.jobs[0], 0, 1, "is this very rank");
    gas_failure_report(world.jobs[0], 3, 1, "does not exist");
    gas_failure_report(world.jobs[0], -1, 1, "does not exist");
    poll_for_a_while(world.jobs[0]);
    gas_job_lock(world.jobs[1]); /* it is told right after it can be asked */
    gas_job_unlock(world.jobs[1]);
    CHECK(gas_failure_count(world.jobs[0]) == 1 && atomic_load(&told) == 2);
    CHECK(gas_failure_get(world.jobs[0], 0, &failed) &&
          !gas_failure_get(world.jobs[0], 1, &failed));
    CHECK(failed.rank == 2 && failed.status == -9);
    CHECK(strcmp(failed.reason, "was killed by SIGKILL") == 0);
    CHECK(!gas_rank_has_failed(world.jobs[0], 1));
    CHECK(gas_failure_check(world.jobs[0]) == GAS_ERR_RANK_FAILED && gas_error_rank() == 2);
    CHECK(strcmp(gas_error_text(), "rank 2 has failed: it was killed by SIGKILL") == 0);
    world_stop(&world);
}

/* What was sent before the failure arrives, what comes after it does not. */
static void test_messages(void)
{
    gas_am_t am = {.handler = NOTE};
    world_t world;

    start(&world, 2, NULL);
    gas_job_lock(world.jobs[0]); /* so that nobody polls */
    for (int i = 0; i < 100; i++)
        CHECK(gas_am_send(world.jobs[1], 0, &am, NULL, NULL) == GAS_OK);
    fail(&world, 1);
    CHECK(atomic_load(&arrived) == 0);
    gas_job_unlock(world.jobs[0]);
    await_failure(world.jobs[0], 1);
    CHECK(atomic_load(&arrived) == 100);
    CHECK(gas_am_send(world.jobs[1], 0, &am, NULL, NULL) == GAS_OK);
    poll_for_a_while(world.jobs[0]);
    CHECK(atomic_load(&arrived) == 100);
    CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_ERR_RANK_FAILED);
    CHECK(gas_error_rank() == 1);
    world_stop(&world);
}

/* A rank whose queue is full, with buffers and a backlog on their way to it. */
static void test_sends_are_purged(void)
{
    gas_loopback_options_t options = {.queue_max = 4};
    char bytes[100] = {0};
    gas_iov_t bulk = {bytes, sizeof(bytes)};
    gas_am_t big = {.handler = NOTE, .bulk = &bulk, .bulk_count = 1}, small = {.handler = NOTE};
    outcome_t outcomes[20];
    world_t world;

    start(&world, 3, &options);
    gas_loopback_hub_cut(world.hub, 1, 1);
    for (int i = 0; i < 20; i++) {
        outcome_init(&outcomes[i]);
        CHECK(gas_am_send(world.jobs[0], 1, &big, outcome_set, &outcomes[i]) == GAS_OK);
        CHECK(gas_am_send(world.jobs[0], 1, &small, NULL, NULL) == GAS_OK);
    }
    CHECK(atomic_load(&world.jobs[0]->backlog) == 40);
    fail(&world, 1);
    for (int i = 0; i < 20; i++)
        CHECK(outcome_await(world.jobs[0], &outcomes[i]) == GAS_ERR_RANK_FAILED);
    gas_job_lock(world.jobs[0]); /* whoever ends what is open may be in the midst of it */
    CHECK(atomic_load(&world.jobs[0]->backlog) == 0);
    CHECK(world.jobs[0]->conduit->ops->outstanding(world.jobs[0]->conduit) == 0);
    gas_job_unlock(world.jobs[0]);
    CHECK(gas_am_send(world.jobs[0], 2, &small, NULL, NULL) == GAS_OK);
    gas_loopback_hub_cut(world.hub, 1, 0);
    world_stop(&world);
}

static void test_buffers_of_the_dead(void)
{
    char bytes[100] = {0}, here[100];
    gas_iov_t bulk = {bytes, sizeof(bytes)};
    gas_am_t am = {.handler = NOTE, .bulk = &bulk, .bulk_count = 1};
    void *landing = here;
    outcome_t sent, landed;
    world_t world;

    start(&world, 2, NULL);
    outcome_init(&sent);
    outcome_init(&landed);
    CHECK(gas_am_send(world.jobs[1], 0, &am, outcome_set, &sent) == GAS_OK);
    while (kept == NULL)
        poll_for_a_while(world.jobs[0]);
    fail(&world, 1);
    await_failure(world.jobs[0], 1);
    CHECK(gas_msg_receive(world.jobs[0], kept, &landing, outcome_set, &landed) == GAS_OK);
    CHECK(outcome_await(world.jobs[0], &landed) == GAS_ERR_RANK_FAILED);
    gas_msg_free(world.jobs[0], kept);
    CHECK(outcome_await(world.jobs[1], &sent) == GAS_OK);
    world_stop(&world);
}

static void test_barrier_and_mailbox(void)
{
    gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};
    collected_t barrier, again;
    uint64_t tag = 7;
    gas_am_t am = {.handler = GAS_HANDLER_MAILBOX, .header = &tag, .header_length = sizeof(tag)};
    gas_parcel_t waiting, early, late;
    world_t world;

    start(&world, 4, NULL);
    collect_begin(world.jobs[0]->teams.world, &args, &barrier);
    gas_mailbox_expect(world.jobs[0], &waiting, 1, 3, 0); /* not of the rank that fails */
    CHECK(gas_am_send(world.jobs[3], 0, &am, NULL, NULL) == GAS_OK);
    poll_for_a_while(world.jobs[0]);
    fail(&world, 2);
    collect_finish(&world, &barrier, 1);
    CHECK(gas_coll_status(barrier.coll) == GAS_ERR_RANK_FAILED);
    CHECK(strcmp(gas_coll_text(barrier.coll), "rank 2 has failed: it was killed by SIGKILL") == 0);
    collect_free(&barrier, 1);
    await_event(world.jobs[0], &waiting.event);
    CHECK(gas_mailbox_cancel(world.jobs[0], &waiting) == NULL);
    collect_begin(world.jobs[0]->teams.world, &args, &again);
    CHECK(again.begun == GAS_ERR_RANK_FAILED);
    gas_mailbox_expect(world.jobs[0], &early, 7, 3, 0); /* what is there can be had */
    CHECK(gas_event_is_set(&early.event));
    gas_msg_free(world.jobs[0], gas_mailbox_cancel(world.jobs[0], &early));
    gas_mailbox_expect(world.jobs[0], &late, 8, 3, 0);
    CHECK(gas_event_is_set(&late.event));
    CHECK(gas_mailbox_cancel(world.jobs[0], &late) == NULL);
    world_stop(&world);
}

static void test_segments(const char *mode)
{
    outcome_t put, get, flush;
    char bytes[8192] = {0};
    world_t world;

    setenv("PYGAS_ONE_SIDED", mode, 1);
    start(&world, 3, NULL);
    for (int rank = 0; rank < 3; rank++)
        if (rank != 2)
            CHECK(gas_segment_attach(world.jobs[rank], 65536) == GAS_OK);
    put_at(world.jobs[0], 1, 0, "x", 1);
    outcome_init(&put);
    outcome_init(&get);
    outcome_init(&flush);
    /* Rank 2 has not attached, so these wait; rank 1 is cut off, so these too, if by message. */
    CHECK(gas_put(world.jobs[0], 2, 0, bytes, 1, outcome_set, &put) == GAS_OK);
    CHECK(gas_flush(world.jobs[0], outcome_set, &flush) == GAS_OK);
    gas_loopback_hub_cut(world.hub, 1, 1);
    CHECK(gas_get(world.jobs[0], 1, 0, bytes, sizeof(bytes), outcome_set, &get) == GAS_OK);
    fail(&world, 2);
    CHECK(outcome_await(world.jobs[0], &put) == GAS_ERR_RANK_FAILED);
    CHECK(outcome_await(world.jobs[0], &flush) == GAS_OK); /* the put had its own error */
    fail(&world, 1);
    outcome_await(world.jobs[0], &get);
    if (strcmp(mode, "message") == 0)
        CHECK(get.status == GAS_ERR_RANK_FAILED);
    await_failure(world.jobs[0], 1);
    for (int rank = 1; rank < 3; rank++) {
        CHECK(gas_put(world.jobs[0], rank, 0, bytes, 1, outcome_set, &put) == GAS_ERR_RANK_FAILED);
        CHECK(gas_get(world.jobs[0], rank, 0, bytes, 1, outcome_set, &get) == GAS_ERR_RANK_FAILED);
        CHECK(gas_error_rank() == rank);
    }
    put_at(world.jobs[0], 0, 0, "x", 1);
    gas_loopback_hub_cut(world.hub, 1, 0);
    world_stop(&world);
    unsetenv("PYGAS_ONE_SIDED");
}

static void test_one_sided(void)
{
    test_segments("auto");
    test_segments("rdma");
    test_segments("message");
}

/* Ranks fail one after the other while all the others exchange messages. */
static atomic_bool enough;

static void *chatter(void *arg)
{
    gas_job_t *job = *(gas_job_t **)arg;
    char bytes[64] = {0};
    gas_iov_t bulk = {bytes, sizeof(bytes)};
    gas_am_t am = {.handler = NOTE, .bulk = &bulk, .bulk_count = 1};

    for (unsigned i = 0; !atomic_load(&enough); i++) {
        int to = (int)(i % (unsigned)gas_job_size(job));
        outcome_t outcome;

        outcome_init(&outcome);
        if (gas_am_send(job, to, &am, outcome_set, &outcome) == GAS_OK)
            outcome_await(job, &outcome);
        else
            CHECK(gas_rank_has_failed(job, to));
    }
    return NULL;
}

static void refuse(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    gas_msg_free(job, msg);
}

static void *fail_some(void *arg)
{
    world_t *world = arg;

    for (int rank = 1; rank < 4; rank++) {
        usleep(20000);
        fail(world, rank);
    }
    usleep(20000);
    atomic_store(&enough, true);
    return NULL;
}

static void test_under_load(void)
{
    gas_loopback_options_t options = {
        .queue_max = 3, .defer_landing = 1, .busy_every = 3, .early_every = 5};
    gas_job_params_t params = {.failed = on_failed};
    pthread_t thread;
    world_t world;

    params.handlers[NOTE].run = refuse;
    atomic_store(&enough, false);
    atomic_store(&told, 0);
    world_start(&world, 6, &options, &params, NULL);
    CHECK(pthread_create(&thread, NULL, fail_some, &world) == 0);
    in_threads(6, chatter, world.jobs, sizeof(world.jobs[0]));
    pthread_join(thread, NULL);
    for (int rank = 1; rank < 4; rank++)
        await_failure(world.jobs[5], rank);
    world_stop(&world);
}

int main(void)
{
    RUN(test_what_is_known);
    RUN(test_messages);
    RUN(test_sends_are_purged);
    RUN(test_buffers_of_the_dead);
    RUN(test_barrier_and_mailbox);
    RUN(test_one_sided);
    RUN(test_under_load);
    return 0;
}
