#include "mailbox.h"

#include "job.h"

#include <string.h>

enum probe_kind {
    PROBE_ARE_YOU_ENDING,
    PROBE_I_AM_ENDING,
    PROBE_I_WAIT_FOR_YOU,
};

typedef struct probe {
    uint64_t tag;
    uint64_t kind;
} probe_t;

static uint64_t msg_tag(const gas_msg_t *msg)
{
    uint64_t tag;

    memcpy(&tag, msg->header, sizeof(tag));
    return tag;
}

void gas_mailbox_init(gas_mailbox_t *mailbox)
{
    memset(mailbox, 0, sizeof(*mailbox));
    mailbox->early_end = &mailbox->early;
}

void gas_mailbox_fini(gas_job_t *job)
{
    gas_mailbox_t *mailbox = &job->mailbox;

    while (mailbox->early != NULL) {
        gas_msg_t *msg = mailbox->early;

        mailbox->early = msg->next;
        gas_msg_free(job, msg);
    }
    mailbox->early_end = &mailbox->early;
}

static gas_msg_t *take_early(gas_mailbox_t *mailbox, uint64_t tag, int source)
{
    for (gas_msg_t **at = &mailbox->early; *at != NULL; at = &(*at)->next) {
        gas_msg_t *msg = *at;

        if (msg->source != source || msg_tag(msg) != tag)
            continue;
        *at = msg->next;
        if (msg->next == NULL)
            mailbox->early_end = at;
        msg->next = NULL;
        return msg;
    }
    return NULL;
}

static gas_parcel_t **find_wanted(gas_mailbox_t *mailbox, uint64_t tag, int source)
{
    gas_parcel_t **at = &mailbox->wanted;

    while (*at != NULL && ((*at)->tag != tag || (*at)->source != source))
        at = &(*at)->next;
    return at;
}

void gas_mailbox_expect(gas_job_t *job, gas_parcel_t *parcel, uint64_t tag, int source,
                        size_t failures)
{
    gas_mailbox_t *mailbox = &job->mailbox;

    parcel->tag = tag;
    parcel->source = source;
    parcel->failures = failures;
    parcel->next = NULL;
    gas_event_init(&parcel->event);
    gas_job_lock(job);
    parcel->msg = take_early(mailbox, tag, source);
    if (parcel->msg != NULL || gas_failure_count(job) > failures) {
        gas_event_set(&parcel->event);
    } else {
        parcel->next = mailbox->wanted;
        mailbox->wanted = parcel;
    }
    gas_job_unlock(job);
}

gas_msg_t *gas_mailbox_cancel(gas_job_t *job, gas_parcel_t *parcel)
{
    gas_job_lock(job);
    if (parcel->msg == NULL) {
        gas_parcel_t **at = &job->mailbox.wanted;

        while (*at != NULL && *at != parcel)
            at = &(*at)->next;
        if (*at == parcel)
            *at = parcel->next;
    }
    gas_job_unlock(job);
    return parcel->msg;
}

void gas_mailbox_peer_failed(gas_job_t *job, int rank)
{
    gas_parcel_t **at = &job->mailbox.wanted;

    (void)rank;
    while (*at != NULL) {
        gas_parcel_t *parcel = *at;

        if (parcel->failures >= gas_failure_count(job)) {
            at = &parcel->next;
            continue;
        }
        *at = parcel->next;
        gas_event_set(&parcel->event); /* from here on it may be gone */
    }
}

void gas_mailbox_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_mailbox_t *mailbox = &job->mailbox;
    gas_parcel_t **at;

    (void)arg;
    if (msg->header_length < sizeof(uint64_t)) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    at = find_wanted(mailbox, msg_tag(msg), msg->source);
    if (*at != NULL) {
        gas_parcel_t *parcel = *at;

        *at = parcel->next;
        parcel->msg = msg;
        gas_event_set(&parcel->event);
    } else {
        msg->next = NULL;
        *mailbox->early_end = msg;
        mailbox->early_end = &msg->next;
    }
}

static gas_status_t send_probe(gas_job_t *job, int destination, uint64_t tag, enum probe_kind kind)
{
    probe_t probe = {.tag = tag, .kind = kind};
    gas_am_t am = {.handler = GAS_HANDLER_PROBE, .header = &probe, .header_length = sizeof(probe)};

    return gas_am_send(job, destination, &am, NULL, NULL);
}

gas_status_t gas_mailbox_probe(gas_job_t *job, const gas_parcel_t *parcel)
{
    return send_probe(job, parcel->source, parcel->tag, PROBE_ARE_YOU_ENDING);
}

void gas_mailbox_probed(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_mailbox_t *mailbox = &job->mailbox;
    int source = msg->source;
    gas_parcel_t *parcel, **at;
    probe_t probe = {0};

    (void)arg;
    if (msg->header_length == sizeof(probe))
        memcpy(&probe, msg->header, sizeof(probe));
    else
        atomic_fetch_add(&job->dropped, 1);
    gas_msg_free(job, msg);
    switch (probe.kind) {
    case PROBE_ARE_YOU_ENDING:
        if (atomic_load(&mailbox->ending))
            send_probe(job, source, probe.tag, PROBE_I_AM_ENDING);
        break;
    case PROBE_I_AM_ENDING:
        at = find_wanted(mailbox, probe.tag, source);
        if (*at == NULL)
            break;
        if (gas_failure_count(job) == 0) {
            send_probe(job, source, probe.tag, PROBE_I_WAIT_FOR_YOU);
        } else { /* the others need not agree on what the failure of a rank means: not its end */
            parcel = *at;
            *at = parcel->next;
            gas_event_set(&parcel->event);
        }
        break;
    case PROBE_I_WAIT_FOR_YOU:
        if (atomic_load(&mailbox->ending))
            atomic_store(&mailbox->abandoned, source + 1);
        break;
    }
}

void gas_mailbox_set_ending(gas_job_t *job)
{
    atomic_store(&job->mailbox.ending, true);
}

int gas_mailbox_abandoned(gas_job_t *job)
{
    int of_team = atomic_load(&job->colls.abandoned) - 1;

    /* After a failure nobody waits in vain for a parcel. */
    if (of_team >= 0 || gas_failure_count(job) > 0)
        return of_team;
    return atomic_load(&job->mailbox.abandoned) - 1;
}
