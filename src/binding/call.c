/*
 * Design notes. A call is in the table of open calls (call_table.h) until its reply arrives; who
 * takes it out of there has it arrive, so that happens once. A reply that comes for a call which
 * nobody knows any more is dropped.
 *
 * A call that a Future stands for (`shared`) can have a notice: one item of work, its own, that is
 * queued when the reply arrives. The item takes over the table's reference. There are two kinds:
 * somebody wants to be told (pg_call_notify()), or nobody wants to know (pg_call_abandon()). The
 * second is not even queued for a result that is no exception. A call is abandoned by the finalizer
 * of its Future, which lives until it has been told if it wants to be: so a call has one of them.
 */
#include "call.h"

#include "arguments.h"
#include "call_table.h"
#include "cancel.h"
#include "compat.h"
#include "exports.h"
#include "failure.h"
#include "future.h"
#include "giveback.h"
#include "prefetch.h"
#include "request.h"
#include "told.h"
#include "wait.h"

#include <stddef.h>

#define CALL_OF_WORK(item) ((pg_call_t *)((char *)(item) - offsetof(pg_call_t, work)))

static atomic_uint_least64_t count;

uint64_t pg_call_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

void pg_call_unref(pg_call_t *call)
{
    if (atomic_fetch_sub(&call->references, 1) > 1)
        return;
    if (call->reply != NULL && pg_enter_if_running()) {
        if (call->prefetch == NULL || pg_prefetch_claim(call->prefetch))
            pg_payload_refuse(call->reply, &call->head.wire);
        gas_msg_free(pg.job, call->reply);
        pg_leave();
    }
    pg_prefetch_free(call->prefetch);
    free(call);
}

bool pg_call_is_cancelled(const pg_call_t *call)
{
    return call->reply != NULL && call->head.outcome == PG_OUTCOME_CANCELLED;
}

static void notify_run(gas_work_t *work)
{
    pg_call_t *call = CALL_OF_WORK(work);
    /* A drain may happen while an exception is on its way (a finalizer that waits, say). */
    PyObject *pending = PyErr_GetRaisedException();

    call->notify(call->notify_arg);
    pg_call_unref(call);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

bool pg_call_is_over(const pg_call_t *call)
{
    return call->reply == NULL || call->head.outcome == PG_OUTCOME_ENDED;
}

bool pg_call_notify(pg_call_t *call, void (*notify)(void *arg), void *arg)
{
    call->notify = notify;
    call->notify_arg = arg;
    call->work.run = notify_run;
    return pg_completion_leave(&call->arrived, &call->work);
}

/* True if the reply matters even if nobody waits for it. */
static bool is_news(const pg_call_t *call)
{
    return call->head.outcome == PG_OUTCOME_ERROR || call->head.outcome == PG_OUTCOME_RETURNABLE;
}

/* Nobody has asked what became of it. */
static void report_orphan(pg_call_t *call)
{
    if (atomic_load(&pg.phase) != PG_RUNNING || pg_told_is_known(call->owner))
        return;
    pg_rank_failed_quietly(call->owner);
    pg_future_report(PyErr_GetRaisedException(), call->owner);
}

static void abandoned_run(gas_work_t *work)
{
    pg_call_t *call = CALL_OF_WORK(work);
    PyObject *pending = PyErr_GetRaisedException(); /* as above */
    bool over = pg_call_is_over(call);

    if (call->orphaned)
        report_orphan(call);
    /* At the end of the job buffers can no longer be fetched; descriptions hardly ever need it. */
    if (call->reply != NULL && is_news(call) &&
        (call->reply->bulk_count == 0 || atomic_load(&pg.phase) == PG_RUNNING)) {
        PyObject *result = pg_call_result(call, NULL);

        if (result == NULL && over)
            PyErr_Clear();
        else if (result == NULL)
            pg_future_report(PyErr_GetRaisedException(), call->owner);
        else if (atomic_load(&pg.phase) == PG_RUNNING)
            pg_give_back_reply(call, result);
        Py_XDECREF(result);
    }
    pg_call_unref(call);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

void pg_call_keep(pg_call_t *call)
{
    if (call->head.outcome == PG_OUTCOME_RETURNABLE)
        call->head.outcome = PG_OUTCOME_VALUE;
}

/* True if there is something to do when the reply is there and nobody wants it. */
static bool matters(const pg_call_t *call)
{
    if (call->orphaned)
        return !pg_told_is_known(call->owner);
    return call->reply != NULL && (is_news(call) || call->reply->bulk_count > 0);
}

void pg_call_abandon(pg_call_t *call)
{
    if (atomic_load(&pg.phase) == PG_FORKED)
        return; /* the table is the parent's, and so is what it refers to */
    if (pg_completion_is_done(&call->arrived) && call->prefetch != NULL)
        pg_prefetch_claim(call->prefetch);
    call->work.run = abandoned_run;
    /* Freeing buffers takes the conduit lock, which may be held for long: also not here. */
    if (!pg_completion_leave(&call->arrived, &call->work) && matters(call) &&
        pg_enter_if_running()) {
        gas_work_push(pg.job, &call->work);
        call = NULL;
        pg_leave();
    }
    if (call != NULL)
        pg_call_unref(call);
}

/* The call, with the table's reference, has got its reply, or will get none. Not attached. */
static void arrive(gas_job_t *job, pg_call_t *call)
{
    bool failed = call->orphaned || pg_outcome_is_failure(call->head.outcome);
    pg_prefetch_t *prefetch = NULL;
    gas_work_t *notice;

    if (!call->shared) {
        gas_event_set(&call->event);
        pg_call_unref(call);
        return;
    }
    if (call->reply != NULL && call->reply->bulk_count > 0)
        call->prefetch = prefetch = pg_prefetch_new(call);
    if (prefetch != NULL)
        atomic_fetch_add(&call->references, 1);
    notice = pg_completion_finish(&call->arrived, failed);
    if (prefetch != NULL && notice == NULL)
        pg_prefetch_queue(prefetch);
    else if (prefetch != NULL) /* the notice fetches, or nobody does */
        pg_call_unref(call);
    if (notice != NULL && (is_news(call) || notice->run != abandoned_run))
        gas_work_push(job, notice);
    else
        pg_call_unref(call);
}

static bool is_to(const pg_call_t *call, int rank)
{
    return call->owner == rank;
}

void pg_calls_rank_failed(gas_job_t *job, int rank)
{
    uint32_t index = 0;
    pg_call_t *call;

    while ((call = pg_call_table_take_next(&index, is_to, rank)) != NULL) {
        call->orphaned = true;
        arrive(job, call);
    }
}

/* Not attached. */
void pg_call_replied(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    pg_call_t *call = NULL;
    pg_reply_head_t head;
    bool sound = pg_reply_head_get(&head, msg->header, msg->header_length);

    (void)arg;
    if (sound) {
        pg_payload_arrived(msg, &head.wire);
        /* A refusal at the end of both ranks is no news: the call will be ended with all others. */
        if (head.outcome != PG_OUTCOME_ENDED || !atomic_load(&pg.ending))
            call = pg_call_table_take(head.call);
    }
    if (call == NULL) {
        if (sound)
            pg_payload_refuse(msg, &head.wire);
        gas_msg_free(job, msg);
        return;
    }
    call->head = head;
    call->reply = msg;
    if (!call->shared && call->forsaken && head.outcome == PG_OUTCOME_RETURNABLE)
        gas_work_push(job, &call->work);
    else
        arrive(job, call);
}

/* Encodes the arguments of a request, with its name in the head if possible. */
static pg_payload_t *encode(pg_request_head_t *head, int owner, PyObject *args)
{
    PyObject *beside = pg_arguments_beside_name(head->op, args);
    pg_payload_t *payload;

    if (beside != NULL && pg_name_for(PyTuple_GET_ITEM(args, 0), owner, &head->name)) {
        payload = pg_payload_encode(beside);
        if (payload != NULL || !pg_cannot_copy())
            return payload;
        PyErr_Clear();
    }
    head->name = (pg_name_t){0};
    return pg_arguments_encode(head->op, args);
}

static pg_call_t *start(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want,
                        bool shared)
{
    pg_request_head_t head = {.object = object,
                              .op = op,
                              .want = want,
                              .thread = pg_request_thread(),
                              .cancellable = shared};
    uint8_t bytes[PG_HEAD_MAX];
    pg_payload_t *payload;
    pg_call_t *call;
    int sent;

    if (pg_request_depth_for_call(&head.depth) < 0)
        return NULL;
    payload = encode(&head, owner, args);
    if (payload == NULL)
        return NULL;
    call = malloc(sizeof(*call)); /* calloc() is several times slower */
    if (call != NULL) {
        /* Work that others may wait for at any depth. */
        *call = (pg_call_t){.owner = owner,
                            .object = object,
                            .thread = head.thread,
                            .shared = shared,
                            .work.depth = GAS_WORK_NOTICE};
        atomic_init(&call->references, 2);
        gas_event_init(&call->event);
        pg_completion_init(&call->arrived);
        pg_completion_init(&call->refused);
    }
    if (call == NULL || !pg_call_table_put(call)) {
        free(call);
        pg_payload_unref(payload);
        PyErr_NoMemory();
        return NULL;
    }
    head.call = call->id;
    head.wire = pg_payload_wire(payload);
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    sent = pg_payload_send_off(payload, owner, PG_HANDLER_REQUEST, bytes,
                               pg_request_head_put(&head, bytes));
    if (sent >= 0 && head.name.length > 0)
        pg_name_told(&head.name, owner);
    if (sent >= 0)
        return call;
    pg_call_table_take(call->id);
    free(call);
    return NULL;
}

/* After a request that could not be sent: see pg_call_start(). */
static void unpin(int owner, pg_op_t op, uint64_t object)
{
    if (owner == pg.rank && pg_op_has_object(op))
        pg_exports_unpin(object);
}

static _Atomic(void *) holding; /* the thread that holds the calls of others; NULL: none */

void pg_calls_hold(bool hold)
{
    atomic_store(&holding, hold ? gas_work_token() : NULL);
}

/* Waits while another thread holds the calls of this one. */
static void stand_by(void)
{
    uint64_t deadline = gas_clock_now() + PG_CALL_HOLD_NS;
    struct timespec pause = {.tv_nsec = 200000};
    void *holder;

    while ((holder = atomic_load(&holding)) != NULL && holder != gas_work_token() &&
           !pg_request_is_running() && gas_clock_left(deadline) > 0) {
        Py_BEGIN_ALLOW_THREADS nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

static inline bool is_held(void)
{
    return atomic_load_explicit(&holding, memory_order_relaxed) != NULL;
}

pg_call_t *pg_call_start(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want)
{
    pg_call_t *call = NULL;

    if (pg_enter() == 0) {
        if (is_held())
            stand_by();
        call = start(owner, op, object, args, want, true);
        pg_leave();
    }
    if (call == NULL)
        unpin(owner, op, object);
    return call;
}

PyObject *pg_call_result(pg_call_t *call, pg_outcome_t *outcome)
{
    gas_msg_t *msg = call->reply;
    PyObject *value;

    /* That rank has failed; or at the end of the job (see pg_calls_end()), or in a forked child. */
    if (call->orphaned && atomic_load(&pg.phase) == PG_RUNNING)
        return pg_rank_failed_quietly(call->owner);
    if (msg == NULL || (msg->bulk_count > 0 && atomic_load(&pg.phase) != PG_RUNNING)) {
        pg_require_job();
        return NULL;
    }
    call->reply = NULL;
    if (outcome != NULL)
        *outcome = call->head.outcome;
    if (call->prefetch == NULL || pg_prefetch_claim(call->prefetch))
        value = pg_payload_receive(msg, &call->head.wire);
    else
        value = pg_prefetch_result(call->prefetch);
    gas_msg_free(pg.job, msg);
    if (value != NULL && call->head.outcome == PG_OUTCOME_CANCELLED) {
        Py_CLEAR(value);
        pg_future_raise("CancelledError", NULL);
    }
    if (value != NULL && call->head.outcome == PG_OUTCOME_ENDED) {
        Py_CLEAR(value);
        PyErr_Format(PyExc_RuntimeError,
                     "rank %d has ended its part of the job and runs no requests any more",
                     call->owner);
    }
    if (value != NULL && call->head.outcome == PG_OUTCOME_ERROR) {
        PyObject *exception = PyObject_CallMethod(pg.errors, "rebuild", "Oi", value, call->owner);

        Py_SETREF(value, NULL);
        if (exception != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
            Py_DECREF(exception);
        }
    }
    return value;
}

/* The one who waits for a blocking call leaves, with an exception: what the reply hands over goes
 * back, and if the owner only owes the reply, it need not come. Takes over the reference. */
static void forsake(pg_call_t *call)
{
    PyObject *reason = PyErr_GetRaisedException();

    call->work.run = abandoned_run;
    if (!pg_call_table_forsake(call)) {
        pg_wait_landing(&call->event); /* the reply is there */
        if (call->head.outcome == PG_OUTCOME_RETURNABLE && atomic_load(&pg.phase) == PG_RUNNING) {
            gas_work_push(pg.job, &call->work);
            call = NULL;
        }
    } else if (pg_cancel_ask(call) < 0) {
        PyErr_Clear();
    }
    if (call != NULL)
        pg_call_unref(call);
    PyErr_SetRaisedException(reason);
}

PyObject *pg_call_blocking(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want,
                           pg_outcome_t *outcome)
{
    PyObject *result = NULL;
    gas_waiting_t waiting;
    bool replied = false;
    pg_call_t *call;

    if (pg_enter() < 0) {
        unpin(owner, op, object);
        return NULL;
    }
    if (owner == pg.rank && gas_work_is_holding(pg.job)) {
        pg_leave();
        unpin(owner, op, object);
        PyErr_SetString(PyExc_RuntimeError,
                        "this operation is a request to this very rank, and inside no_requests() "
                        "it would wait for ever");
        return NULL;
    }
    if (is_held())
        stand_by();
    call = start(owner, op, object, args, want, false);
    if (call == NULL)
        unpin(owner, op, object);
    if (call != NULL) {
        gas_waiting_begin(&waiting, "the reply to a call", owner);
        replied = pg_wait_reply(&call->event, GAS_FOREVER, owner) > 0;
        gas_waiting_end(pg.job, &waiting);
    }
    if (replied) {
        result = pg_call_result(call, outcome);
        if (result == NULL)
            pg_told_raised();
        pg_call_unref(call);
    } else if (call != NULL) {
        forsake(call);
    }
    pg_leave();
    return result;
}

static atomic_bool ending;

bool pg_calls_are_ending(void)
{
    return atomic_load(&ending);
}

static bool is_shared(const pg_call_t *call, int unused)
{
    (void)unused;
    return call->shared;
}

static void end_all(void)
{
    uint32_t index = 0;
    pg_call_t *call;

    while ((call = pg_call_table_take_next(&index, is_shared, 0)) != NULL) {
        gas_work_t *notice = pg_completion_finish(&call->arrived, true);

        if (notice != NULL)
            notice->run(notice);
        else
            pg_call_unref(call);
    }
}

void pg_calls_end(void)
{
    atomic_store(&ending, true);
    end_all();
    atomic_store(&ending, false);
}

void pg_calls_after_fork(void)
{
    pg_call_table_after_fork();
    pg_completion_after_fork();
}
