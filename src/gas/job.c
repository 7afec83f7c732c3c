#include "job.h"

#include "clock.h"
#include "collectives/table.h"

#include <stdlib.h>
#include <string.h>

#define STOP_NS 2000000000u   /* how long a stop waits for what this rank has sent */
#define STOP_LOOK_NS 1000000u /* between two looks at it */

void gas_job_lock(gas_job_t *job)
{
    pthread_mutex_lock(&job->lock);
}

void gas_job_unlock(gas_job_t *job)
{
    pthread_mutex_unlock(&job->lock);
}

void gas_job_note_backlog(gas_job_t *job)
{
    size_t backlog = job->conduit->ops->backlog(job->conduit);

    if (backlog != atomic_load_explicit(&job->backlog, memory_order_relaxed))
        atomic_store(&job->backlog, backlog);
}

static void deliver(void *arg, const gas_arrival_t *arrival)
{
    gas_job_t *job = arg;
    bool packed = (arrival->handler & GAS_HANDLER_PACKED) != 0;
    unsigned number = arrival->handler & ~GAS_HANDLER_PACKED;
    gas_handler_t *handler = NULL;
    gas_msg_t *msg = NULL;

    if (!atomic_load_explicit(&job->closed, memory_order_relaxed) && number < GAS_HANDLER_MAX &&
        !gas_rank_has_failed(job, arrival->source) && job->handlers[number].run != NULL &&
        (!packed || arrival->bulk_count == 0)) {
        handler = &job->handlers[number];
        msg = gas_msg_create(arrival);
    }
    if (msg != NULL && packed && !gas_msg_unpack(msg)) {
        free(msg);
        msg = NULL;
    }
    if (number != GAS_HANDLER_PROBE && number != GAS_HANDLER_COLL_NOTE)
        atomic_store_explicit(&job->activity,
                              atomic_load_explicit(&job->activity, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    if (msg != NULL) {
        gas_traffic_note_received(&job->traffic, number, arrival);
        if (number < GAS_HANDLER_USER && job->arrived != NULL)
            job->arrived(job, msg);
        handler->run(job, msg, handler->arg);
        return;
    }
    atomic_fetch_add(&job->dropped, 1);
    for (uint32_t i = 0; i < arrival->bulk_count; i++) {
        gas_bulk_t bulk = arrival->bulk[i];

        job->conduit->ops->bulk_reject(job->conduit, &bulk);
    }
}

/* ---- what the boot has to say ---- */

static void rank_failed(void *arg, int rank, int status, const char *reason)
{
    gas_failure_report(arg, rank, status, reason);
}

static void all_ended(void *arg)
{
    gas_job_t *job = arg;

    gas_event_set(&job->ended);
}

static void answer_pulse(gas_job_t *job)
{
    gas_pulse_t pulse = {.activity = atomic_load(&job->activity),
                         .waiting = gas_waiting_time(job) / 1000000u};

    job->boot->ops->answer(job->boot, GAS_ASK_PULSE, &pulse, sizeof(pulse));
}

static void answer_report(gas_job_t *job)
{
    char *text = malloc(GAS_ANSWER_MAX);
    size_t length;

    if (text == NULL)
        return;
    length = gas_waiting_list(job, text, GAS_ANSWER_MAX);
    if (job->stacks != NULL)
        length += job->stacks(text + length, GAS_ANSWER_MAX - length);
    job->boot->ops->answer(job->boot, GAS_ASK_REPORT, text, length);
    free(text);
}

static void asked(void *arg, uint32_t what)
{
    if (what == GAS_ASK_PULSE)
        answer_pulse(arg);
    else if (what == GAS_ASK_REPORT)
        answer_report(arg);
}

static const gas_boot_events_t boot_events = {
    .rank_failed = rank_failed, .asked = asked, .ended = all_ended};

/* ---- start and end ---- */

static void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static gas_status_t open_conduit(gas_job_t *job, const gas_job_params_t *params)
{
    gas_conduit_params_t conduit = {
        .boot = job->boot,
        .config = &job->config,
        .deliver = deliver,
        .deliver_arg = job,
    };
    gas_status_t status = params->conduit->create(&conduit, &job->conduit);
    gas_waiting_t waiting;

    if (status != GAS_OK)
        return status;
    gas_waiting_begin(&waiting, "all ranks to start the job", -1);
    pthread_mutex_lock(&job->progress.lock);
    gas_waiting_sleeps_locked(job);
    pthread_mutex_unlock(&job->progress.lock);
    status = job->boot->ops->fence(job->boot, params->interrupt, params->interrupt_arg);
    gas_waiting_end(job, &waiting);
    if (status != GAS_OK)
        job->conduit->ops->destroy(job->conduit);
    return status;
}

/* The end of a job that no thread, no handler and no transport uses. */
static void destroy(gas_job_t *job)
{
    gas_traffic_fini(&job->traffic);
    gas_teams_fini(job);
    gas_workq_fini(&job->workq);
    gas_gate_fini(&job->gate);
    pthread_mutex_destroy(&job->lock);
    job->boot->ops->destroy(job->boot);
    free(job);
}

gas_status_t gas_job_start(const gas_job_params_t *params, gas_job_t **out)
{
    gas_job_t *job = calloc(1, sizeof(*job));
    gas_status_t status;

    if (job == NULL) {
        params->boot->ops->destroy(params->boot);
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the job");
    }
    job->boot = params->boot;
    job->kick = params->kick;
    job->idle = params->idle;
    job->kick_arg = params->kick_arg;
    job->failed = params->failed;
    job->failed_arg = params->failed_arg;
    job->arrived = params->arrived;
    job->stacks = params->stacks;
    gas_event_init(&job->ended);
    job->tend = params->tend;
    job->discard = params->discard;
    job->tend_arg = params->tend_arg;
    memcpy(job->handlers, params->handlers, sizeof(job->handlers));
    job->handlers[GAS_HANDLER_COLL] = (gas_handler_t){gas_coll_arrived, NULL};
    job->handlers[GAS_HANDLER_COLL_NOTE] = (gas_handler_t){gas_coll_note_arrived, NULL};
    job->handlers[GAS_HANDLER_MAILBOX] = (gas_handler_t){gas_mailbox_arrived, NULL};
    job->handlers[GAS_HANDLER_PROBE] = (gas_handler_t){gas_mailbox_probed, NULL};
    job->handlers[GAS_HANDLER_KEY_ASK] = (gas_handler_t){gas_segment_asked, NULL};
    job->handlers[GAS_HANDLER_KEY] = (gas_handler_t){gas_segment_keyed, NULL};
    job->handlers[GAS_HANDLER_OP_ASK] = (gas_handler_t){gas_op_asked, NULL};
    job->handlers[GAS_HANDLER_OP_ANSWER] = (gas_handler_t){gas_op_answered, NULL};
    lock_init(&job->lock);
    gas_workq_init(&job->workq);
    gas_colls_init(job);
    gas_gate_init(&job->gate);
    gas_mailbox_init(&job->mailbox);
    status = gas_config_read(&job->config);
    if (status == GAS_OK)
        status = gas_algorithm_check(job->config.collectives);
    if (status == GAS_OK)
        status = gas_teams_init(job);
    if (status == GAS_OK)
        status = gas_segment_init(job);
    if (status == GAS_OK)
        status = gas_traffic_init(&job->traffic, gas_job_size(job), params->watched);
    if (status == GAS_OK)
        status = gas_failure_init(job);
    if (status != GAS_OK)
        goto err_job;
    status = gas_progress_init(job);
    if (status != GAS_OK)
        goto err_failure;
    job->boot->ops->listen(job->boot, &boot_events, job);
    *out = job; /* from here on handlers run */
    status = open_conduit(job, params);
    if (status != GAS_OK)
        goto err_progress;
    status = gas_progress_start(job);
    if (status != GAS_OK)
        goto err_conduit;
    gas_job_lock(job);
    gas_failure_handle(job); /* of ranks that failed before all had come this far */
    gas_job_unlock(job);
    return GAS_OK;

err_conduit:
    gas_segment_fini(job); /* a peer may have asked already */
    gas_mailbox_fini(job);
    gas_colls_fini(job);
    job->conduit->ops->destroy(job->conduit);
err_progress:
    *out = NULL;
    job->boot->ops->listen(job->boot, NULL, NULL);
    gas_progress_fini(job);
err_failure:
    gas_failure_fini(job);
err_job:
    destroy(job);
    return status;
}

void gas_job_close(gas_job_t *job)
{
    gas_job_lock(job); /* no handler is running any more when this returns */
    atomic_store(&job->closed, true);
    gas_job_unlock(job);
}

void gas_job_stop(gas_job_t *job)
{
    uint64_t deadline = gas_clock_now() + STOP_NS;
    size_t left;

    gas_job_close(job);
    do {
        gas_job_lock(job);
        job->conduit->ops->poll(job->conduit);
        left = job->conduit->ops->outstanding(job->conduit);
        gas_job_unlock(job);
        if (left > 0)
            gas_wait(job, NULL, gas_clock_now() + STOP_LOOK_NS, 0);
    } while (left > 0 && gas_clock_left(deadline) > 0);
    job->boot->ops->listen(job->boot, NULL, NULL);
    gas_homes_end(job);
    gas_progress_stop(job);
    gas_progress_fini(job);
    gas_mailbox_fini(job);
    gas_colls_fini(job);
    gas_segment_fini(job);
    job->conduit->ops->destroy(job->conduit);
    gas_failure_fini(job);
    destroy(job);
}

void gas_job_rouse(gas_job_t *job)
{
    gas_progress_rouse(job);
}

gas_status_t gas_job_finish(gas_job_t *job)
{
    return job->boot->ops->finished(job->boot);
}

gas_status_t gas_job_bye(gas_job_t *job)
{
    return job->boot->ops->bye(job->boot);
}

/* True if the buffers of `am` are better copied into the message. */
static bool pays_to_pack(gas_job_t *job, int destination, const gas_am_t *am)
{
    gas_conduit_t *conduit = job->conduit;
    size_t room = job->config.eager_max;

    if (conduit->ops->bulk_is_cheap == NULL || conduit->ops->bulk_is_cheap(conduit, destination))
        return false;
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        if (am->bulk[i].length > room)
            return false;
        room -= am->bulk[i].length;
    }
    return true;
}

/* Sends under the lock. Without memory to pack it, it goes as it is. */
static gas_status_t send_locked(gas_job_t *job, int destination, const gas_am_t *am,
                                gas_done_fn done, void *arg)
{
    gas_conduit_t *conduit = job->conduit;
    gas_am_t packed;
    gas_status_t status;
    void *block = NULL;

    if (am->bulk_count > 0 && pays_to_pack(job, destination, am))
        block = gas_msg_pack(am, &packed);
    if (block == NULL)
        return conduit->ops->am_send(conduit, destination, am, done, arg);
    status = conduit->ops->am_send(conduit, destination, &packed, NULL, NULL);
    free(block);
    if (status == GAS_OK)
        done(arg, GAS_OK);
    return status;
}

gas_status_t gas_am_send(gas_job_t *job, int destination, const gas_am_t *am, gas_done_fn done,
                         void *arg)
{
    gas_status_t status;

    if (destination < 0 || destination >= gas_job_size(job))
        return gas_error(GAS_ERR_INVALID, "there is no rank %d in a job of %d", destination,
                         gas_job_size(job));
    gas_job_lock(job);
    if (gas_rank_has_failed(job, destination))
        status = gas_failure_error(job, destination);
    else
        status = send_locked(job, destination, am, done, arg);
    if (status == GAS_OK)
        gas_traffic_note_sent(&job->traffic, destination, am);
    gas_progress_given(job);
    gas_job_unlock(job);
    return status;
}

bool gas_bulk_is_settled(gas_job_t *job)
{
    gas_conduit_t *conduit = job->conduit;

    return conduit->ops->bulk_unsettled == NULL || conduit->ops->bulk_unsettled(conduit) == 0;
}

gas_status_t gas_bulk_settle(gas_job_t *job)
{
    gas_status_t status;

    if (gas_bulk_is_settled(job))
        return GAS_OK;
    gas_job_lock(job);
    status = job->conduit->ops->bulk_settle(job->conduit);
    gas_job_unlock(job);
    return status;
}
