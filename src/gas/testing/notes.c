#include "notes.h"

#include "check.h"

#include <string.h>

typedef struct job_work {
    gas_work_t work;
    gas_job_t *job;
    int source;
    note_t note;
} job_work_t;

void note_send(gas_job_t *job, int destination, note_t note)
{
    gas_am_t am = {
        .handler = GAS_HANDLER_USER, .header = &note, .header_length = (uint16_t)sizeof(note)};

    CHECK(gas_am_send(job, destination, &am, NULL, NULL) == GAS_OK);
}

static void act(gas_job_t *job, int source, note_t note)
{
    if (note.back)
        note_send(job, source, (note_t){.event = note.event});
    else
        gas_event_set(note.event);
}

static void run_work(gas_work_t *work)
{
    job_work_t *self = (job_work_t *)work;

    act(self->job, self->source, self->note);
    free(self);
}

void note_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    job_work_t *work;
    note_t note;

    (void)arg;
    CHECK(msg->header_length == sizeof(note));
    memcpy(&note, msg->header, sizeof(note));
    if (!note.work) {
        act(job, msg->source, note);
    } else {
        work = malloc(sizeof(*work));
        CHECK(work != NULL);
        *work = (job_work_t){{.run = run_work}, job, msg->source, note};
        gas_work_push(job, &work->work);
    }
    gas_msg_free(job, msg);
}

void note_push(gas_job_t *job, gas_event_t *event, bool own)
{
    job_work_t *work = malloc(sizeof(*work));

    CHECK(work != NULL);
    *work = (job_work_t){{.run = run_work, .own = own}, job, 0, {.event = event}};
    gas_work_push(job, &work->work);
}

gas_status_t wait_until(gas_job_t *job, gas_event_t *event, uint64_t deadline, unsigned flags)
{
    gas_status_t status;

    for (;;) {
        status = gas_wait(job, event, deadline, flags);
        if (status == GAS_WORK)
            gas_work_drain(job, SIZE_MAX, GAS_FOREVER);
        else if (status != GAS_INTERRUPTED)
            return status;
    }
}
