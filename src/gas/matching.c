/*
 * Design notes. Messages of collective operations meet the receives that wait for them: each names
 * its operation by team and number, and carries its signature. What comes before its operation, or
 * before its team, waits in an inbox. Everything here is under the conduit lock.
 *
 * A message for an operation that is over here with success has no receive: its sender had another
 * one in mind. That is how it comes out when a rank was the root of two broadcasts where the others
 * expected something else.
 */
#include "clock.h"
#include "collectives/operation.h"
#include "collectives/wire.h"
#include "job.h"

#include <stdio.h>
#include <string.h>

/* The buffer of a receive has arrived. */
static void landed(void *arg, gas_status_t status)
{
    gas_coll_recv_t *recv = arg;
    gas_coll_t *coll = recv->coll;

    gas_msg_free(coll->team->job, recv->msg);
    recv->msg = NULL;
    if (status != GAS_OK)
        gas_coll_fail_locked(coll, status, "a part of it could not be transferred", true);
    gas_coll_complete_one(coll);
}

/* Lands what came for a receive of an algorithm. */
static void land(gas_coll_t *coll, gas_coll_recv_t *recv, gas_msg_t *msg)
{
    gas_job_t *job = coll->team->job;
    bool is_bulk = msg->bulk_count == 1 && msg->data_length == 0;
    size_t length = is_bulk ? msg->bulk[0].length : msg->data_length;

    if ((!is_bulk && msg->bulk_count > 0) || length != recv->length) {
        char text[GAS_COLL_TEXT_MAX];

        snprintf(
            text, sizeof(text),
            "rank %d sent %zu bytes in a %s where %zu were expected: do all ranks use the same "
            "settings?",
            msg->source, length, gas_coll_kind_name(coll->args.kind), recv->length);
        gas_msg_free(job, msg);
        gas_coll_fail_locked(coll, GAS_ERR_MISMATCH, text, true);
        gas_coll_complete_one(coll);
        return;
    }
    if (is_bulk) {
        gas_status_t status;

        recv->msg = msg;
        status = gas_msg_receive(job, msg, &recv->landing, landed, recv);
        if (status != GAS_OK)
            landed(recv, status);
        return;
    }
    if (length > 0)
        memcpy(recv->landing, msg->data, length);
    gas_msg_free(job, msg);
    gas_coll_complete_one(coll);
}

static void hand_over(gas_coll_t *coll, gas_coll_recv_t *recv, gas_msg_t *msg)
{
    coll->since = gas_clock_recent();
    if (recv->ready == NULL) {
        land(coll, recv, msg);
    } else {
        recv->msg = msg;
        recv->ready(recv);
    }
}

static gas_coll_recv_t *take_wanted(gas_coll_t *coll, int source)
{
    for (gas_coll_recv_t **at = &coll->wanted; *at != NULL; at = &(*at)->next) {
        gas_coll_recv_t *recv = *at;

        if (recv->source != source)
            continue;
        *at = recv->next;
        if (recv->next == NULL)
            coll->wanted_end = at;
        return recv;
    }
    return NULL;
}

void gas_coll_want(gas_coll_t *coll, gas_coll_recv_t *recv)
{
    gas_msg_t *msg = gas_inbox_take(coll->inbox, recv->source);

    if (msg != NULL) {
        hand_over(coll, recv, msg);
        return;
    }
    recv->next = NULL;
    *coll->wanted_end = recv;
    coll->wanted_end = &recv->next;
}

bool gas_coll_agrees(gas_coll_t *coll, const gas_msg_t *msg)
{
    gas_coll_head_t head;
    char text[GAS_COLL_TEXT_MAX];

    if (gas_coll_head_get(msg->header, msg->header_length, &head) == 0)
        return false; /* cannot be: it has arrived by that */
    if (memcmp(&head.signature, &coll->signature, sizeof(head.signature)) == 0)
        return true;
    gas_coll_describe_mismatch(text, sizeof(text), coll->team, coll->number, msg->source,
                               &head.signature, &coll->signature);
    gas_coll_fail_locked(coll, GAS_ERR_MISMATCH, text, true);
    return false;
}

/* A message for an operation that is over here. */
static void arrived_late(gas_team_t *team, const gas_coll_head_t *head, int source)
{
    gas_coll_signature_t *mine = &team->recent[head->number % GAS_TEAM_RECENT];
    char text[GAS_COLL_TEXT_MAX];

    if (team->broken != NULL) {
        gas_coll_tell_one_broken(team, source);
        return;
    }
    if ((int32_t)(team->failed_below - head->number) > 0)
        return;
    if (team->begun - head->number > GAS_TEAM_RECENT)
        snprintf(text, sizeof(text), "rank %d is in operation %u of the team, which is over here",
                 source, head->number);
    else
        gas_coll_describe_mismatch(text, sizeof(text), team, head->number, source, &head->signature,
                                   mine);
    gas_coll_break_locked(team, GAS_ERR_MISMATCH, text, true);
}

const void *gas_coll_added(const gas_msg_t *msg, size_t length)
{
    gas_coll_head_t head;
    size_t own;

    if (!gas_coll_head_may_be_longer(msg->header, msg->header_length))
        return NULL;
    own = gas_coll_head_get(msg->header, msg->header_length, &head);
    if (own == 0 || own + length != msg->header_length)
        return NULL;
    return (const char *)msg->header + own;
}

void gas_coll_discard(gas_job_t *job, gas_msg_t *msg)
{
    gas_coll_head_t head;

    if (job->discard != NULL && !atomic_load(&job->closed) &&
        gas_coll_head_get(msg->header, msg->header_length, &head) > 0 &&
        head.signature.type == GAS_TYPE_OBJECT)
        job->discard(job, msg);
    gas_msg_free(job, msg);
}

/* Keeps a message for later; false if there is no memory, or no use for it. */
static bool keep(gas_job_t *job, const gas_coll_head_t *head, gas_msg_t *msg)
{
    gas_inbox_t *inbox = gas_inbox_get(job, head->team, head->number);

    return inbox != NULL && inbox->failure == NULL && gas_inbox_put(inbox, msg);
}

void gas_coll_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_coll_head_t head;
    gas_inbox_t *inbox;
    gas_coll_t *coll;
    gas_team_t *team;

    (void)arg;
    if (gas_coll_head_get(msg->header, msg->header_length, &head) == 0) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    inbox = gas_inbox_find(job, head.team, head.number);
    coll = inbox != NULL ? inbox->coll : NULL;
    team = gas_team_find(job, head.team);
    if (coll != NULL) {
        /* One that has failed may be gone: it is not touched after that. */
        bool fits = coll->status == GAS_OK && gas_coll_agrees(coll, msg);
        gas_coll_recv_t *recv = fits ? take_wanted(coll, msg->source) : NULL;

        if (recv != NULL)
            hand_over(coll, recv, msg);
        else if (!fits || !keep(job, &head, msg))
            gas_coll_discard(job, msg);
    } else if (team != NULL && (team->broken != NULL || (int32_t)(team->begun - head.number) > 0)) {
        arrived_late(team, &head, msg->source);
        gas_coll_discard(job, msg);
    } else if (!keep(job, &head, msg)) {
        atomic_fetch_add(&job->dropped, 1);
        gas_coll_discard(job, msg);
    }
}
