/*
 * Design notes. `queued` holds the requests that can be cancelled, by caller and call, from their
 * arrival to their start; whoever takes a request out of it under the lock decides what becomes of
 * it: the thread that starts it, or the handler of CANCEL. The lock is a leaf, taken by handlers
 * under the conduit lock. The ids of one caller's calls differ in their low bits (call.c), so they
 * spread evenly. Only requests with a Future are in there: blocking calls do not pay for it.
 *
 * A request that has started and whose reply is owed is in there once more; then not whoever takes
 * it out decides, but the Future that the request has left. The reply that this one sends, or a
 * REFUSED that comes after it, is the answer.
 */
#include "cancel.h"

#include "failure.h"

#include <pthread.h>

#define BUCKETS 4096u

/* What CANCEL and REFUSED carry. */
typedef struct cancel_head {
    uint64_t call;
} cancel_head_t;

static struct {
    pthread_mutex_t lock;
    pg_cancellable_t *buckets[BUCKETS]; /* under the lock */
} queued = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pg_cancellable_t **bucket_of(int source, uint64_t call)
{
    return &queued.buckets[((uint32_t)call + (uint32_t)source * 0x9E3779B1u) % BUCKETS];
}

void pg_cancellable_queue(pg_cancellable_t *cancellable, int source, uint64_t call)
{
    pg_cancellable_t **bucket = bucket_of(source, call);

    cancellable->source = source;
    cancellable->call = call;
    pthread_mutex_lock(&queued.lock);
    cancellable->queued = true;
    cancellable->next = *bucket;
    *bucket = cancellable;
    pthread_mutex_unlock(&queued.lock);
}

/* Takes the request out; NULL if it is not there. Under the lock. */
static pg_cancellable_t *take_locked(int source, uint64_t call)
{
    for (pg_cancellable_t **at = bucket_of(source, call); *at != NULL; at = &(*at)->next) {
        pg_cancellable_t *found = *at;

        if (found->call == call && found->source == source) {
            *at = found->next;
            found->queued = false;
            return found;
        }
    }
    return NULL;
}

bool pg_cancellable_start(pg_cancellable_t *cancellable)
{
    bool cancelled;

    if (cancellable->call == 0)
        return true;
    pthread_mutex_lock(&queued.lock);
    if (cancellable->queued)
        take_locked(cancellable->source, cancellable->call);
    cancelled = cancellable->cancelled;
    pthread_mutex_unlock(&queued.lock);
    return !cancelled;
}

void pg_cancel_confirm(gas_job_t *job, int caller, uint64_t call)
{
    pg_reply_head_t reply = {
        .call = call, .wire.kind = PG_KIND_NONE, .outcome = PG_OUTCOME_CANCELLED};
    uint8_t bytes[PG_HEAD_MAX];
    gas_am_t am = {.handler = PG_HANDLER_REPLY,
                   .header = bytes,
                   .header_length = (uint16_t)pg_reply_head_put(&reply, bytes)};

    gas_am_send(job, caller, &am, NULL, NULL);
}

void pg_cancel_refuse(gas_job_t *job, int caller, uint64_t call)
{
    cancel_head_t head = {.call = call};
    gas_am_t am = {.handler = PG_HANDLER_REFUSED, .header = &head, .header_length = sizeof(head)};

    gas_am_send(job, caller, &am, NULL, NULL);
}

void pg_cancel_after_fork(void)
{
    pthread_mutex_init(&queued.lock, NULL);
}

/* Not attached. */
void pg_cancel_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    cancel_head_t head;
    pg_cancellable_t *found;
    gas_work_t *work = NULL;

    (void)arg;
    if (msg->header_length != sizeof(head)) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    memcpy(&head, msg->header, sizeof(head));
    pthread_mutex_lock(&queued.lock);
    found = take_locked(msg->source, head.call);
    if (found != NULL && found->asked != NULL)
        work = found->asked(found);
    else if (found != NULL)
        found->cancelled = true;
    pthread_mutex_unlock(&queued.lock);
    if (work != NULL)
        gas_work_push(job, work);
    else if (found != NULL)
        pg_cancel_confirm(job, msg->source, head.call);
    else
        pg_cancel_refuse(job, msg->source, head.call);
    gas_msg_free(job, msg);
}

int pg_cancel_ask(pg_call_t *call)
{
    cancel_head_t head = {.call = call->id};
    gas_am_t am = {.handler = PG_HANDLER_CANCEL, .header = &head, .header_length = sizeof(head)};
    gas_status_t status;

    if (atomic_exchange(&call->cancel_asked, true))
        return 0;
    status = gas_am_send(pg.job, call->owner, &am, NULL, NULL);
    if (status == GAS_OK)
        return 0;
    atomic_store(&call->cancel_asked, false);
    pg_raise_transfer(call->owner, status);
    return -1;
}

/* Not attached. */
void pg_cancel_refused(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    pg_call_t *call = NULL;
    cancel_head_t head;

    (void)arg;
    if (msg->header_length == sizeof(head)) {
        memcpy(&head, msg->header, sizeof(head));
        call = pg_call_find(head.call);
    }
    if (call != NULL) {
        if (call->shared && !pg_completion_is_done(&call->refused))
            pg_completion_finish(&call->refused, false);
        pg_call_unref(call);
    }
    gas_msg_free(job, msg);
}
