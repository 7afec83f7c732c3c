/* Segments on the loopback, reached in each of the three ways. */
#include "segment.h"

#include "testing/check.h"
#include "testing/collect.h"
#include "testing/onesided.h"
#include "testing/world.h"

#include <string.h>
#include <unistd.h>

#define SIZE ((size_t)1 << 20)
#define RANKS 4

static const char *const modes[] = {"auto", "rdma", "message"};
#define MODES 3

static void start(world_t *world, int size, const char *mode, const gas_loopback_options_t *options)
{
    gas_job_params_t params = {0};

    setenv("PYGAS_ONE_SIDED", mode, 1);
    world_start(world, size, options, &params, NULL);
    unsetenv("PYGAS_ONE_SIDED");
}

static void attach_all(world_t *world)
{
    for (int rank = 0; rank < world->size; rank++)
        CHECK(gas_segment_attach(world->jobs[rank], SIZE) == GAS_OK);
}

/* ---- every mode ---- */

static unsigned char pattern(int rank, size_t at)
{
    return (unsigned char)((size_t)rank * 37 + at * 5 + at / 4096);
}

static void *transfer_body(void *arg)
{
    static const size_t lengths[] = {0, 1, 7, 8, 4096, 4097, 65536, SIZE / RANKS};
    gas_job_t *job = *(gas_job_t **)arg;
    int rank = gas_job_rank(job);
    size_t mine = (size_t)rank * (SIZE / RANKS);
    unsigned char *bytes = malloc(SIZE), *back = malloc(SIZE);

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (int target = 0; target < gas_job_size(job); target++) {
            size_t offset = mine + (SIZE / RANKS - lengths[i]);

            for (size_t k = 0; k < lengths[i]; k++)
                bytes[k] = pattern(rank + (int)i, k);
            put_at(job, target, offset, bytes, lengths[i]);
            memset(bytes, 0, lengths[i]); /* the source may be reused */
            flush_all(job);
            memset(back, 0xee, SIZE);
            get_at(job, target, offset, back, lengths[i]);
            for (size_t k = 0; k < lengths[i]; k++)
                CHECK(back[k] == pattern(rank + (int)i, k));
            CHECK(back[lengths[i]] == 0xee);
        }
    collect_barrier(job);
    /* What others wrote is in my memory. */
    for (int other = 0; other < gas_job_size(job); other++)
        for (size_t k = 0; k < SIZE / RANKS; k++)
            CHECK(((unsigned char *)gas_segment_base(job))[(size_t)other * (SIZE / RANKS) + k] ==
                  pattern(other + 7, k));
    free(bytes);
    free(back);
    return NULL;
}

static void test_transfers(void)
{
    for (int mode = 0; mode < MODES; mode++) {
        world_t world;

        start(&world, RANKS, modes[mode],
              &(gas_loopback_options_t){.queue_max = mode == 2 ? 3 : 0});
        attach_all(&world);
        in_threads(RANKS, transfer_body, world.jobs, sizeof(world.jobs[0]));
        CHECK((gas_segment_pointer(world.jobs[0], 1) != NULL) == (mode == 0));
        for (int rank = 0; rank < RANKS; rank++)
            CHECK(atomic_load(&world.jobs[rank]->dropped) == 0);
        world_stop(&world);
    }
}

static void *atomics_body(void *arg)
{
    contend_atomics(*(gas_job_t **)arg, 200, collect_barrier);
    return NULL;
}

static void test_atomics(void)
{
    for (int mode = 0; mode < MODES; mode++) {
        world_t world;

        start(&world, RANKS, modes[mode], NULL);
        attach_all(&world);
        in_threads(RANKS, atomics_body, world.jobs, sizeof(world.jobs[0]));
        world_stop(&world);
    }
}

/* Many operations under way at once, flushes in between; each flush comes after what was before. */
static void test_many_at_once(void)
{
    enum { COUNT = 2000 };
    static outcome_t outcomes[COUNT];
    static uint64_t numbers[COUNT], back[COUNT];
    gas_atomic_t add = {.kind = GAS_ATOMIC_ADD, .type = GAS_ATOMIC_U64, .operand.u64 = 1};

    for (int mode = 0; mode < MODES; mode++) {
        world_t world;
        gas_job_t *job;

        start(&world, 2, modes[mode], NULL);
        attach_all(&world);
        job = world.jobs[0];
        for (size_t i = 0; i < COUNT; i++) {
            outcome_init(&outcomes[i]);
            numbers[i] = i * 977;
            CHECK(gas_put(job, 1, i * 8, &numbers[i], 8, outcome_set, &outcomes[i]) == GAS_OK);
            if (i % 500 == 0)
                flush_all(job);
        }
        flush_all(job);
        CHECK(memcmp(gas_segment_base(world.jobs[1]), numbers, sizeof(numbers)) == 0);
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(outcome_await(job, &outcomes[i]) == GAS_OK);
            outcome_init(&outcomes[i]);
            CHECK(gas_get(job, 1, i * 8, &back[i], 8, outcome_set, &outcomes[i]) == GAS_OK);
        }
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(outcome_await(job, &outcomes[i]) == GAS_OK);
            outcome_init(&outcomes[i]);
            CHECK(gas_atomic(job, 1, SIZE - 8, &add, NULL, outcome_set, &outcomes[i]) == GAS_OK);
        }
        CHECK(memcmp(back, numbers, sizeof(numbers)) == 0);
        for (size_t i = 0; i < COUNT; i++)
            CHECK(outcome_await(job, &outcomes[i]) == GAS_OK);
        CHECK(atomic_at(job, 1, SIZE - 8, (gas_atomic_t){.type = GAS_ATOMIC_U64}).u64 == COUNT);
        world_stop(&world);
    }
}

/* ---- attaching ---- */

static void test_late_attach(void)
{
    uint64_t number = 42, back = 0;
    outcome_t put, get;
    world_t world;

    for (int mode = 0; mode < MODES; mode++) {
        start(&world, 2, modes[mode], NULL);
        CHECK(gas_segment_attach(world.jobs[0], SIZE) == GAS_OK);
        outcome_init(&put);
        outcome_init(&get);
        CHECK(gas_put(world.jobs[0], 1, 8, &number, 8, outcome_set, &put) == GAS_OK);
        usleep(20000);
        CHECK(gas_get(world.jobs[0], 1, 16, &back, 8, outcome_set, &get) == GAS_OK);
        usleep(20000);
        CHECK(!gas_event_is_set(&put.event) && !gas_event_is_set(&get.event));
        CHECK(gas_segment_attach(world.jobs[1], SIZE) == GAS_OK);
        CHECK(outcome_await(world.jobs[0], &put) == GAS_OK);
        CHECK(outcome_await(world.jobs[0], &get) == GAS_OK && back == 0);
        flush_all(world.jobs[0]);
        CHECK(((uint64_t *)gas_segment_base(world.jobs[1]))[1] == 42);
        world_stop(&world);
    }
}

static gas_status_t try_put(gas_job_t *job, int rank, size_t offset, size_t length)
{
    static char bytes[64];
    outcome_t outcome;
    gas_status_t status;

    outcome_init(&outcome);
    status = gas_put(job, rank, offset, bytes, length, outcome_set, &outcome);
    return status == GAS_OK ? outcome_await(job, &outcome) : status;
}

static void test_no_memory(void)
{
    outcome_t outcome;
    world_t world;
    char byte = 1;

    start(&world, 2, "auto", &(gas_loopback_options_t){.segment_max = SIZE});
    CHECK(gas_segment_attach(world.jobs[0], SIZE) == GAS_OK);
    outcome_init(&outcome);
    CHECK(gas_put(world.jobs[0], 1, 0, &byte, 1, outcome_set, &outcome) == GAS_OK);
    usleep(20000);
    CHECK(gas_segment_attach(world.jobs[1], 2 * SIZE) == GAS_ERR_NO_MEMORY);
    CHECK(gas_segment_size(world.jobs[1]) == 0 && gas_segment_base(world.jobs[1]) == NULL);
    CHECK(outcome_await(world.jobs[0], &outcome) == GAS_ERR_NO_MEMORY);
    CHECK(try_put(world.jobs[0], 1, 0, 1) == GAS_ERR_NO_MEMORY);
    CHECK(gas_segment_attach(world.jobs[1], SIZE) == GAS_OK);
    CHECK(try_put(world.jobs[0], 1, 0, 1) == GAS_OK);
    world_stop(&world);
}

static void test_different_sizes(void)
{
    world_t world;

    start(&world, 2, "auto", NULL);
    CHECK(gas_segment_attach(world.jobs[0], SIZE) == GAS_OK);
    CHECK(gas_segment_attach(world.jobs[1], SIZE / 2) == GAS_OK);
    CHECK(try_put(world.jobs[0], 1, 0, 1) == GAS_ERR_INVALID);
    CHECK(try_put(world.jobs[0], 1, 0, 1) == GAS_ERR_INVALID);
    CHECK(strstr(gas_error_text(), "524288") != NULL);
    CHECK(gas_segment_pointer(world.jobs[0], 1) == NULL);
    world_stop(&world);
}

/* ---- errors ---- */

static void expect(gas_status_t status, const char *text)
{
    CHECK(status == GAS_ERR_INVALID);
    CHECK(strstr(gas_error_text(), text) != NULL);
}

static void test_bounds(void)
{
    gas_atomic_t add = {.kind = GAS_ATOMIC_ADD, .type = GAS_ATOMIC_U64};
    gas_atomic_t or_double = {.kind = GAS_ATOMIC_OR, .type = GAS_ATOMIC_DOUBLE};
    world_t world;
    gas_job_t *job;

    start(&world, 2, "auto", NULL);
    job = world.jobs[0];
    expect(try_put(job, 1, 0, 1), "no segment");
    expect(gas_segment_attach(job, 0), "0 bytes");
    attach_all(&world);
    expect(gas_segment_attach(job, SIZE), "attached already");
    expect(try_put(job, 2, 0, 1), "no rank 2");
    expect(try_put(job, -1, 0, 1), "no rank -1");
    expect(try_put(job, 1, SIZE, 1), "1 bytes at offset 1048576 are not inside");
    expect(try_put(job, 1, SIZE - 7, 8), "rank 1, which has 1048576");
    expect(try_put(job, 1, SIZE_MAX, 8), "not inside");
    expect(try_put(job, 1, 8, SIZE_MAX), "not inside");
    CHECK(try_put(job, 1, SIZE, 0) == GAS_OK);
    expect(gas_get(job, 1, SIZE - 1, &add, 2, outcome_set, NULL), "not inside");
    expect(gas_atomic(job, 1, SIZE - 4, &add, NULL, outcome_set, NULL), "not inside");
    expect(gas_atomic(job, 1, 4, &add, NULL, outcome_set, NULL), "multiple of 8");
    expect(gas_atomic(job, 1, 8, &or_double, NULL, outcome_set, NULL), "doubles");
    or_double.kind = GAS_ATOMIC_KINDS;
    expect(gas_atomic(job, 1, 8, &or_double, NULL, outcome_set, NULL), "no atomic");
    world_stop(&world);
}

/* Messages that no rank of this version would send. */
static void test_malformed_messages(void)
{
    static const gas_op_wire_t bad[] = {
        {.kind = GAS_OP_PUT, .offset = SIZE - 3, .length = 4},
        {.kind = GAS_OP_PUT, .offset = UINT64_MAX, .length = 4},
        {.kind = GAS_OP_PUT, .offset = 0, .length = 5},
        {.kind = GAS_OP_GET, .offset = 1, .length = SIZE},
        {.kind = GAS_OP_GET, .offset = 1, .length = UINT64_MAX},
        {.kind = GAS_OP_ATOMIC, .offset = 1, .length = 8, .atomic_type = GAS_ATOMIC_U64},
        {.kind = GAS_OP_ATOMIC, .offset = 8, .length = 4, .atomic_type = GAS_ATOMIC_U64},
        {.kind = GAS_OP_ATOMIC, .offset = 8, .length = 8, .atomic_type = 77},
        {.kind = 99, .offset = 8, .length = 8},
    };
    gas_am_t am = {.header_length = sizeof(bad[0]), .data = "data", .data_length = 4};
    uint64_t zero[8] = {0}, back[8];
    world_t world;

    start(&world, 2, "message", NULL);
    attach_all(&world);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        am.header = &bad[i];
        am.handler = GAS_HANDLER_OP_ASK; /* refused, and the answer is to nothing */
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
        am.handler = GAS_HANDLER_OP_ANSWER;
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
        am.handler = GAS_HANDLER_KEY;
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
    }
    am.header_length = 3;
    for (int i = 0; i < 3; i++) {
        static const uint16_t handlers[] = {GAS_HANDLER_OP_ASK, GAS_HANDLER_OP_ANSWER,
                                            GAS_HANDLER_KEY};

        am.handler = handlers[i];
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
    }
    get_at(world.jobs[0], 1, 0, back, sizeof(back));
    CHECK(memcmp(zero, back, sizeof(back)) == 0);
    CHECK(atomic_load(&world.jobs[1]->dropped) == 9 * 2 + 3);
    CHECK(atomic_load(&world.jobs[0]->dropped) == 9);
    world_stop(&world);
}

/* A job ends although operations are under way; memory is what ASan looks at. */
static void test_stop_with_open_operations(void)
{
    static char bytes[100000];
    static outcome_t outcomes[4];
    world_t world;

    start(&world, 2, "message", NULL);
    attach_all(&world);
    put_at(world.jobs[0], 1, 0, bytes, 1);
    flush_all(world.jobs[0]);
    gas_loopback_hub_cut(world.hub, 1, 1);
    for (int i = 0; i < 4; i++)
        outcome_init(&outcomes[i]);
    CHECK(gas_put(world.jobs[0], 1, 0, bytes, 1, outcome_set, &outcomes[0]) == GAS_OK);
    CHECK(gas_get(world.jobs[0], 1, 0, bytes, 8, outcome_set, &outcomes[1]) == GAS_OK);
    CHECK(gas_put(world.jobs[0], 1, 0, bytes, 100000, outcome_set, &outcomes[2]) == GAS_OK);
    CHECK(gas_flush(world.jobs[0], outcome_set, &outcomes[3]) == GAS_OK);
    world_stop(&world);
    CHECK(gas_event_is_set(&outcomes[0].event)); /* it was copied */
    CHECK(!gas_event_is_set(&outcomes[1].event));
}

int main(void)
{
    RUN(test_transfers);
    RUN(test_atomics);
    RUN(test_many_at_once);
    RUN(test_late_attach);
    RUN(test_no_memory);
    RUN(test_different_sizes);
    RUN(test_bounds);
    RUN(test_malformed_messages);
    RUN(test_stop_with_open_operations);
    return 0;
}
