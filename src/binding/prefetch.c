/*
 * Design notes. States of a prefetch: OPEN, then for good CLAIMED, by somebody who wants the result
 * now (or knows that nobody will), or RUNNING, by the thread that drains the queue of work.
 *
 * While RUNNING nobody but the fetch touches it until `fetch.landed` is set. A copy out of the
 * sender's memory ends in the drainer; a rendezvous ends in a handler. Neither waits for anything
 * but the transport, so whoever needs the result may wait for `landed`, also in a request that runs
 * on top of the program that asked.
 *
 * The item in the queue, and after it a rendezvous, hold a reference to the call, which holds the
 * message and frees the prefetch. Letting go of it takes an attached thread, hence the second use
 * of the work item.
 *
 * What is fetched ahead takes memory that the program may not be ready for: at most `fetch_ahead`
 * bytes at any time. What does not fit is fetched when it is asked for.
 */
#include "prefetch.h"

#include "call.h"
#include "compat.h"

/* Less is not worth waking a thread for. */
#define WORTH_MIN ((uint64_t)256 << 10)

enum { OPEN, CLAIMED, RUNNING };

struct pg_prefetch {
    gas_work_t work; /* first: run() gets its address */
    pg_call_t *call;
    gas_msg_t *msg; /* the call's reply, which whoever takes the result takes from the call */
    uint64_t size;  /* of the buffers */
    atomic_int state;
    bool counted;        /* in `ahead` */
    PyObject *exception; /* why it could not begin; once landed */
    pg_fetch_t fetch;
};

static _Atomic(uint64_t) ahead; /* bytes that were fetched, or are being, and not taken */

static bool reserve(uint64_t size)
{
    if (atomic_fetch_add(&ahead, size) + size <= pg.job->config.fetch_ahead)
        return true;
    atomic_fetch_sub(&ahead, size);
    return false;
}

pg_prefetch_t *pg_prefetch_new(pg_call_t *call)
{
    gas_msg_t *msg = call->reply;
    pg_prefetch_t *prefetch;
    uint64_t size = 0;

    for (uint32_t i = 0; i < msg->bulk_count; i++)
        size += msg->bulk[i].length;
    if (size < WORTH_MIN || size > pg.job->config.fetch_ahead)
        return NULL;
    prefetch = malloc(sizeof(*prefetch));
    if (prefetch == NULL)
        return NULL;
    *prefetch = (pg_prefetch_t){.call = call, .msg = msg, .size = size, .fetch = PG_FETCH_INIT};
    atomic_init(&prefetch->state, OPEN);
    return prefetch;
}

static bool move(pg_prefetch_t *prefetch, int state)
{
    int open = OPEN;

    return atomic_compare_exchange_strong(&prefetch->state, &open, state);
}

bool pg_prefetch_claim(pg_prefetch_t *prefetch)
{
    return move(prefetch, CLAIMED) || atomic_load(&prefetch->state) == CLAIMED;
}

static void over_run(gas_work_t *work)
{
    pg_call_unref(((pg_prefetch_t *)work)->call);
}

/* A handler: not attached. */
static void rendezvous_over(void *arg)
{
    pg_prefetch_t *prefetch = arg;

    prefetch->work.run = over_run;
    gas_work_push(pg.job, &prefetch->work);
}

/* Attached. */
static void fetch_run(gas_work_t *work)
{
    pg_prefetch_t *prefetch = (pg_prefetch_t *)work;
    pg_call_t *call = prefetch->call;
    PyObject *pending;
    int outcome;

    if (atomic_load(&pg.phase) != PG_RUNNING || !reserve(prefetch->size)) {
        pg_call_unref(call);
        return;
    }
    if (!move(prefetch, RUNNING)) {
        atomic_fetch_sub(&ahead, prefetch->size);
        pg_call_unref(call);
        return;
    }
    prefetch->counted = true;
    prefetch->fetch.notify = rendezvous_over;
    prefetch->fetch.notify_arg = prefetch;
    pending = PyErr_GetRaisedException(); /* a drain may happen while one is on its way */
    outcome = pg_fetch_begin(&prefetch->fetch, prefetch->msg, &call->head.wire);
    if (outcome < 0)
        prefetch->exception = PyErr_GetRaisedException();
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
    if (outcome != 0) {
        gas_event_set(&prefetch->fetch.landed);
        pg_call_unref(call);
    }
}

void pg_prefetch_queue(pg_prefetch_t *prefetch)
{
    prefetch->work =
        (gas_work_t){.run = fetch_run,
                     .depth = GAS_WORK_NOTICE}; /* whose result others may wait for at any depth */
    gas_work_push(pg.job, &prefetch->work);
}

static void uncount(pg_prefetch_t *prefetch)
{
    if (prefetch->counted)
        atomic_fetch_sub(&ahead, prefetch->size);
    prefetch->counted = false;
}

PyObject *pg_prefetch_result(pg_prefetch_t *prefetch)
{
    pg_payload_t *payload;

    pg_fetch_await(&prefetch->fetch, prefetch->call->owner);
    uncount(prefetch);
    if (prefetch->exception != NULL) {
        PyErr_SetRaisedException(prefetch->exception);
        prefetch->exception = NULL;
        return NULL;
    }
    payload = pg_fetch_end(&prefetch->fetch);
    return payload != NULL ? pg_payload_decode_fetched(payload) : NULL;
}

void pg_prefetch_free(pg_prefetch_t *prefetch)
{
    if (prefetch == NULL)
        return;
    uncount(prefetch);
    if (prefetch->fetch.payload != NULL) { /* not taken */
        pg_payload_unref(prefetch->fetch.payload);
        Py_XDECREF(prefetch->fetch.memory);
    }
    Py_XDECREF(prefetch->exception);
    free(prefetch);
}
