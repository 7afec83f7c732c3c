/*
 * Notes: what the members of a team tell each other about operations that cannot succeed.
 *
 * A failure spreads like this: who learns of it tells the members 1, 2, 4, 8... above and below,
 * and each tells on what it hears for the first time. So everybody hears within log2 N steps,
 * nobody sends more than 2 log2 N notes, and it does not matter what anybody is waiting for.
 *
 * An operation may also wait for a member that will never come, since it has finished its program.
 * Who waits for long asks (PROBE). A member that is ending and is not in that operation says so
 * (ENDING): since messages of one rank to another keep their order, whatever it had sent before is
 * here then. If it is still waited for, it is told (ABANDONED) and gives up its end of the job
 * (mailbox.h), which ends the job.
 */
#include "notes.h"

#include "clock.h"
#include "collectives/operation.h"
#include "job.h"
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_NS 200000000u /* between two looks at operations that hang */
#define PROBES_MAX 4u       /* members asked for one operation at a time */

void gas_note_send(gas_job_t *job, int world_rank, const gas_note_t *note, const void *data,
                   size_t length)
{
    gas_am_t am = {
        .handler = GAS_HANDLER_COLL_NOTE,
        .header = note,
        .header_length = sizeof(*note),
        .data = data,
        .data_length = length,
    };

    gas_am_send(job, world_rank, &am, NULL, NULL);
}

static void send_note(gas_job_t *job, int world_rank, const gas_note_t *note, const char *text)
{
    gas_note_send(job, world_rank, note, text, text != NULL ? strlen(text) : 0);
}

static void spread(gas_team_t *team, const gas_note_t *note, const char *text)
{
    int size = team->size;

    for (int distance = 1; distance < size; distance *= 2) {
        int above = (int)(((int64_t)team->rank + distance) % size);
        int below = (int)(((int64_t)team->rank - distance + size) % size);

        send_note(team->job, gas_team_to_world(team, above), note, text);
        if (below != above)
            send_note(team->job, gas_team_to_world(team, below), note, text);
        if (distance > size / 2)
            break;
    }
}

void gas_coll_tell_failed(gas_team_t *team, uint32_t number, gas_status_t status, const char *text)
{
    gas_note_t note = {.team = team->id, .number = number, .kind = NOTE_FAILED, .value = status};

    spread(team, &note, text);
}

void gas_coll_tell_broken(gas_team_t *team, gas_status_t status, const char *text)
{
    gas_note_t note = {.team = team->id, .kind = NOTE_BROKEN, .value = status};

    spread(team, &note, text);
}

void gas_coll_tell_one_broken(gas_team_t *team, int world_rank)
{
    gas_note_t note = {.team = team->id, .kind = NOTE_BROKEN, .value = team->broken_as};

    send_note(team->job, world_rank, &note, team->broken);
}

/* ---- what failed elsewhere ---- */

/* An operation that this rank has not begun, or a team that it has not made: it will fail, or be
 * broken, when that happens. */
static void remember_failure(gas_job_t *job, gas_team_t *team, const gas_note_t *note,
                             const char *text)
{
    gas_inbox_t *inbox = gas_inbox_get(job, note->team, note->number);

    if (inbox == NULL) {
        atomic_fetch_add(&job->dropped, 1);
        return;
    }
    if (inbox->failure != NULL)
        return;
    gas_inbox_clear(job, inbox);
    inbox->failure = strdup(text);
    inbox->failed = (gas_status_t)note->value;
    inbox->told = team != NULL;
    if (team != NULL)
        spread(team, note, text);
}

static void hear_of_failure(gas_job_t *job, const gas_note_t *note, const char *text)
{
    gas_team_t *team = gas_team_find(job, note->team);
    gas_inbox_t *inbox = gas_inbox_find(job, note->team, note->number);

    if (inbox != NULL && inbox->coll != NULL)
        gas_coll_fail_locked(inbox->coll, (gas_status_t)note->value, text, true);
    else if (team == NULL || (int32_t)(team->begun - note->number) <= 0)
        remember_failure(job, team, note, text);
    else if ((int32_t)(team->failed_below - note->number) <= 0)
        gas_coll_break_locked(team, (gas_status_t)note->value, text, true);
}

/* ---- members that have finished ---- */

static void answer_probe(gas_job_t *job, const gas_note_t *note, int source)
{
    gas_inbox_t *inbox = gas_inbox_find(job, note->team, note->number);
    gas_note_t answer = *note;

    if (!atomic_load(&job->mailbox.ending) || (inbox != NULL && inbox->coll != NULL))
        return;
    answer.kind = NOTE_ENDING;
    send_note(job, source, &answer, NULL);
}

static void hear_of_end(gas_job_t *job, const gas_note_t *note, int source)
{
    gas_inbox_t *inbox = gas_inbox_find(job, note->team, note->number);
    gas_note_t answer = *note;

    if (inbox == NULL || inbox->coll == NULL)
        return;
    for (gas_coll_recv_t *recv = inbox->coll->wanted; recv != NULL; recv = recv->next) {
        if (recv->source != source)
            continue;
        answer.kind = NOTE_ABANDONED;
        send_note(job, source, &answer, NULL);
        return;
    }
}

static void probe(gas_coll_t *coll)
{
    gas_note_t note = {.team = coll->team->id, .number = coll->number, .kind = NOTE_PROBE};
    gas_coll_recv_t *recv = coll->wanted;

    for (unsigned i = 0; i < PROBES_MAX && recv != NULL; i++, recv = recv->next)
        send_note(coll->team->job, recv->source, &note, NULL);
}

void gas_coll_probe(gas_job_t *job)
{
    uint64_t now = gas_clock_now();
    uint64_t before = atomic_load(&job->colls.probed);

    if (now - before < PROBE_NS ||
        !atomic_compare_exchange_strong(&job->colls.probed, &before, now))
        return;
    gas_job_lock(job);
    for (unsigned i = 0; i < GAS_TEAM_BUCKETS; i++)
        for (gas_team_t *team = job->teams.buckets[i]; team != NULL; team = team->next) {
            gas_shrink_probe(team, now, PROBE_NS);
            for (gas_coll_t *coll = team->open; coll != NULL; coll = coll->next)
                if (now - coll->since >= PROBE_NS)
                    probe(coll);
        }
    gas_job_unlock(job);
}

void gas_coll_note_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    char *text = calloc(1, msg->data_length + 1);
    gas_team_t *team;
    gas_note_t note;

    (void)arg;
    if (text == NULL || msg->header_length != sizeof(note)) {
        atomic_fetch_add(&job->dropped, 1);
        goto out;
    }
    memcpy(&note, msg->header, sizeof(note));
    if (note.kind >= NOTE_SHRINK_ASK && note.kind <= NOTE_SHRINK_AWAIT) {
        gas_shrink_heard(job, &note, msg);
        goto out;
    }
    if (note.value >= GAS_OK || note.value < INT16_MIN)
        note.value = GAS_ERR_PROTOCOL;
    if (msg->data_length > 0)
        memcpy(text, msg->data, msg->data_length);
    switch (note.kind) {
    case NOTE_FAILED:
        hear_of_failure(job, &note, text);
        break;
    case NOTE_BROKEN:
        team = gas_team_find(job, note.team);
        note.number = GAS_INBOX_BROKEN;
        if (team != NULL)
            gas_coll_break_locked(team, (gas_status_t)note.value, text, true);
        else
            remember_failure(job, NULL, &note, text);
        break;
    case NOTE_PROBE:
        answer_probe(job, &note, msg->source);
        break;
    case NOTE_ENDING:
        hear_of_end(job, &note, msg->source);
        break;
    case NOTE_ABANDONED:
        /* Of a member that has failed everybody hears. */
        team = gas_team_find(job, note.team);
        if (atomic_load(&job->mailbox.ending) && (team == NULL || team->broken == NULL))
            atomic_store(&job->colls.abandoned, msg->source + 1);
        break;
    default:
        atomic_fetch_add(&job->dropped, 1);
    }
out:
    free(text);
    gas_msg_free(job, msg);
}

/* ---- texts ---- */

/* "allreduce(SUM, 10 float64)" */
static void describe(char *text, size_t size, const gas_coll_signature_t *signature)
{
    const char *type = gas_type_name((gas_type_t)signature->type);
    char what[96] = "", root[32] = "";

    if (signature->op != GAS_REDUCE_NONE)
        snprintf(what, sizeof(what), "%s, ", gas_operator_name((gas_operator_t)signature->op));
    if (signature->type == GAS_TYPE_OBJECT)
        snprintf(what + strlen(what), sizeof(what) - strlen(what), "%s, ", type);
    else if (signature->kind != GAS_COLL_BARRIER)
        snprintf(what + strlen(what), sizeof(what) - strlen(what), "%llu %s, ",
                 (unsigned long long)signature->count, type);
    if (signature->kind == GAS_COLL_BROADCAST || signature->kind == GAS_COLL_GATHER ||
        signature->kind == GAS_COLL_SCATTER || signature->kind == GAS_COLL_REDUCE ||
        signature->kind == GAS_COLL_SHARE)
        snprintf(root, sizeof(root), "root %u, ", signature->root);
    snprintf(text, size, "%s(%s%s", gas_coll_kind_name((gas_coll_kind_t)signature->kind), what,
             root);
    size = strlen(text);
    if (size > 2 && text[size - 1] == ' ')
        text[size - 2] = '\0';
    strcat(text, ")");
}

void gas_coll_describe_mismatch(char *text, size_t size, const gas_team_t *team, uint32_t number,
                                int other, const gas_coll_signature_t *others,
                                const gas_coll_signature_t *mine)
{
    char theirs[192], ours[192];
    const char *why = "";

    describe(theirs, sizeof(theirs) - 2, others);
    describe(ours, sizeof(ours) - 2, mine);
    if (strcmp(theirs, ours) == 0) {
        if (others->shape != mine->shape)
            why = " of another shape";
        else if (others->algorithm != mine->algorithm)
            why = " by another algorithm (the settings of the ranks differ)";
        else
            why = " with another operator or option";
    }
    snprintf(text, size,
             "the ranks of a team disagree about its collective operation number %u: rank %d calls "
             "%s%s, rank %d calls %s; all must call the same, in the same order",
             number, other, theirs, why, gas_job_rank(team->job), ours);
}
