/* Operations that cannot succeed: all members get to know, and nobody waits for ever. */
#include "collective.h"

#include "collectives/operation.h"
#include "collectives/table.h"
#include "job.h"
#include "testing/check.h"
#include "testing/collect.h"

#include <stdlib.h>
#include <string.h>

enum { RANKS = 5, COUNT = 5000 };

static double send[WORLD_MAX][COUNT * 2], recv[WORLD_MAX][COUNT * 2];
static collected_t parts[WORLD_MAX];

static gas_coll_args_t allreduce(int rank)
{
    return (gas_coll_args_t){.kind = GAS_COLL_ALLREDUCE,
                             .algorithm = GAS_COLL_AUTO,
                             .op = GAS_REDUCE_SUM,
                             .type = GAS_TYPE_F64,
                             .count = COUNT,
                             .send = send[rank],
                             .recv = recv[rank]};
}

static void begin(world_t *world, int rank, const gas_coll_args_t *args)
{
    collect_begin(world->jobs[rank]->teams.world, args, &parts[rank]);
}

/* All parts have failed, with a text that has this in it. */
static void check_failed(int size, gas_status_t status, const char *text)
{
    for (int rank = 0; rank < size; rank++) {
        CHECK(gas_coll_status(parts[rank].coll) == status);
        CHECK(strstr(gas_coll_text(parts[rank].coll), text) != NULL);
    }
    collect_free(parts, size);
}

/* And the team works. */
static void check_works(world_t *world)
{
    for (int rank = 0; rank < world->size; rank++) {
        gas_coll_args_t args = allreduce(rank);

        begin(world, rank, &args);
        CHECK(parts[rank].begun == GAS_OK);
    }
    collect_finish(world, parts, world->size);
    for (int rank = 0; rank < world->size; rank++)
        CHECK(gas_coll_status(parts[rank].coll) == GAS_OK);
    collect_free(parts, world->size);
}

static void start(world_t *world, int size)
{
    gas_job_params_t params = {0};

    world_start(world, size, NULL, &params, NULL);
}

/* One rank wants another number of elements, type, shape or operator. */
static void test_one_differs(void)
{
    world_t world;

    start(&world, RANKS);
    for (int what = 0; what < 5; what++) {
        for (int odd = 0; odd < RANKS; odd += 2) {
            for (int rank = 0; rank < RANKS; rank++) {
                gas_coll_args_t args = allreduce(rank);

                if (rank == odd && what == 0)
                    args.count = 17;
                if (rank == odd && what == 1)
                    args.type = GAS_TYPE_I64;
                if (rank == odd && what == 2)
                    args.shape = 99;
                if (rank == odd && what == 3)
                    args.op = GAS_REDUCE_MAX;
                if (rank == odd && what == 4)
                    args = (gas_coll_args_t){.kind = GAS_COLL_BARRIER};
                begin(&world, rank, &args);
            }
            collect_finish(&world, parts, RANKS);
            check_failed(RANKS, GAS_ERR_MISMATCH, "disagree");
            check_works(&world);
        }
    }
    world_stop(&world);
}

/* Waits for all parts; true if every one has failed. */
static bool all_fail(world_t *world)
{
    bool all = true;

    collect_finish(world, parts, world->size);
    for (int rank = 0; rank < world->size; rank++) {
        gas_status_t status = parts[rank].begun;

        if (status == GAS_OK)
            status = gas_coll_status(parts[rank].coll);
        CHECK(status == GAS_OK || status == GAS_ERR_MISMATCH);
        all &= status != GAS_OK;
    }
    collect_free(parts, world->size);
    return all;
}

/* Two ranks think that they are the root: they may have left before anybody can know. Nobody hangs,
 * and one of the next operations (as messages of different ranks overtake each other) says so. */
static void test_two_roots(void)
{
    for (uint64_t count = 1; count <= COUNT; count += COUNT - 1) {
        bool failed = false;
        world_t world;

        start(&world, RANKS);
        for (int rank = 0; rank < RANKS; rank++) {
            gas_coll_args_t args = {.kind = GAS_COLL_BROADCAST,
                                    .algorithm = GAS_COLL_AUTO,
                                    .type = GAS_TYPE_F64,
                                    .count = count,
                                    .root = rank % 2,
                                    .send = send[rank],
                                    .recv = recv[rank]};

            begin(&world, rank, &args);
        }
        failed = all_fail(&world);
        for (int i = 0; i < 3 && !failed; i++) {
            for (int rank = 0; rank < RANKS; rank++) {
                gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};

                begin(&world, rank, &args);
            }
            failed = all_fail(&world);
        }
        CHECK(failed);
        world_stop(&world);
    }
}

/* A rank fails an operation of its own accord, before or after the others have begun. */
static void test_failed_by_one(void)
{
    enum { MANY = 64 };
    world_t world;

    start(&world, MANY);
    for (int when = 0; when < 2; when++) {
        gas_coll_args_t none = {.kind = GAS_COLL_ALLREDUCE, .type = GAS_TYPE_OBJECT};
        gas_coll_t *exchange;

        for (int rank = 1; rank < MANY && when == 1; rank++) {
            gas_coll_args_t args = allreduce(rank);

            begin(&world, rank, &args);
        }
        CHECK(gas_coll_open(world.jobs[0]->teams.world, &none, &exchange) == GAS_OK);
        gas_coll_fail(exchange, GAS_ERR_INVALID, "no good");
        gas_coll_close(exchange);
        for (int rank = 1; rank < MANY && when == 0; rank++) {
            gas_coll_args_t args = allreduce(rank);

            begin(&world, rank, &args);
        }
        collect_finish(&world, &parts[1], MANY - 1);
        for (int rank = 1; rank < MANY; rank++)
            CHECK(gas_coll_status(parts[rank].coll) != GAS_OK);
        collect_free(&parts[1], MANY - 1);
        gas_coll_free(exchange);
        check_works(&world);
    }
    world_stop(&world);
}

/* A transfer fails now and then: the operation does, on all ranks, and later ones work. */
static void test_failed_transfers(void)
{
    gas_loopback_options_t options = {.fail_every = 23};
    gas_job_params_t params = {0};
    int failures = 0, successes = 0;
    world_t world;

    world_start(&world, RANKS, &options, &params, NULL);
    for (int i = 0; i < 60; i++) {
        int failed = 0;

        for (int rank = 0; rank < RANKS; rank++) {
            gas_coll_args_t args = allreduce(rank);

            begin(&world, rank, &args);
            if (parts[rank].begun != GAS_OK)
                failed = RANKS; /* a rank had left an earlier one with success */
        }
        collect_finish(&world, parts, RANKS);
        for (int rank = 0; rank < RANKS; rank++)
            if (parts[rank].begun == GAS_OK && gas_coll_status(parts[rank].coll) != GAS_OK)
                failed++;
        collect_free(parts, RANKS);
        failures += failed > 0;
        successes += failed == 0;
        if (world.jobs[0]->teams.world->broken != NULL)
            break;
    }
    CHECK(failures > 0 && successes > 0);
    world_stop(&world);
}

/* A rank is lost: what is under way fails, nothing can be begun; teams without it go on. */
static void test_lost_rank(void)
{
    static const int survivors[] = {0, 1, 3, 4};
    gas_team_t *teams[4];
    world_t world;

    start(&world, RANKS);
    for (int i = 0; i < 4; i++)
        CHECK(gas_team_create(world.jobs[survivors[i]], 5, survivors, 4, &teams[i]) == GAS_OK);
    for (int i = 0; i < 4; i++) {
        gas_coll_args_t args = allreduce(survivors[i]);

        args.count = 1; /* no buffer that waits to be fetched by the lost one: the conduit's part */
        begin(&world, survivors[i], &args);
    }
    for (int i = 0; i < 4; i++)
        gas_coll_lose_rank(world.jobs[survivors[i]], 2, GAS_ERR_UNREACHABLE, "rank 2 has died");
    for (int i = 0; i < 4; i++) {
        int rank = survivors[i];
        gas_coll_args_t args = allreduce(rank);

        collect_finish(&world, &parts[rank], 1);
        CHECK(gas_coll_status(parts[rank].coll) == GAS_ERR_UNREACHABLE);
        collect_free(&parts[rank], 1);
        begin(&world, rank, &args);
        CHECK(parts[rank].begun == GAS_ERR_UNREACHABLE);
        CHECK(strstr(gas_error_text(), "rank 2 has died") != NULL);
        collect_begin(teams[i], &args, &parts[i]);
    }
    collect_finish(&world, parts, 4);
    for (int i = 0; i < 4; i++)
        CHECK(gas_coll_status(parts[i].coll) == GAS_OK);
    collect_free(parts, 4);
    world_stop(&world);
}

/* What was sent to a member that had not begun the operation when a rank was lost, and now never
 * will, comes back: the sender's operation ends. */
static void test_lost_before_one_begins(void)
{
    enum { MEMBERS = 4 }; /* a power of 2, so that each begins by sending a buffer to another */
    world_t world;

    start(&world, MEMBERS);
    for (int rank = 1; rank < MEMBERS; rank++) {
        gas_coll_args_t args = allreduce(rank);

        args.count = 2 * COUNT; /* too long to come at once: the buffer is fetched */
        begin(&world, rank, &args);
    }
    for (int i = 0; i < 100; i++)
        for (int rank = 0; rank < MEMBERS; rank++)
            gas_progress_poll(world.jobs[rank]);
    for (int rank = 0; rank < MEMBERS; rank++)
        gas_coll_lose_rank(world.jobs[rank], 2, GAS_ERR_UNREACHABLE, "rank 2 has died");
    collect_finish(&world, &parts[1], MEMBERS - 1);
    for (int rank = 1; rank < MEMBERS; rank++)
        CHECK(gas_coll_status(parts[rank].coll) == GAS_ERR_UNREACHABLE);
    collect_free(&parts[1], MEMBERS - 1);
    world_stop(&world);
}

/* What a rank sent before it died counts, also if that takes several rounds to be seen. */
static void test_lost_after_its_part(void)
{
    gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};
    world_t world;

    for (int i = 0; i < 20; i++) {
        start(&world, 3);
        gas_job_lock(world.jobs[0]); /* so that nobody polls */
        for (int rank = 0; rank < 3; rank++)
            begin(&world, rank, &args);
        collect_finish_on(&world, 1, &parts[1]);
        gas_job_close(world.jobs[1]);
        gas_failure_report(world.jobs[0], 1, -9, "was killed by SIGKILL");
        gas_job_unlock(world.jobs[0]);
        collect_finish_on(&world, 0, &parts[0]);
        CHECK(gas_coll_status(parts[1].coll) == GAS_OK);
        CHECK(gas_coll_status(parts[0].coll) == GAS_OK);
        collect_finish_on(&world, 2, &parts[2]);
        collect_free(parts, 3);
        world_stop(&world);
    }
}

/* An operation fails, or a team is broken, before most members have made the team. */
static void test_before_the_team_is_made(void)
{
    enum { MANY = 64 };
    int ranks[MANY];

    for (int broken = 0; broken < 2; broken++) {
        gas_coll_args_t none = {.kind = GAS_COLL_BROADCAST, .type = GAS_TYPE_OBJECT};
        gas_team_t *teams[MANY];
        gas_coll_t *exchange;
        world_t world;

        start(&world, MANY);
        for (int i = 0; i < MANY; i++)
            ranks[i] = i;
        CHECK(gas_team_create(world.jobs[0], 7, ranks, MANY, &teams[0]) == GAS_OK);
        CHECK(gas_coll_open(teams[0], &none, &exchange) == GAS_OK);
        gas_coll_fail(exchange, GAS_ERR_MISMATCH, "no good");
        gas_coll_close(exchange);
        if (broken) {
            gas_job_lock(world.jobs[0]);
            gas_coll_break_locked(teams[0], GAS_ERR_MISMATCH, "no good", true);
            gas_job_unlock(world.jobs[0]);
        }
        for (int i = 1; i < MANY; i++) {
            /* Members that only listen. */
            gas_coll_args_t args = {.kind = GAS_COLL_BROADCAST,
                                    .algorithm = GAS_COLL_AUTO,
                                    .type = GAS_TYPE_F64,
                                    .count = 1,
                                    .recv = recv[i]};

            CHECK(gas_team_create(world.jobs[i], 7, ranks, MANY, &teams[i]) == GAS_OK);
            collect_begin(teams[i], &args, &parts[i]);
        }
        collect_finish(&world, &parts[1], MANY - 1);
        for (int i = 1; i < MANY; i++)
            CHECK(parts[i].begun == GAS_ERR_MISMATCH ||
                  gas_coll_status(parts[i].coll) == GAS_ERR_MISMATCH);
        collect_free(&parts[1], MANY - 1);
        gas_coll_free(exchange);
        world_stop(&world);
    }
}

/* Messages that make no sense are dropped. */
static void test_malformed(void)
{
    char header[GAS_AM_HEADER_MAX] = {0};
    world_t world;

    start(&world, 2);
    for (uint16_t length = 0; length <= 48; length += 3) {
        gas_am_t am = {.handler = GAS_HANDLER_COLL_NOTE, .header = header, .header_length = length};

        memset(header, 0xee, sizeof(header));
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
        am.handler = GAS_HANDLER_COLL;
        CHECK(gas_am_send(world.jobs[0], 1, &am, NULL, NULL) == GAS_OK);
    }
    CHECK(gas_wait(world.jobs[1], NULL, gas_clock_now() + 20000000, 0) == GAS_TIMEOUT);
    CHECK(atomic_load(&world.jobs[1]->dropped) > 0);
    check_works(&world);
    world_stop(&world);
}

int main(void)
{
    RUN(test_one_differs);
    RUN(test_two_roots);
    RUN(test_failed_by_one);
    RUN(test_failed_transfers);
    RUN(test_lost_rank);
    RUN(test_lost_before_one_begins);
    RUN(test_lost_after_its_part);
    RUN(test_before_the_team_is_made);
    RUN(test_malformed);
    return 0;
}
