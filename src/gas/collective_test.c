/* Every algorithm of the table against a loop, on many sizes of teams and blocks. */
#include "collective.h"

#include "collectives/table.h"
#include "testing/check.h"
#include "testing/collect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 64};
static const uint64_t counts[] = {0, 1, 3, 1000, 70001};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The values repeat after so many, a prime, so that their sums can be kept in a table. */
enum { PERIOD = 8209 };

static uint32_t prefix_sums[WORLD_MAX + 1][PERIOD]; /* of the ranks below the index */

static int32_t value(int rank, uint64_t i)
{
    return (int32_t)(((uint32_t)rank + 1) * 2654435761u ^ (uint32_t)(i % PERIOD) * 40503u);
}

static void fill_table(void)
{
    for (int rank = 0; rank < WORLD_MAX; rank++)
        for (uint64_t i = 0; i < PERIOD; i++)
            prefix_sums[rank + 1][i] = prefix_sums[rank][i] + (uint32_t)value(rank, i);
}

/* How many blocks an operation's memory is. */
static uint64_t send_blocks(gas_coll_kind_t kind, int size)
{
    bool all =
        kind == GAS_COLL_SCATTER || kind == GAS_COLL_ALLTOALL || kind == GAS_COLL_REDUCE_SCATTER;

    return all ? (uint64_t)size : 1;
}

static uint64_t recv_blocks(gas_coll_kind_t kind, int size)
{
    bool all = kind == GAS_COLL_GATHER || kind == GAS_COLL_ALLTOALL || kind == GAS_COLL_ALLGATHER;

    return all ? (uint64_t)size : 1;
}

/* Over the ranks below `end`. */
static uint32_t sum(int end, uint64_t i)
{
    return prefix_sums[end][i % PERIOD];
}

/* Element i of what `rank` is to have afterwards. False: nothing is promised. */
static bool expected(const gas_coll_args_t *args, int size, int rank, uint64_t i, int32_t *result)
{
    uint64_t count = args->count;

    switch (args->kind) {
    case GAS_COLL_BROADCAST:
        *result = value(args->root, i);
        return rank != args->root;
    case GAS_COLL_GATHER:
        *result = value((int)(i / count), i % count);
        return rank == args->root;
    case GAS_COLL_SCATTER:
        *result = value(args->root, (uint64_t)rank * count + i);
        return true;
    case GAS_COLL_ALLGATHER:
        *result = value((int)(i / count), i % count);
        return true;
    case GAS_COLL_ALLTOALL:
        *result = value((int)(i / count), (uint64_t)rank * count + i % count);
        return true;
    case GAS_COLL_REDUCE:
        *result = (int32_t)sum(size, i);
        return rank == args->root;
    case GAS_COLL_ALLREDUCE:
        *result = (int32_t)sum(size, i);
        return true;
    case GAS_COLL_REDUCE_SCATTER:
        *result = (int32_t)sum(size, (uint64_t)rank * count + i);
        return true;
    case GAS_COLL_SCAN:
        *result = (int32_t)sum(rank + 1, i);
        return true;
    case GAS_COLL_EXSCAN:
        *result = (int32_t)sum(rank, i);
        return rank > 0;
    default:
        return false;
    }
}

/* All ranks of `teams` (in the order of their members) do the operation that `args` describe. */
static void check(world_t *world, gas_team_t **teams, int size, gas_coll_args_t args)
{
    uint64_t in = send_blocks(args.kind, size) * args.count;
    uint64_t out = recv_blocks(args.kind, size) * args.count;
    int32_t *memory = calloc((size_t)size * (in + out) + 1, sizeof(*memory));
    collected_t parts[WORLD_MAX];

    CHECK(memory != NULL);
    for (int rank = 0; rank < size; rank++) {
        int32_t *send = memory + (size_t)rank * (in + out);

        for (uint64_t i = 0; i < in; i++)
            send[i] = value(rank, i);
        args.send = send;
        args.recv = send + in;
        collect_begin(teams[rank], &args, &parts[rank]);
        CHECK(parts[rank].begun == GAS_OK);
    }
    collect_finish(world, parts, size);
    for (int rank = 0; rank < size; rank++) {
        const int32_t *recv = memory + (size_t)rank * (in + out) + in;

        CHECK(gas_coll_status(parts[rank].coll) == GAS_OK);
        for (uint64_t i = 0; i < out; i++) {
            int32_t result;

            if (expected(&args, size, rank, i, &result) && recv[i] != result) {
                fprintf(stderr, "%s %s of %llu on %d ranks, root %d: rank %d element %llu\n",
                        gas_coll_kind_name(args.kind),
                        gas_algorithm_get(args.kind, (size_t)args.algorithm)->name,
                        (unsigned long long)args.count, size, args.root, rank,
                        (unsigned long long)i);
                CHECK(recv[i] == result);
            }
        }
    }
    collect_free(parts, size);
    free(memory);
}

static void check_kind(world_t *world, gas_team_t **teams, int size, gas_coll_kind_t kind)
{
    bool rooted = kind == GAS_COLL_BROADCAST || kind == GAS_COLL_GATHER ||
                  kind == GAS_COLL_SCATTER || kind == GAS_COLL_REDUCE;
    bool reduces = kind >= GAS_COLL_REDUCE && kind <= GAS_COLL_EXSCAN;

    for (size_t row = 0; row < gas_algorithm_count(kind); row++) {
        for (size_t i = 0; i < LENGTH(counts); i++) {
            gas_coll_args_t args = {
                .kind = kind,
                .algorithm = (int)row,
                .op = reduces ? GAS_REDUCE_SUM : GAS_REDUCE_NONE,
                .type = GAS_TYPE_I32,
                .count = kind == GAS_COLL_BARRIER ? 0 : counts[i],
            };

            if (size > 4 && counts[i] > 1000) { /* to be done today, under ThreadSanitizer too */
                bool all = send_blocks(kind, size) + recv_blocks(kind, size) > 2;

                args.count = all && size > 8 ? 1500 : 20001;
            }
            check(world, teams, size, args);
            args.root = size - 1;
            if (rooted && size > 1)
                check(world, teams, size, args);
            args.root = size / 2;
            if (rooted && size > 2)
                check(world, teams, size, args);
        }
    }
}

static void check_all(const gas_loopback_options_t *options)
{
    gas_job_params_t params = {0};

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        gas_team_t *teams[WORLD_MAX];
        world_t world;

        world_start(&world, sizes[i], options, &params, NULL);
        for (int rank = 0; rank < sizes[i]; rank++)
            teams[rank] = world.jobs[rank]->teams.world;
        for (gas_coll_kind_t kind = 0; kind <= GAS_COLL_EXSCAN; kind++)
            check_kind(&world, teams, sizes[i], kind);
        world_stop(&world);
    }
}

static void test_every_algorithm(void)
{
    check_all(NULL);
}

/* Queues that fill up, landings that come later, arms that fail. */
static void test_on_a_slow_conduit(void)
{
    gas_loopback_options_t options = {.queue_max = 3, .defer_landing = 1, .busy_every = 3};
    gas_job_params_t params = {0};
    gas_team_t *teams[WORLD_MAX];
    world_t world;

    world_start(&world, 5, &options, &params, NULL);
    for (int rank = 0; rank < 5; rank++)
        teams[rank] = world.jobs[rank]->teams.world;
    for (gas_coll_kind_t kind = 0; kind <= GAS_COLL_EXSCAN; kind++)
        check_kind(&world, teams, 5, kind);
    world_stop(&world);
}

/* What is selected, at any size, is right. */
static void test_selection(void)
{
    gas_job_params_t params = {0};
    gas_team_t *teams[WORLD_MAX];
    world_t world;

    world_start(&world, 8, NULL, &params, NULL);
    for (int rank = 0; rank < 8; rank++)
        teams[rank] = world.jobs[rank]->teams.world;
    for (gas_coll_kind_t kind = 0; kind <= GAS_COLL_EXSCAN; kind++) {
        for (uint64_t count = 1; count < 300000; count *= 5) {
            gas_coll_args_t args = {.kind = kind,
                                    .algorithm = GAS_COLL_AUTO,
                                    .op = GAS_REDUCE_SUM,
                                    .type = GAS_TYPE_I32,
                                    .count = count};
            int row = -1;

            CHECK(gas_algorithm_choose(teams[0], &args, &row) == GAS_OK);
            CHECK(row >= 0 && (size_t)row < gas_algorithm_count(kind));
            args.ordered = kind >= GAS_COLL_REDUCE;
            CHECK(gas_algorithm_choose(teams[0], &args, &row) == GAS_OK);
            CHECK(gas_algorithm_get(kind, (size_t)row)->ordered == args.ordered);
            args.ordered = false;
            check(&world, teams, 8, (args.algorithm = row, args));
        }
    }
    world_stop(&world);
}

/* Ordered reductions of doubles give what a loop gives, to the last bit. */
static void test_ordered(void)
{
    enum { RANKS = 7, COUNT = 40000 };
    gas_job_params_t params = {0};
    static double send[RANKS][COUNT], recv[RANKS][COUNT], loop[COUNT];
    collected_t parts[RANKS];
    world_t world;

    world_start(&world, RANKS, NULL, &params, NULL);
    for (int rank = 0; rank < RANKS; rank++)
        for (int i = 0; i < COUNT; i++) {
            send[rank][i] = 1.0 / (1 + rank * 7919 + i);
            loop[i] = rank == 0 ? send[rank][i] : loop[i] + send[rank][i];
        }
    for (gas_coll_kind_t kind = GAS_COLL_REDUCE; kind <= GAS_COLL_SCAN; kind++) {
        if (kind == GAS_COLL_REDUCE_SCATTER)
            continue;
        for (int rank = 0; rank < RANKS; rank++) {
            gas_coll_args_t args = {.kind = kind,
                                    .algorithm = GAS_COLL_AUTO,
                                    .op = GAS_REDUCE_SUM,
                                    .type = GAS_TYPE_F64,
                                    .count = COUNT,
                                    .ordered = true,
                                    .send = send[rank],
                                    .recv = recv[rank]};

            args.root = kind == GAS_COLL_REDUCE ? 2 : 0;
            collect_begin(world.jobs[rank]->teams.world, &args, &parts[rank]);
        }
        collect_finish(&world, parts, RANKS);
        collect_free(parts, RANKS);
        CHECK(memcmp(recv[kind == GAS_COLL_REDUCE ? 2 : RANKS - 1], loop, sizeof(loop)) == 0);
    }
    world_stop(&world);
}

/* Many operations of one team at once, each rank in the same order. */
static void test_many_under_way(void)
{
    enum { RANKS = 5, MANY = 200 };
    gas_job_params_t params = {0};
    static int64_t send[RANKS][MANY], recv[RANKS][MANY];
    static collected_t parts[RANKS * MANY];
    world_t world;

    world_start(&world, RANKS, NULL, &params, NULL);
    for (int rank = 0; rank < RANKS; rank++)
        for (int i = 0; i < MANY; i++) {
            gas_coll_args_t args = {.kind = GAS_COLL_ALLREDUCE,
                                    .algorithm = GAS_COLL_AUTO,
                                    .op = GAS_REDUCE_MAX,
                                    .type = GAS_TYPE_I64,
                                    .count = 1,
                                    .send = &send[rank][i],
                                    .recv = &recv[rank][i]};

            send[rank][i] = rank * MANY + i;
            collect_begin(world.jobs[rank]->teams.world, &args, &parts[rank * MANY + i]);
        }
    collect_finish(&world, parts, RANKS * MANY);
    collect_free(parts, RANKS * MANY);
    for (int rank = 0; rank < RANKS; rank++)
        for (int i = 0; i < MANY; i++)
            CHECK(recv[rank][i] == (RANKS - 1) * MANY + i);
    world_stop(&world);
}

/* So many broadcasts are over on their root at once; then it meets the others in one. */
static void test_running_ahead(void)
{
    enum { MANY = 3 * GAS_COLL_AHEAD_MAX };
    static int64_t send[MANY], recv[MANY];
    static collected_t parts[2][MANY];
    gas_job_params_t params = {0};
    world_t world;
    int over = 0;

    world_start(&world, 2, NULL, &params, NULL);
    for (int rank = 0; rank < 2; rank++) {
        for (int i = 0; i < MANY; i++) {
            gas_coll_args_t args = {.kind = GAS_COLL_BROADCAST,
                                    .algorithm = GAS_COLL_AUTO,
                                    .type = GAS_TYPE_I64,
                                    .count = 1,
                                    .send = &send[i],
                                    .recv = &recv[i]};

            send[i] = i;
            collect_begin(world.jobs[rank]->teams.world, &args, &parts[rank][i]);
            if (rank == 0)
                over += atomic_load(&parts[0][i].over);
        }
        if (rank == 0)
            CHECK(over == MANY - MANY / GAS_COLL_AHEAD_MAX);
    }
    collect_finish(&world, parts[0], 2 * MANY);
    for (int i = 0; i < MANY; i++)
        CHECK(recv[i] == i && gas_coll_status(parts[0][i].coll) == GAS_OK);
    collect_free(parts[0], 2 * MANY);
    world_stop(&world);
}

/* Ranks as threads that wait; nobody leaves a barrier before all have entered it. */
static atomic_int entered;

static void *enter_many(void *arg)
{
    gas_job_t *job = *(gas_job_t **)arg;

    for (int i = 1; i <= 200; i++) {
        atomic_fetch_add(&entered, 1);
        collect_barrier(job);
        CHECK(atomic_load(&entered) >= i * gas_job_size(job));
        collect_barrier(job);
    }
    return NULL;
}

static void test_threads_that_wait(void)
{
    gas_job_params_t params = {0};
    world_t world;

    for (int size = 1; size <= 8; size += 1 + size / 4) {
        atomic_store(&entered, 0);
        world_start(&world, size, NULL, &params, NULL);
        in_threads(size, enter_many, world.jobs, sizeof(world.jobs[0]));
        world_stop(&world);
    }
}

int main(void)
{
    fill_table();
    RUN(test_every_algorithm);
    RUN(test_on_a_slow_conduit);
    RUN(test_selection);
    RUN(test_ordered);
    RUN(test_many_under_way);
    RUN(test_running_ahead);
    RUN(test_threads_that_wait);
    return 0;
}
