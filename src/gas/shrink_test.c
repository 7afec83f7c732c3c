#include "shrink.h"

#include "testing/check.h"
#include "testing/collect.h"
#include "testing/patience.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 40, SCHEDULES = 150, RANKS_MAX = 8 };

static unsigned seed;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

/* What one rank has got. */
typedef struct part {
    gas_shrink_t *shrink;
    uint64_t id;
    int count, ranks[WORLD_MAX];
} part_t;

static gas_team_t *world_of(world_t *world, int rank)
{
    return world->jobs[rank]->teams.world;
}

static void enter(gas_team_t *team, part_t *part)
{
    CHECK(gas_shrink_enter(team, &part->shrink) == GAS_OK);
}

/* Waits for the answer. */
static void finish(gas_team_t *team, part_t *part)
{
    uint64_t deadline = deadline_in(20);
    gas_status_t status;

    do {
        CHECK(gas_clock_left(deadline) > 0);
        status = gas_wait(team->job, &part->shrink->event, gas_clock_now() + 50000000, 0);
    } while (status != GAS_OK);
    part->count = gas_shrink_take(part->shrink, &part->id, part->ranks);
}

static void check_same(const part_t *a, const part_t *b)
{
    CHECK(a->id == b->id && a->count == b->count);
    CHECK(memcmp(a->ranks, b->ranks, (size_t)a->count * sizeof(int)) == 0);
}

static bool has(const part_t *part, int rank)
{
    for (int i = 0; i < part->count; i++)
        if (part->ranks[i] == rank)
            return true;
    return false;
}

static void start(world_t *world, int size)
{
    gas_job_params_t params = {0};

    world_start(world, size, NULL, &params, NULL);
}

/* The rank does nothing any more; who is to hear of it is told otherwise. */
static void kill_rank(world_t *world, int rank)
{
    gas_job_close(world->jobs[rank]);
}

static void report(world_t *world, int survivor, int dead)
{
    gas_failure_report(world->jobs[survivor], dead, -9, "was killed by SIGKILL");
}

static void await_failure(world_t *world, int survivor, int dead)
{
    while (!gas_rank_has_failed(world->jobs[survivor], dead))
        gas_wait(world->jobs[survivor], NULL, gas_clock_now() + 1000000, 0);
}

/* The members of the new team do an allreduce. */
static void use(world_t *world, const part_t *part)
{
    int64_t send[WORLD_MAX], recv[WORLD_MAX];
    collected_t parts[WORLD_MAX];

    for (int i = 0; i < part->count; i++) {
        gas_coll_args_t args = {.kind = GAS_COLL_ALLREDUCE,
                                .algorithm = GAS_COLL_AUTO,
                                .op = GAS_REDUCE_SUM,
                                .type = GAS_TYPE_I64,
                                .count = 1,
                                .send = &send[i],
                                .recv = &recv[i]};
        gas_team_t *team;

        send[i] = 1;
        CHECK(gas_team_create(world->jobs[part->ranks[i]], part->id, part->ranks, part->count,
                              &team) == GAS_OK);
        collect_begin(team, &args, &parts[i]);
        CHECK(parts[i].begun == GAS_OK);
    }
    collect_finish(world, parts, part->count);
    for (int i = 0; i < part->count; i++)
        CHECK(gas_coll_status(parts[i].coll) == GAS_OK && recv[i] == part->count);
    collect_free(parts, part->count);
}

static void test_nobody_failed(void)
{
    part_t parts[MANY];
    world_t world;

    for (int size = 1; size <= MANY; size += 13) {
        start(&world, size);
        for (int again = 0; again < 3; again++) {
            for (int rank = size - 1; rank >= 0; rank--)
                enter(world_of(&world, rank), &parts[rank]);
            for (int rank = 0; rank < size; rank++) {
                finish(world_of(&world, rank), &parts[rank]);
                check_same(&parts[rank], &parts[0]);
            }
            CHECK(parts[0].count == size);
            use(&world, &parts[0]);
        }
        world_stop(&world);
    }
}

/* The one that would lead, and others, are known to have failed before anybody calls. */
static void test_failed_before(void)
{
    part_t parts[MANY];
    world_t world;

    start(&world, MANY);
    for (int dead = 0; dead < 3; dead++)
        kill_rank(&world, dead * 7);
    for (int rank = 0; rank < MANY; rank++)
        for (int dead = 0; dead < 3; dead++)
            if (rank != 0 && rank != 7 && rank != 14) {
                report(&world, rank, dead * 7);
                await_failure(&world, rank, dead * 7);
            }
    for (int rank = 0; rank < MANY; rank++)
        if (rank != 0 && rank != 7 && rank != 14)
            enter(world_of(&world, rank), &parts[rank]);
    for (int rank = 1; rank < MANY; rank++)
        if (rank != 7 && rank != 14) {
            finish(world_of(&world, rank), &parts[rank]);
            check_same(&parts[rank], &parts[1]);
        }
    CHECK(parts[1].count == MANY - 3);
    use(&world, &parts[1]);
    world_stop(&world);
}

/* The leader dies when some have its decision and others have not. */
static void test_decided_by_some(void)
{
    part_t parts[4];
    world_t world;

    start(&world, 4);
    /* Nothing reaches rank 2 and 3 from here on but what rank 1 has to hear. */
    for (int rank = 3; rank >= 1; rank--)
        enter(world_of(&world, rank), &parts[rank]);
    gas_job_lock(world.jobs[2]);
    gas_job_lock(world.jobs[3]);
    gas_job_lock(world.jobs[0]);
    enter(world_of(&world, 0), &parts[0]);
    gas_job_unlock(world.jobs[0]);
    gas_job_unlock(world.jobs[2]);
    gas_job_unlock(world.jobs[3]);
    finish(world_of(&world, 1), &parts[1]);
    kill_rank(&world, 0);
    for (int rank = 1; rank < 4; rank++)
        report(&world, rank, 0);
    for (int rank = 2; rank < 4; rank++) {
        finish(world_of(&world, rank), &parts[rank]);
        check_same(&parts[rank], &parts[1]);
    }
    CHECK(parts[1].count == 4);
    /* The new team has a dead member, which the next one has not. */
    for (int rank = 1; rank < 4; rank++)
        enter(world_of(&world, rank), &parts[rank]);
    for (int rank = 1; rank < 4; rank++) {
        finish(world_of(&world, rank), &parts[rank]);
        check_same(&parts[rank], &parts[1]);
    }
    CHECK(parts[1].count == 3 && parts[1].shrink->number == 1);
    use(&world, &parts[1]);
    world_stop(&world);
}

/* Who calls, who dies and who hears of it, in any order; messages that come late. */
static void test_schedules(void)
{
    for (unsigned schedule = 0; schedule < SCHEDULES; schedule++) {
        int size, alive, entered = 0, first = -1;
        bool dead[RANKS_MAX] = {false}, knows[RANKS_MAX][RANKS_MAX] = {{false}};
        bool in[RANKS_MAX] = {false}, known[RANKS_MAX][RANKS_MAX] = {{false}};
        part_t parts[RANKS_MAX];
        world_t world;

        seed = schedule + 1;
        size = alive = (int)(2 + pick(RANKS_MAX - 1));
        start(&world, size);
        while (entered < alive) {
            int rank = (int)pick((unsigned)size), other = (int)pick((unsigned)size);

            switch (pick(6)) {
            case 0:
                if (!dead[rank] && alive > 1 && pick(2) == 0) {
                    dead[rank] = true;
                    kill_rank(&world, rank);
                    alive--;
                    entered -= in[rank];
                }
                break;
            case 1:
                if (!dead[rank] && dead[other]) {
                    report(&world, rank, other);
                    knows[rank][other] = true;
                }
                break;
            case 2:
                gas_loopback_hub_cut(world.hub, rank, pick(2) == 0);
                break;
            case 3:
                gas_wait(world.jobs[rank], NULL, gas_clock_now() + 50000, 0);
                break;
            default:
                if (dead[rank] || in[rank])
                    break;
                in[rank] = true;
                entered++;
                for (int i = 0; i < size; i++)
                    known[rank][i] = gas_rank_has_failed(world.jobs[rank], i);
                enter(world_of(&world, rank), &parts[rank]);
            }
        }
        for (int rank = 0; rank < size; rank++)
            gas_loopback_hub_cut(world.hub, rank, 0);
        for (int other = 0; other < size; other++)
            for (int rank = 0; rank < size; rank++)
                if (!dead[rank] && dead[other] && !knows[rank][other])
                    report(&world, rank, other);
        for (int rank = 0; rank < size; rank++) {
            if (dead[rank])
                continue;
            if (first < 0)
                first = rank;
            finish(world_of(&world, rank), &parts[rank]);
            check_same(&parts[rank], &parts[first]);
        }
        for (int rank = 0; rank < size; rank++) {
            CHECK(dead[rank] || has(&parts[first], rank));
            for (int i = 0; i < size && !dead[rank]; i++)
                CHECK(!known[rank][i] || !has(&parts[first], i));
        }
        world_stop(&world);
    }
}

/* Says something in the name of a rank that has not called itself. */
static void say(world_t *world, int from, int to, gas_note_kind_t kind, int64_t id, uint8_t lost)
{
    gas_note_t note = {.kind = kind, .value = id};

    gas_note_send(world->jobs[from], to, &note, &lost, kind == NOTE_SHRINK_ASK ? 0 : 1);
}

static void poll_for_a_while(gas_job_t *job)
{
    CHECK(gas_wait(job, NULL, gas_clock_now() + 20000000, 0) == GAS_TIMEOUT);
}

/* What a leader had said before it died comes after another one has asked. */
static void test_late_decision(void)
{
    part_t part;
    world_t world;

    start(&world, 4);
    enter(world_of(&world, 3), &part);
    say(&world, 1, 3, NOTE_SHRINK_ASK, 0, 0);
    poll_for_a_while(world.jobs[3]);
    say(&world, 0, 3, NOTE_SHRINK_DECIDED, 100, 0);
    poll_for_a_while(world.jobs[3]);
    CHECK(!gas_event_is_set(&part.shrink->event));
    say(&world, 1, 3, NOTE_SHRINK_DECIDED, 101, 1);
    finish(world_of(&world, 3), &part);
    CHECK(part.id == 101 && part.count == 3);
    world_stop(&world);
}

/* A leader takes over what a member has decided with the one before; and whom others knew to have
 * failed. */
static void test_what_others_know(void)
{
    for (int decided = 0; decided < 2; decided++) {
        part_t part;
        world_t world;

        start(&world, 4);
        kill_rank(&world, 0);
        report(&world, 1, 0);
        await_failure(&world, 1, 0);
        enter(world_of(&world, 1), &part);
        say(&world, 3, 1, NOTE_SHRINK_STATE, 0, 1);
        poll_for_a_while(world.jobs[1]);
        CHECK(!gas_event_is_set(&part.shrink->event));
        say(&world, 2, 1, NOTE_SHRINK_STATE, decided ? 100 : 0, decided ? 4 : 8);
        finish(world_of(&world, 1), &part);
        CHECK((part.id == 100) == decided && has(&part, 0) == decided);
        CHECK(has(&part, 3) == decided && has(&part, 2) != decided);
        world_stop(&world);
    }
}

/* A rank that has finished its program is waited for: it gets to know, whoever it is. */
static void test_one_does_not_come(void)
{
    for (int absent = 0; absent < 3; absent++) {
        uint64_t deadline = deadline_in(10);
        part_t parts[3];
        world_t world;

        start(&world, 3);
        for (int rank = 0; rank < 3; rank++)
            if (rank != absent)
                enter(world_of(&world, rank), &parts[rank]);
        gas_mailbox_set_ending(world.jobs[absent]);
        while (gas_mailbox_abandoned(world.jobs[absent]) < 0) {
            CHECK(gas_clock_left(deadline) > 0);
            for (int rank = 0; rank < 3; rank++)
                gas_wait(world.jobs[rank], NULL, gas_clock_now() + 20000000, 0);
            gas_coll_probe(world.jobs[(absent + 1) % 3]);
            gas_coll_probe(world.jobs[(absent + 2) % 3]);
        }
        world_stop(&world);
    }
}

/* Notes that make no sense change nothing. */
static void test_malformed(void)
{
    gas_note_t note = {.number = 0};
    part_t parts[3];
    world_t world;

    start(&world, 3);
    enter(world_of(&world, 0), &parts[0]);
    for (uint32_t kind = NOTE_SHRINK_ASK; kind <= NOTE_SHRINK_AWAIT + 1u; kind++)
        for (int64_t value = -1; value <= 1; value++)
            for (size_t length = 0; length < 9; length += 4)
                for (uint64_t team = 0; team < 2; team++) {
                    static const uint8_t bits[9] = {0x07, 0xff, 0xff};

                    note.kind = kind;
                    note.value = value;
                    note.team = team;
                    note.number = kind == NOTE_SHRINK_ASK ? 7 : 0;
                    gas_note_send(world.jobs[2], 0, &note, bits, length);
                }
    enter(world_of(&world, 1), &parts[1]);
    enter(world_of(&world, 2), &parts[2]);
    for (int rank = 0; rank < 3; rank++)
        finish(world_of(&world, rank), &parts[rank]);
    check_same(&parts[0], &parts[1]);
    CHECK(parts[0].count == 3 && atomic_load(&world.jobs[0]->dropped) > 0);
    world_stop(&world);
}

/* A broken team may be freed, and still answers those that have not decided. */
static void test_freed(void)
{
    static const int ranks[] = {0, 1, 2};
    gas_team_t *teams[3];
    part_t parts[3];
    world_t world;

    start(&world, 3);
    for (int i = 0; i < 3; i++)
        CHECK(gas_team_create(world.jobs[i], 5, ranks, 3, &teams[i]) == GAS_OK);
    gas_team_break(teams[1], GAS_ERR_MISMATCH, "no good");
    enter(teams[1], &parts[1]);
    CHECK(gas_team_free(teams[1]) == GAS_BUSY);
    enter(teams[0], &parts[0]);
    enter(teams[2], &parts[2]);
    finish(teams[1], &parts[1]);
    CHECK(gas_team_is_broken(teams[1]) && gas_team_free(teams[1]) == GAS_OK);
    finish(teams[0], &parts[0]);
    finish(teams[2], &parts[2]);
    check_same(&parts[0], &parts[2]);
    use(&world, &parts[0]);
    world_stop(&world);
}

int main(void)
{
    RUN(test_nobody_failed);
    RUN(test_failed_before);
    RUN(test_decided_by_some);
    RUN(test_schedules);
    RUN(test_late_decision);
    RUN(test_what_others_know);
    RUN(test_one_does_not_come);
    RUN(test_malformed);
    RUN(test_freed);
    return 0;
}
