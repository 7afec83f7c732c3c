#include "inbox.h"

#include "alloc.h"
#include "job.h"

#include <stdlib.h>

#define MESSAGES_MIN 8u /* buckets of the first table */
#define FILL 4u         /* messages for each bucket before the table doubles */

static gas_inbox_t **find(gas_job_t *job, uint64_t team, uint32_t number)
{
    uint64_t mixed = (team ^ team >> 32) * 31u + number;
    gas_inbox_t **at = &job->colls.inboxes.buckets[mixed % GAS_INBOX_BUCKETS];

    while (*at != NULL && ((*at)->number != number || (*at)->team != team))
        at = &(*at)->next;
    return at;
}

gas_inbox_t *gas_inbox_find(gas_job_t *job, uint64_t team, uint32_t number)
{
    return *find(job, team, number);
}

gas_inbox_t *gas_inbox_get(gas_job_t *job, uint64_t team, uint32_t number)
{
    gas_inbox_t **at = find(job, team, number);

    if (*at == NULL) {
        *at = gas_alloc_zeroed(sizeof(**at));
        if (*at == NULL)
            return NULL;
        (*at)->team = team;
        (*at)->number = number;
    }
    return *at;
}

static gas_msg_t **bucket_of(gas_inbox_t *inbox, int source)
{
    return &inbox->messages[(size_t)source & (inbox->bucket_count - 1)];
}

static void append(gas_inbox_t *inbox, gas_msg_t *msg)
{
    gas_msg_t **at = bucket_of(inbox, msg->source);

    while (*at != NULL)
        at = &(*at)->next;
    msg->next = NULL;
    *at = msg;
}

/* Makes room for one more. The messages of one source keep their order. */
static bool grow(gas_inbox_t *inbox)
{
    size_t old_count = inbox->bucket_count;
    size_t new_count = old_count > 0 ? 2 * old_count : MESSAGES_MIN;
    gas_msg_t **old = inbox->messages;
    gas_msg_t **messages;

    if (inbox->count < FILL * old_count)
        return true;
    messages = calloc(new_count, sizeof(gas_msg_t *));
    if (messages == NULL)
        return false;
    inbox->messages = messages;
    inbox->bucket_count = new_count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            gas_msg_t *msg = old[i];

            old[i] = msg->next;
            append(inbox, msg);
        }
    }
    free(old);
    return true;
}

bool gas_inbox_put(gas_inbox_t *inbox, gas_msg_t *msg)
{
    if (!grow(inbox))
        return false;
    append(inbox, msg);
    inbox->count++;
    return true;
}

gas_msg_t *gas_inbox_take(gas_inbox_t *inbox, int source)
{
    if (inbox->count == 0)
        return NULL;
    for (gas_msg_t **at = bucket_of(inbox, source); *at != NULL; at = &(*at)->next) {
        gas_msg_t *msg = *at;

        if (msg->source != source)
            continue;
        *at = msg->next;
        msg->next = NULL;
        inbox->count--;
        return msg;
    }
    return NULL;
}

gas_msg_t *gas_inbox_next(gas_inbox_t *inbox, const gas_msg_t *before)
{
    size_t i = 0;

    if (before != NULL) {
        if (before->next != NULL)
            return before->next;
        i = ((size_t)before->source & (inbox->bucket_count - 1)) + 1;
    }
    for (; i < inbox->bucket_count; i++)
        if (inbox->messages[i] != NULL)
            return inbox->messages[i];
    return NULL;
}

void gas_inbox_clear(gas_job_t *job, gas_inbox_t *inbox)
{
    for (size_t i = 0; i < inbox->bucket_count; i++) {
        while (inbox->messages[i] != NULL) {
            gas_msg_t *msg = inbox->messages[i];

            inbox->messages[i] = msg->next;
            gas_coll_discard(job, msg);
        }
    }
    inbox->count = 0;
}

void gas_inbox_free(gas_job_t *job, gas_inbox_t *inbox)
{
    *find(job, inbox->team, inbox->number) = inbox->next;
    gas_inbox_clear(job, inbox);
    free(inbox->messages);
    free(inbox->failure);
    free(inbox);
}

void gas_inboxes_forget(gas_job_t *job, uint64_t team)
{
    for (unsigned i = 0; i < GAS_INBOX_BUCKETS; i++) {
        for (gas_inbox_t *inbox = job->colls.inboxes.buckets[i], *next; inbox != NULL;
             inbox = next) {
            next = inbox->next;
            if (inbox->team == team && inbox->coll == NULL && inbox->number != GAS_INBOX_BROKEN)
                gas_inbox_free(job, inbox);
        }
    }
}

void gas_inboxes_fini(gas_job_t *job)
{
    for (unsigned i = 0; i < GAS_INBOX_BUCKETS; i++)
        while (job->colls.inboxes.buckets[i] != NULL)
            gas_inbox_free(job, job->colls.inboxes.buckets[i]);
}
