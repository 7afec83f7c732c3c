/* Large buffers between ranks of one host: read where they are, at once or piece by piece, also
 * when their sender has copied them meanwhile; and nothing of it by UCX's rendezvous. */
#include "../../testing/check.h"
#include "../../testing/parcels.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include "ucx_direct.h"

#include <stdlib.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define LARGE (32 * MIB)
#define POLLS_MAX 1000000u /* in a row, for something that needs no other rank */

static size_t by_rendezvous(gas_job_t *job)
{
    size_t count;

    gas_job_lock(job);
    count = ((ucx_conduit_t *)job->conduit)->rendezvous;
    gas_job_unlock(job);
    return count;
}

/* The ranks have done the same and nothing went by rendezvous. */
static void leave(gas_job_t *job)
{
    ranks_barrier(job);
    CHECK(by_rendezvous(job) == 0);
}

static const struct {
    uint32_t count;
    size_t length;
} shapes[] = {
    {1, LARGE},       {1, MIB}, {1, MIB + 1}, {1, 3 * MIB + 17},
    {3, 5 * MIB - 1}, {1, 1},   {300, 70001}, {1, 600000},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void send_shapes(gas_job_t *job, int to, int handler, bool changeable, parcel_sent_t *sent)
{
    for (uint32_t i = 0; i < SHAPES; i++)
        parcel_send(job, to, handler, i + 1, shapes[i].count, shapes[i].length, changeable,
                    &sent[i]);
}

static void await_shapes(gas_job_t *job, parcel_sent_t *sent)
{
    for (uint32_t i = 0; i < SHAPES; i++)
        parcel_await_sent(job, &sent[i]);
}

/* ---- received inside a handler ---- */

/* To itself as well. */
static void handler_body(gas_job_t *job)
{
    parcel_sent_t sent[SHAPES];

    ranks_barrier(job);
    for (int to = 0; to < gas_job_size(job); to++) {
        if (gas_job_rank(job) == 0)
            send_shapes(job, to, PARCEL_LAND, false, sent);
        if (gas_job_rank(job) == to)
            for (unsigned i = 0; i < SHAPES; i++)
                parcel_check(parcel_await(job, i));
        if (gas_job_rank(job) == 0)
            await_shapes(job, sent);
    }
    leave(job);
}

static void test_inside_a_handler(void)
{
    CHECK(ranks_run(1, parcel_handlers, handler_body));
    CHECK(ranks_run(2, parcel_handlers, handler_body));
}

/* The receiver's program is outside of the runtime: its progress thread does it. */
static void outside_body(gas_job_t *job)
{
    parcel_sent_t sent;

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        parcel_send(job, 1, PARCEL_LAND, 1, 1, LARGE, false, &sent);
        parcel_await_sent(job, &sent);
        step_set(1);
    } else {
        step_await(1);
        parcel_check(parcel_await(job, 0));
    }
    leave(job);
}

static void test_outside_of_the_runtime(void)
{
    step_reset();
    CHECK(ranks_run(2, parcel_handlers, outside_body));
}

/* Its program's thread receives, and goes to sleep in a wait. */
static void thread_body(gas_job_t *job)
{
    parcel_sent_t sent[3];

    ranks_barrier(job);
    for (uint32_t i = 0; i < 3; i++)
        parcel_send(job, 1 - gas_job_rank(job), PARCEL_KEEP, i + 1, 1, LARGE, false, &sent[i]);
    for (uint32_t i = 0; i < 3; i++) {
        parcel_t *parcel = parcel_await(job, i);

        usleep(20000); /* the progress thread has gone to sleep */
        parcel_receive(parcel);
        parcel_check(parcel);
    }
    for (uint32_t i = 0; i < 3; i++)
        parcel_await_sent(job, &sent[i]);
    leave(job);
}

static void test_received_by_a_thread(void)
{
    CHECK(ranks_run(2, parcel_handlers, thread_body));
}

/* ---- several at once ---- */

static void several_body(gas_job_t *job)
{
    enum { EACH = 4 };
    parcel_sent_t sent[EACH];

    ranks_barrier(job);
    if (gas_job_rank(job) > 0) {
        for (uint32_t i = 0; i < EACH; i++)
            parcel_send(job, 0, PARCEL_LAND, i + 10u * (uint32_t)gas_job_rank(job), 1, 16 * MIB,
                        false, &sent[i]);
        for (uint32_t i = 0; i < EACH; i++)
            parcel_await_sent(job, &sent[i]);
    } else {
        for (unsigned i = 0; i < 2 * EACH; i++)
            parcel_check(parcel_await(job, i));
    }
    leave(job);
}

static void test_several_at_once(void)
{
    CHECK(ranks_run(3, parcel_handlers, several_body));
}

/* Polls under the lock, in which nobody else does, until it has landed. */
static unsigned polls_until_landed(gas_job_t *job, parcel_t *parcel)
{
    unsigned polls = 0;

    for (; !gas_event_is_set(&parcel->outcome.event) && polls < POLLS_MAX; polls++)
        job->conduit->ops->poll(job->conduit);
    CHECK(parcel->outcome.status == GAS_OK);
    return polls;
}

/* Each poll reads a piece; the two of the same length, begun together, end one after the other. */
static void fair_body(gas_job_t *job)
{
    parcel_t *first, *second;
    parcel_sent_t sent;

    ranks_barrier(job);
    if (gas_job_rank(job) > 0) {
        parcel_send(job, 0, PARCEL_KEEP, (uint32_t)gas_job_rank(job), 1, LARGE, false, &sent);
        parcel_await_sent(job, &sent);
    } else {
        gas_job_lock(job);
        second = parcel_poll_for(job, 1);
        first = parcel_poll_for(job, 0);
        parcel_receive(first);
        parcel_receive(second);
        for (int i = 0; i < 100; i++) /* UCX has its own reasons for some of them */
            CHECK(job->conduit->ops->arm(job->conduit) == GAS_BUSY);
        CHECK(polls_until_landed(job, first) > 16);
        CHECK(polls_until_landed(job, second) == 1);
        gas_job_unlock(job);
        parcel_check(first);
        parcel_check(second);
    }
    leave(job);
}

static void test_they_share_the_time(void)
{
    CHECK(ranks_run(3, parcel_handlers, fair_body));
}

/* ---- settled ---- */

/* The sender changes its buffers before they are read; what arrives is what it sent. */
static int way; /* how the receiver gets them */
enum { RECEIVED, COPIED, BLIND, WAYS };

static void receive_settled(gas_job_t *job)
{
    ucx_conduit_t *conduit = (ucx_conduit_t *)job->conduit;

    if (way == BLIND) /* as if the kernel had said no */
        atomic_store(&conduit->peers[0].memory_seen, UCX_MEMORY_CLOSED);
    for (unsigned i = 0; i < SHAPES; i++) {
        parcel_t *parcel = parcel_await(job, i);

        if (way == COPIED)
            CHECK(parcel_copy(parcel) == GAS_OK);
        else
            parcel_receive(parcel);
        parcel_check(parcel);
    }
}

static void settled_body(gas_job_t *job)
{
    parcel_sent_t sent[SHAPES];

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        send_shapes(job, 1, PARCEL_KEEP, true, sent);
        CHECK(!gas_bulk_is_settled(job));
        CHECK(gas_bulk_settle(job) == GAS_OK && gas_bulk_is_settled(job));
        for (unsigned i = 0; i < SHAPES; i++)
            parcel_change(&sent[i], 99);
        step_set(1);
        await_shapes(job, sent);
        CHECK(way != BLIND || by_rendezvous(job) > 0);
    } else {
        step_await(1);
        receive_settled(job);
    }
    ranks_barrier(job);
    CHECK(way == BLIND || by_rendezvous(job) == 0);
}

static void test_settled_before_it_is_read(void)
{
    for (way = 0; way < WAYS; way++) {
        step_reset();
        CHECK(ranks_run(2, parcel_handlers, settled_body));
    }
}

/* Settles and changes what it sends between step 1, when some of it has been read, and step 2. */
static void send_and_settle(gas_job_t *job, uint32_t count, size_t length)
{
    parcel_sent_t sent;

    parcel_send(job, 1, PARCEL_KEEP, 1, count, length, true, &sent);
    step_await(1);
    CHECK(gas_bulk_settle(job) == GAS_OK);
    parcel_change(&sent, 99);
    step_set(2);
    parcel_await_sent(job, &sent);
}

/* Three pieces of it have been read. */
static void settled_midway_body(gas_job_t *job)
{
    parcel_t *parcel;

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        send_and_settle(job, 2, LARGE / 2);
    } else {
        gas_job_lock(job);
        parcel = parcel_poll_for(job, 0);
        parcel_receive(parcel);
        for (int i = 0; i < 3; i++)
            job->conduit->ops->poll(job->conduit);
        CHECK(!gas_event_is_set(&parcel->outcome.event));
        step_set(1);
        step_await(2);
        polls_until_landed(job, parcel);
        gas_job_unlock(job);
        parcel_check(parcel);
    }
    leave(job);
}

static void test_settled_while_it_is_read(void)
{
    step_reset();
    CHECK(ranks_run(2, parcel_handlers, settled_midway_body));
}

/* The same with many buffers that are copied in one go, of which some were read before. */
static void settled_among_body(gas_job_t *job)
{
    enum { COUNT = 300, MOST = 40000 };
    parcel_t *parcel;

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        send_and_settle(job, COUNT, 1001);
    } else {
        ucx_read_t read = {.count = COUNT};

        parcel = parcel_await(job, 0);
        parcel_make_landing(parcel);
        read.direct = parcel->msg->bulk[0].handle;
        read.bulk = parcel->msg->bulk;
        read.landing = parcel->parts;
        for (int i = 0; i < 3; i++)
            CHECK(ucx_read_on(&read, MOST) == UCX_READ_ON);
        CHECK(read.index > 64 && !read.settled);
        step_set(1);
        step_await(2);
        CHECK(ucx_read_on(&read, MOST) == UCX_READ_ON);
        CHECK(read.index == 0 && read.offset == 0 && read.settled);
        while (ucx_read_on(&read, MOST) == UCX_READ_ON)
            ;
        CHECK(read.index == COUNT && parcel_is(parcel, 1));
        parcel_free(parcel);
    }
    leave(job);
}

static void test_settled_among_many_buffers(void)
{
    step_reset();
    CHECK(ranks_run(2, parcel_handlers, settled_among_body));
}

/* The same at any moment, and with several on their way. */
static void settled_sometime_body(gas_job_t *job)
{
    enum { COUNT = 4 };
    parcel_sent_t sent[COUNT];

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        for (uint32_t i = 0; i < COUNT; i++)
            parcel_send(job, 1, PARCEL_LAND, i + 1, 1, 8 * MIB, true, &sent[i]);
        usleep((useconds_t)way * 500);
        CHECK(gas_bulk_settle(job) == GAS_OK);
        for (uint32_t i = 0; i < COUNT; i++)
            parcel_change(&sent[i], 99);
        for (uint32_t i = 0; i < COUNT; i++)
            parcel_await_sent(job, &sent[i]);
    } else {
        for (unsigned i = 0; i < COUNT; i++)
            parcel_check(parcel_await(job, i));
    }
    leave(job);
}

static void test_settled_at_any_moment(void)
{
    for (way = 0; way < 12; way++)
        CHECK(ranks_run(2, parcel_handlers, settled_sometime_body));
}

/* ---- the end of a job ---- */

/* A rank leaves while a buffer is being read: it stays until that is over. */
static void end_body(gas_job_t *job)
{
    static parcel_sent_t sent; /* its memory is read until the job is over */
    parcel_t *parcel;

    if (gas_job_rank(job) == 0) {
        parcel_send(job, 1, PARCEL_KEEP, 1, 1, LARGE, false, &sent);
        return;
    }
    parcel = parcel_await(job, 0);
    gas_job_lock(job);
    parcel_receive(parcel);
    CHECK(job->conduit->ops->outstanding(job->conduit) > 0);
    gas_job_unlock(job);
}

static void test_end_while_it_is_read(void)
{
    uint64_t before = gas_clock_now();

    CHECK(ranks_run(2, parcel_handlers, end_body));
    CHECK(gas_clock_now() - before < UINT64_C(1500000000) * patience());
}

/* ---- where reading is switched off ---- */

static void never_body(gas_job_t *job)
{
    parcel_sent_t sent[SHAPES];

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        send_shapes(job, 1, PARCEL_LAND, false, sent);
        await_shapes(job, sent);
        CHECK(by_rendezvous(job) > 0);
    } else {
        for (unsigned i = 0; i < SHAPES; i++)
            parcel_check(parcel_await(job, i));
    }
    ranks_barrier(job);
}

static void test_switched_off(void)
{
    setenv("PYGAS_DIRECT", "never", 1);
    CHECK(ranks_run(2, parcel_handlers, never_body));
    unsetenv("PYGAS_DIRECT");
}

int main(void)
{
    RUN(test_inside_a_handler);
    RUN(test_outside_of_the_runtime);
    RUN(test_received_by_a_thread);
    RUN(test_several_at_once);
    RUN(test_they_share_the_time);
    RUN(test_settled_before_it_is_read);
    RUN(test_settled_while_it_is_read);
    RUN(test_settled_among_many_buffers);
    RUN(test_settled_at_any_moment);
    RUN(test_end_while_it_is_read);
    RUN(test_switched_off);
    return 0;
}
