/*
 * Design notes. Consensus with a failure detector that makes no mistakes: the launcher, which tells
 * every rank of each rank that has ended. So nobody is taken for dead who lives, and a majority is
 * not needed; what remains of consensus (Chandra and Toueg 1996; Buntinas 2012 for MPI) is this:
 *
 *   The *leader* is the lowest member that lives. It asks all others that live (ASK). A member
 *   answers when it has entered (STATE): with the decision if it has one, else with whom it knows
 *   to have failed. When all have answered or failed, the leader decides: for a decision that
 *   somebody had, else for all that anybody named; it makes up an id of its own and tells everybody
 *   (DECIDED). If it fails, the next one is the leader and asks anew; one that knows the decision
 *   already only tells it.
 *
 * Why all that live decide the same. A member that answers a leader listens to no lower one from
 * then on (`promised`), as what a leader sent before it died may arrive late. So when leader B has
 * heard a living member, either that member had decided, as a leader A before B had told it, and B
 * decides the same; or it will never hear A's decision. B decides only when it has heard all that
 * live; so if any of them has decided, B has heard of it. Members that decided otherwise are dead,
 * and so is the new team that they had in mind: its id was made up for it alone.
 *
 * Why it ends. Each leader waits only for members that live and have called, or will. Whoever waits
 * for long asks again; a member that has finished its program instead of calling gives up its end
 * of the job, which ends the job, as in other collective operations (notes.c).
 *
 * It costs 3 messages for each member, all of which pass the leader: rare, so a tree is not worth
 * its trouble.
 *
 * A member can be in call k + 1 while another one waits for the decision of call k, never further
 * ahead: that of k + 1 takes everybody. Agreements are kept as long as the team; there are few.
 */
#include "shrink.h"

#include "clock.h"
#include "job.h"

#include <stdlib.h>
#include <string.h>

#define PROBES_MAX 4u /* members asked again at a time */
/* Ids of new teams: this bit, the leader's rank and 1, and a count of its own. */
#define ID_MARK (UINT64_C(1) << 62)
#define ID_RANK_SHIFT 32

static bool bit_get(const uint8_t *bits, int i)
{
    return (bits[i / 8] >> (i % 8) & 1) != 0;
}

static void bit_set(uint8_t *bits, int i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

static size_t bytes_of(const gas_team_t *team)
{
    return ((size_t)team->size + 7) / 8;
}

static bool has_failed(const gas_team_t *team, int member)
{
    return gas_rank_has_failed(team->job, gas_team_to_world(team, member));
}

/* The lowest member that lives: this rank at the latest. */
static int leader_of(const gas_team_t *team)
{
    int member = 0;

    while (member < team->rank && has_failed(team, member))
        member++;
    return member;
}

/* ---- all under the conduit lock ---- */

static gas_shrink_t *find(const gas_team_t *team, uint32_t number)
{
    gas_shrink_t *shrink = team->shrinks;

    while (shrink != NULL && shrink->number != number)
        shrink = shrink->next;
    return shrink;
}

/* The agreement with that number, made if it is the next one; NULL without memory, or if nobody can
 * be that far. */
static gas_shrink_t *get(gas_team_t *team, uint32_t number)
{
    gas_shrink_t *latest = team->shrinks;
    gas_shrink_t *shrink = find(team, number);
    size_t bytes = bytes_of(team);

    if (shrink != NULL)
        return shrink;
    if (number != (latest != NULL ? latest->number + 1 : 0) || (latest != NULL && !latest->entered))
        return NULL;
    shrink = calloc(1, sizeof(*shrink) + 2 * bytes);
    if (shrink == NULL)
        return NULL;
    shrink->team = team;
    shrink->number = number;
    shrink->promised = -1;
    shrink->lost = (uint8_t *)(shrink + 1);
    shrink->answered = shrink->lost + bytes;
    gas_event_init(&shrink->event);
    shrink->next = team->shrinks;
    team->shrinks = shrink;
    return shrink;
}

/* The one that the layer above is in, or the one that it may enter next; NULL: none is known. */
static gas_shrink_t *current(const gas_team_t *team)
{
    gas_shrink_t *oldest = NULL;

    for (gas_shrink_t *shrink = team->shrinks; shrink != NULL; shrink = shrink->next)
        if (!shrink->taken)
            oldest = shrink;
    return oldest;
}

static void tell(const gas_shrink_t *shrink, int member, gas_note_kind_t kind)
{
    const gas_team_t *team = shrink->team;
    bool says_who = kind == NOTE_SHRINK_STATE || kind == NOTE_SHRINK_DECIDED;
    gas_note_t note = {
        .team = team->id,
        .number = shrink->number,
        .kind = kind,
        .value = shrink->decided ? (int64_t)shrink->id : 0,
    };

    gas_note_send(team->job, gas_team_to_world(team, member), &note, shrink->lost,
                  says_who ? bytes_of(team) : 0);
}

static void tell_all(const gas_shrink_t *shrink, gas_note_kind_t kind)
{
    const gas_team_t *team = shrink->team;

    for (int member = 0; member < team->size; member++)
        if (member != team->rank && !has_failed(team, member))
            tell(shrink, member, kind);
}

/* What this rank knows goes into an answer that is not decided. */
static void note_failed(gas_shrink_t *shrink)
{
    gas_failed_t failed;

    for (size_t i = 0; gas_failure_get(shrink->team->job, i, &failed); i++) {
        int member = gas_team_from_world(shrink->team, failed.rank);

        if (member >= 0)
            bit_set(shrink->lost, member);
    }
}

static void decide(gas_shrink_t *shrink, uint64_t id)
{
    shrink->id = id;
    shrink->decided = true;
}

static void make_up_id(gas_shrink_t *shrink)
{
    gas_job_t *job = shrink->team->job;

    decide(shrink,
           ID_MARK | ((uint64_t)gas_job_rank(job) + 1) << ID_RANK_SHIFT | job->teams.shrunk++);
}

/* This rank is the leader: goes on as far as that is possible. */
static void lead(gas_shrink_t *shrink)
{
    gas_team_t *team = shrink->team;

    if (!shrink->decided && !shrink->leads) {
        shrink->leads = true;
        shrink->promised = team->rank;
        bit_set(shrink->answered, team->rank);
        tell_all(shrink, NOTE_SHRINK_ASK);
    }
    while (!shrink->decided && shrink->cursor < team->size &&
           (bit_get(shrink->answered, shrink->cursor) || has_failed(team, shrink->cursor)))
        shrink->cursor++;
    if (!shrink->decided && shrink->cursor == team->size) {
        note_failed(shrink);
        make_up_id(shrink);
    }
    if (shrink->decided && !shrink->announced) {
        shrink->announced = true;
        tell_all(shrink, NOTE_SHRINK_DECIDED);
    }
}

/* Something has changed. */
static void go_on(gas_shrink_t *shrink)
{
    if (shrink->entered && leader_of(shrink->team) == shrink->team->rank)
        lead(shrink);
    if (shrink->entered && shrink->decided && !gas_event_is_set(&shrink->event))
        gas_event_set(&shrink->event);
}

static void answer(gas_shrink_t *shrink, int member)
{
    if (!shrink->decided)
        note_failed(shrink);
    tell(shrink, member, NOTE_SHRINK_STATE);
}

/* ---- what others say ---- */

static void learn(gas_shrink_t *shrink, const gas_note_t *note, const gas_msg_t *msg)
{
    const uint8_t *lost = msg->data;
    size_t bytes = bytes_of(shrink->team);

    if (note->value != 0) {
        memcpy(shrink->lost, lost, bytes);
        decide(shrink, (uint64_t)note->value);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        shrink->lost[i] |= lost[i];
}

/* The member that sent it, if the note fits the team; else -1. */
static int sender_of(const gas_team_t *team, const gas_note_t *note, const gas_msg_t *msg)
{
    bool says_who = note->kind == NOTE_SHRINK_STATE || note->kind == NOTE_SHRINK_DECIDED;
    const uint8_t *lost = msg->data;

    if (msg->data_length != (says_who ? bytes_of(team) : 0) || note->value < 0 ||
        (note->kind == NOTE_SHRINK_DECIDED && note->value == 0))
        return -1;
    /* Whoever lives is never left out. */
    if (says_who && bit_get(lost, team->rank))
        return -1;
    return gas_team_from_world(team, msg->source);
}

/* This rank is waited for, and has not called. */
static void awaited(gas_job_t *job, int source)
{
    if (atomic_load(&job->mailbox.ending))
        atomic_store(&job->colls.abandoned, source + 1);
}

void gas_shrink_heard(gas_job_t *job, const gas_note_t *note, const gas_msg_t *msg)
{
    gas_team_t *team = gas_team_find(job, note->team);
    gas_shrink_t *shrink = team != NULL ? get(team, note->number) : NULL;
    int member = team != NULL ? sender_of(team, note, msg) : -1;

    if (shrink == NULL || member < 0) {
        /* Who asks will ask again when this rank has made the team. */
        atomic_fetch_add(&job->dropped, 1);
        return;
    }
    switch (note->kind) {
    case NOTE_SHRINK_ASK:
        if (member < shrink->promised)
            return;
        shrink->promised = member;
        if (shrink->entered)
            answer(shrink, member);
        else
            awaited(job, msg->source);
        break;
    case NOTE_SHRINK_STATE:
        if (!shrink->leads || shrink->decided)
            return;
        bit_set(shrink->answered, member);
        learn(shrink, note, msg);
        break;
    case NOTE_SHRINK_DECIDED:
        if (!shrink->entered || shrink->decided || member < shrink->promised)
            return;
        learn(shrink, note, msg);
        break;
    default: /* NOTE_SHRINK_AWAIT */
        if (!shrink->entered)
            awaited(job, msg->source);
        else if (shrink->decided)
            tell(shrink, member, NOTE_SHRINK_DECIDED);
        return;
    }
    go_on(shrink);
}

void gas_shrink_lose_rank(gas_job_t *job, int world_rank)
{
    for (unsigned i = 0; i < GAS_TEAM_BUCKETS; i++)
        for (gas_team_t *team = job->teams.buckets[i]; team != NULL; team = team->next)
            if (team->shrinks != NULL && gas_team_from_world(team, world_rank) >= 0)
                for (gas_shrink_t *shrink = team->shrinks; shrink != NULL; shrink = shrink->next)
                    go_on(shrink);
}

void gas_shrink_probe(gas_team_t *team, uint64_t now, uint64_t patience)
{
    gas_shrink_t *shrink = current(team);
    unsigned asked = 0;

    if (!gas_shrink_is_open(team) || now - shrink->since < patience)
        return;
    if (!shrink->leads) {
        tell(shrink, leader_of(team), NOTE_SHRINK_AWAIT);
        return;
    }
    for (int member = shrink->cursor; member < team->size && asked < PROBES_MAX; member++) {
        if (bit_get(shrink->answered, member) || has_failed(team, member))
            continue;
        tell(shrink, member, NOTE_SHRINK_ASK);
        asked++;
    }
}

bool gas_shrink_is_open(const gas_team_t *team)
{
    const gas_shrink_t *shrink = current(team);

    return shrink != NULL && shrink->entered && !shrink->decided;
}

void gas_shrink_free_all(gas_team_t *team)
{
    while (team->shrinks != NULL) {
        gas_shrink_t *shrink = team->shrinks;

        team->shrinks = shrink->next;
        free(shrink);
    }
}

/* ---- the caller ---- */

gas_status_t gas_shrink_enter(gas_team_t *team, gas_shrink_t **out)
{
    gas_job_t *job = team->job;
    gas_status_t status = GAS_OK;
    gas_shrink_t *shrink;

    gas_job_lock(job);
    shrink = current(team);
    if (shrink == NULL)
        shrink = get(team, team->shrinks != NULL ? team->shrinks->number + 1 : 0);
    if (shrink == NULL) {
        status = gas_error(GAS_ERR_NO_MEMORY, "no memory to shrink a team of %d", team->size);
    } else if (!shrink->entered) {
        shrink->entered = true;
        shrink->since = gas_clock_now();
        if (shrink->promised >= 0)
            answer(shrink, shrink->promised);
        go_on(shrink);
    }
    gas_job_unlock(job);
    if (status == GAS_OK)
        *out = shrink;
    return status;
}

int gas_shrink_take(gas_shrink_t *shrink, uint64_t *id, int *ranks)
{
    gas_team_t *team = shrink->team;
    int count = 0;

    gas_job_lock(team->job);
    shrink->taken = true;
    *id = shrink->id;
    for (int member = 0; member < team->size; member++)
        if (!bit_get(shrink->lost, member))
            ranks[count++] = gas_team_to_world(team, member);
    gas_job_unlock(team->job);
    return count;
}
