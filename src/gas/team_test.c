#include "team.h"

#include "testing/check.h"
#include "testing/collect.h"

#include <stdlib.h>
#include <string.h>

/* The members of a team do an allreduce; all ranks are in this process. */
static void use(world_t *world, gas_team_t **teams, int size)
{
    int64_t send[WORLD_MAX], recv[WORLD_MAX];
    collected_t parts[WORLD_MAX];

    for (int i = 0; i < size; i++) {
        gas_coll_args_t args = {.kind = GAS_COLL_ALLREDUCE,
                                .algorithm = GAS_COLL_AUTO,
                                .op = GAS_REDUCE_SUM,
                                .type = GAS_TYPE_I64,
                                .count = 1,
                                .send = &send[i],
                                .recv = &recv[i]};

        send[i] = 1 << i;
        collect_begin(teams[i], &args, &parts[i]);
        CHECK(parts[i].begun == GAS_OK);
    }
    collect_finish(world, parts, size);
    for (int i = 0; i < size; i++)
        CHECK(gas_coll_status(parts[i].coll) == GAS_OK && recv[i] == (1 << size) - 1);
    collect_free(parts, size);
}

static void make(world_t *world, uint64_t id, const int *ranks, int size, gas_team_t **teams)
{
    for (int i = 0; i < size; i++) {
        CHECK(gas_team_create(world->jobs[ranks[i]], id, ranks, size, &teams[i]) == GAS_OK);
        CHECK(teams[i]->rank == i && teams[i]->size == size);
    }
}

static void test_translation(void)
{
    static const int all[][4] = {{0, 1, 2, 3}, {1, 3, 5, 7}, {6, 4, 2, 0}, {0, 5, 1, 7}, {7}};
    static const int sizes[] = {4, 4, 4, 4, 1};
    gas_job_params_t params = {0};
    world_t world;

    world_start(&world, 8, NULL, &params, NULL);
    for (int k = 0; k < 5; k++) {
        gas_team_t *teams[4];

        make(&world, (uint64_t)k + 1, all[k], sizes[k], teams);
        CHECK((teams[0]->table == NULL) == (k != 3));
        for (int rank = 0; rank < 8; rank++) {
            int found = -1;

            for (int i = 0; i < sizes[k]; i++)
                if (all[k][i] == rank)
                    found = i;
            CHECK(gas_team_from_world(teams[0], rank) == found);
            CHECK(found < 0 || gas_team_to_world(teams[0], found) == rank);
        }
        use(&world, teams, sizes[k]);
        for (int i = 0; i < sizes[k]; i++)
            CHECK(gas_team_free(teams[i]) == GAS_OK);
    }
    world_stop(&world);
}

static void test_refusals(void)
{
    gas_job_params_t params = {0};
    gas_team_t *team, *other;
    world_t world;

    world_start(&world, 3, NULL, &params, NULL);
    CHECK(gas_team_create(world.jobs[0], 1, (int[]){0, 1, 0}, 3, &team) == GAS_ERR_INVALID);
    CHECK(strstr(gas_error_text(), "twice") != NULL);
    CHECK(gas_team_create(world.jobs[0], 1, (int[]){0, 3}, 2, &team) == GAS_ERR_INVALID);
    CHECK(gas_team_create(world.jobs[0], 1, (int[]){1, 2}, 2, &team) == GAS_ERR_INVALID);
    CHECK(gas_team_create(world.jobs[0], 1, NULL, 0, &team) == GAS_ERR_INVALID);
    CHECK(gas_team_create(world.jobs[0], 1, (int[]){0, 2}, 2, &team) == GAS_OK);
    CHECK(gas_team_create(world.jobs[0], 1, (int[]){0, 1}, 2, &other) == GAS_ERR_INVALID);
    CHECK(gas_team_free(world.jobs[0]->teams.world) == GAS_ERR_INVALID);
    CHECK(gas_team_free(team) == GAS_OK);
    world_stop(&world);
}

/* Hundreds of teams, all in use at once. */
static void test_hundreds(void)
{
    enum { TEAMS = 300, RANKS = 6 };
    static gas_team_t *teams[TEAMS][RANKS];
    static collected_t parts[TEAMS][RANKS];
    static double send[TEAMS][RANKS], recv[TEAMS][RANKS];
    gas_job_params_t params = {0};
    world_t world;

    world_start(&world, RANKS, NULL, &params, NULL);
    for (int k = 0; k < TEAMS; k++) {
        int ranks[RANKS];

        for (int i = 0; i < RANKS; i++)
            ranks[i] = (i * (k % 2 == 0 ? 1 : 5) + k) % RANKS;
        make(&world, (uint64_t)k + 1, ranks, RANKS, teams[k]);
    }
    for (int k = TEAMS - 1; k >= 0; k--)
        for (int i = 0; i < RANKS; i++) {
            gas_coll_args_t args = {.kind = GAS_COLL_SCAN,
                                    .algorithm = GAS_COLL_AUTO,
                                    .op = GAS_REDUCE_SUM,
                                    .type = GAS_TYPE_F64,
                                    .count = 1,
                                    .send = &send[k][i],
                                    .recv = &recv[k][i]};

            send[k][i] = k + 1;
            collect_begin(teams[k][i], &args, &parts[k][i]);
        }
    collect_finish(&world, parts[0], TEAMS * RANKS);
    for (int k = 0; k < TEAMS; k++) {
        for (int i = 0; i < RANKS; i++)
            CHECK(recv[k][i] == (k + 1) * (i + 1));
        collect_free(parts[k], RANKS);
        for (int i = 0; i < RANKS; i++)
            CHECK(gas_team_free(teams[k][i]) == GAS_OK);
    }
    world_stop(&world);
}

/* Messages that come before their team is made, and a team that is busy. */
static void test_early_messages(void)
{
    static const int ranks[] = {0, 1, 2};
    gas_job_params_t params = {0};
    gas_team_t *teams[3];
    gas_coll_args_t args = {.kind = GAS_COLL_BARRIER, .algorithm = GAS_COLL_AUTO};
    collected_t parts[3];
    world_t world;

    world_start(&world, 3, NULL, &params, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK(gas_team_create(world.jobs[i], 9, ranks, 3, &teams[i]) == GAS_OK);
        collect_begin(teams[i], &args, &parts[i]);
    }
    CHECK(gas_wait(world.jobs[2], NULL, gas_clock_now() + 20000000, 0) == GAS_TIMEOUT);
    CHECK(gas_team_free(teams[0]) == GAS_BUSY);
    CHECK(gas_team_create(world.jobs[2], 9, ranks, 3, &teams[2]) == GAS_OK);
    collect_begin(teams[2], &args, &parts[2]);
    collect_finish(&world, parts, 3);
    collect_free(parts, 3);
    use(&world, teams, 3);
    for (int i = 0; i < 3; i++)
        CHECK(gas_team_free(teams[i]) == GAS_OK);
    world_stop(&world);
}

int main(void)
{
    RUN(test_translation);
    RUN(test_refusals);
    RUN(test_hundreds);
    RUN(test_early_messages);
    return 0;
}
