/*
 * Design notes. The table holds the requests with a Future, by caller and call, from their arrival
 * to their reply; blocking calls do not pay for it. The invariant: while a request may still come
 * to wait, a CANCEL finds it, or has left `asked` with it. So
 *
 *   - whether a queued one starts or is cancelled is decided under the lock, by the thread that
 *     starts it or by the handler of CANCEL;
 *   - the reply that is owed takes the request's place in one step (pg_cancellable_owe()), and with
 *     it what was asked before: the work that asks the Future is queued once, by the handler if the
 *     reply is owed by then, else by the thread that runs the request;
 *   - not whoever takes an owed one out decides what becomes of it, but its Future, where its
 *     settler is claimed (future.c). The reply that this one sends, or a REFUSED, is the answer.
 *
 * A running request may get REFUSED and the reply that it was cancelled later: REFUSED says no more
 * than that the caller need not wait for the answer. Where the caller, its Future, its rank or the
 * job is gone, the answers are dropped on their way, as any reply is.
 *
 * The lock is a leaf, taken by handlers under the conduit lock, and by attached threads. Nothing is
 * sent, pushed or freed under it. The ids of one caller's calls differ in their low bits
 * (call_table.c), so they spread evenly; those of two entries are equal only if a peer is out of
 * its mind, so that entries are taken out by their address.
 */
#include "cancel.h"

#include "call_table.h"
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
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pg_cancellable_t **bucket_of(int source, uint64_t call)
{
    return &table.buckets[((uint32_t)call + (uint32_t)source * 0x9E3779B1u) % BUCKETS];
}

static void list_locked(pg_cancellable_t *cancellable, pg_cancel_stage_t stage)
{
    pg_cancellable_t **bucket = bucket_of(cancellable->source, cancellable->call);

    cancellable->stage = stage;
    cancellable->listed = true;
    cancellable->next = *bucket;
    *bucket = cancellable;
}

static void unlist_locked(pg_cancellable_t *cancellable)
{
    pg_cancellable_t **at = bucket_of(cancellable->source, cancellable->call);

    if (!cancellable->listed)
        return;
    while (*at != cancellable)
        at = &(*at)->next;
    *at = cancellable->next;
    cancellable->listed = false;
}

static pg_cancellable_t *find_locked(int source, uint64_t call)
{
    pg_cancellable_t *found = *bucket_of(source, call);

    while (found != NULL && (found->call != call || found->source != source))
        found = found->next;
    return found;
}

void pg_cancellable_queue(pg_cancellable_t *cancellable, int source, uint64_t call)
{
    cancellable->source = source;
    cancellable->call = call;
    pthread_mutex_lock(&table.lock);
    list_locked(cancellable, PG_CANCEL_QUEUED);
    pthread_mutex_unlock(&table.lock);
}

bool pg_cancellable_is_cancelled(pg_cancellable_t *cancellable)
{
    return atomic_load_explicit(&cancellable->asked, memory_order_relaxed);
}

bool pg_cancellable_start(pg_cancellable_t *cancellable, bool promised)
{
    bool cancelled;

    if (cancellable->call == 0)
        return true;
    pthread_mutex_lock(&table.lock);
    cancelled = atomic_load(&cancellable->asked);
    if (!cancelled)
        cancellable->stage = promised ? PG_CANCEL_PROMISED : PG_CANCEL_RUNNING;
    pthread_mutex_unlock(&table.lock);
    return !cancelled;
}

bool pg_cancellable_owe(pg_cancellable_t *running, pg_cancellable_t *owed, int source,
                        uint64_t call)
{
    bool asked;

    owed->source = source;
    owed->call = call;
    pthread_mutex_lock(&table.lock);
    unlist_locked(running);
    asked = atomic_load(&running->asked);
    if (!asked)
        list_locked(owed, PG_CANCEL_OWED);
    pthread_mutex_unlock(&table.lock);
    return asked;
}

void pg_cancellable_end(pg_cancellable_t *cancellable)
{
    if (cancellable->call == 0)
        return;
    pthread_mutex_lock(&table.lock);
    unlist_locked(cancellable);
    pthread_mutex_unlock(&table.lock);
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
    pthread_mutex_init(&table.lock, NULL);
}

/* What CANCEL is answered with, if at all. */
typedef enum verdict { NOTHING, CONFIRM, REFUSE } verdict_t;

/* *work, if not NULL, is then to be queued. */
static verdict_t judge_locked(pg_cancellable_t *found, gas_work_t **work)
{
    if (found == NULL)
        return REFUSE;
    if (found->stage != PG_CANCEL_OWED)
        atomic_store(&found->asked, true);
    switch (found->stage) {
    case PG_CANCEL_QUEUED:
        unlist_locked(found);
        return CONFIRM;
    case PG_CANCEL_RUNNING:
        return REFUSE;
    case PG_CANCEL_PROMISED:
        return NOTHING;
    case PG_CANCEL_OWED:
        unlist_locked(found);
        *work = found->ask(found);
        return NOTHING;
    }
    return REFUSE;
}

/* Not attached. */
void pg_cancel_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    cancel_head_t head;
    gas_work_t *work = NULL;
    verdict_t verdict;

    (void)arg;
    if (msg->header_length != sizeof(head)) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    memcpy(&head, msg->header, sizeof(head));
    pthread_mutex_lock(&table.lock);
    verdict = judge_locked(find_locked(msg->source, head.call), &work);
    pthread_mutex_unlock(&table.lock);
    if (work != NULL)
        gas_work_push(job, work);
    if (verdict == CONFIRM)
        pg_cancel_confirm(job, msg->source, head.call);
    else if (verdict == REFUSE)
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
        call = pg_call_table_find(head.call);
    }
    if (call != NULL) {
        if (call->shared && !pg_completion_is_done(&call->refused))
            pg_completion_finish(&call->refused, false);
        pg_call_unref(call);
    }
    gas_msg_free(job, msg);
}
