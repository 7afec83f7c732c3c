/*
 * Design notes.
 *
 * States. A Future is *pending*, then *settled*: it has a value, an exception, or is cancelled, for
 * ever. One that stands for a request is *arrived* in between, when the reply is there and nobody
 * has decoded it; it counts as done, as its outcome is fixed.
 *
 *   pending -> arrived   the handler of replies (call.c), detached, under the conduit lock: it
 *                        finishes the completion `call->arrived`, which wakes threads in C, and
 *                        queues one item of work if a callback is attached. Also at the end of the
 *                        job, for replies that never came.
 *   arrived -> settled   any attached thread that wants the result: one in result(), one that adds
 *                        a callback, or the drainer that runs the item of work. Decoding is lazy,
 *                        so a Future that nobody asks costs no Python code.
 *   pending -> settled   one made by hand: set_result(), set_exception(), cancel(), in any thread.
 *                        It may be *running* in between: cancel() is too late, as with those of
 *                        concurrent.futures.
 *
 * Whoever swaps `settler` from NULL to its own token settles, and nobody else ever does. It writes
 * the outcome, finishes the completion `settled` (a release, so the outcome needs no lock), takes
 * the callbacks and runs them. Another thread that comes while the settler decodes waits for
 * `settled`; the settling thread itself, if decoding led it back here, cannot, and gets an error.
 *
 * Callbacks are appended, under the Future's critical section (on a build with an interpreter lock,
 * that lock), until the settler has taken them, and called at once after that: so each is called
 * exactly once. The first of a request's Future asks the call for a notice, which holds a reference
 * to the Future: one with callbacks in flight lives, whatever the program keeps. A Future made by
 * hand is not held: who can settle it holds it.
 *
 * Dropping. The finalizer never waits and never sends. A settled Future whose exception nobody has
 * seen is reported there; one that is not settled leaves its call behind (pg_call_abandon()), and
 * the report is made from the queue of work once the reply is there.
 *
 * Locks: critical section of a Future > locks of completion.c and call_table.c, which are leaves.
 * No Python code runs under any of them.
 */
#include "future.h"

#include "cancel.h"
#include "compat.h"
#include "giveback.h"
#include "told.h"
#include "wait.h"

#include <sched.h>

PyObject *pg_future_new(pg_call_t *call)
{
    pg_future_t *future = (pg_future_t *)PyType_GenericAlloc(pg.future_type, 0);

    if (future == NULL) {
        if (call != NULL)
            pg_call_unref(call);
        return NULL;
    }
    future->call = call;
    pg_completion_init(&future->settled);
    atomic_init(&future->settler, NULL);
    atomic_init(&future->retrieved, false);
    return (PyObject *)future;
}

/* True if the calling thread may settle the Future, and then has to. */
static bool claim(pg_future_t *future)
{
    void *nobody = NULL;

    return atomic_compare_exchange_strong(&future->settler, &nobody, gas_work_token());
}

/* In the place of a settler: nobody yet, but it cannot be cancelled any more. */
static char running;

/* Another thread may have claimed one that was made by hand, and be about to settle it: some
 * instructions, in which it waits for nothing. With an interpreter lock nobody sees that. */
static void await_settler(pg_future_t *future)
{
#ifdef Py_GIL_DISABLED
    const void *settler = atomic_load(&future->settler);

    while (settler != NULL && settler != &running && settler != gas_work_token() &&
           !pg_completion_is_done(&future->settled)) {
        sched_yield();
        settler = atomic_load(&future->settler);
    }
#else
    (void)future;
#endif
}

int pg_future_begin(pg_future_t *future)
{
    void *nobody = NULL;

    if (future->call == NULL) {
        if (atomic_compare_exchange_strong(&future->settler, &nobody, (void *)&running))
            return 1;
        await_settler(future);
    }
    if (pg_future_is_settled(future) && future->cancelled)
        return 0;
    pg_future_raise("InvalidStateError",
                    PyUnicode_FromFormat("the Future cannot be set running: %R", future));
    return -1;
}

bool pg_future_is_running(pg_future_t *future)
{
    return atomic_load(&future->settler) == (void *)&running;
}

/* claim(), for one that was made by hand and may be running. */
static bool claim_by_hand(pg_future_t *future)
{
    void *token = &running;

    return claim(future) ||
           atomic_compare_exchange_strong(&future->settler, &token, gas_work_token());
}

/* As the settler. Takes over the references; both NULL: cancelled. */
static void settle(pg_future_t *future, PyObject *value, PyObject *exception)
{
    pg_callbacks_t callbacks;
    pg_deferred_t *deferred;

    if (pg_calls_are_ending())
        atomic_store(&future->retrieved, true); /* nothing that the program could have asked for */
    future->value = value;
    future->exception = exception;
    future->cancelled = value == NULL && exception == NULL;
    pg_completion_finish(&future->settled, exception != NULL);
    Py_BEGIN_CRITICAL_SECTION(future);
    callbacks = future->callbacks;
    future->callbacks = (pg_callbacks_t){NULL, NULL};
    deferred = future->deferred;
    future->deferred = NULL;
    future->closed = true;
    Py_END_CRITICAL_SECTION();
    pg_deferred_settled(deferred, future);
    if (callbacks.first != NULL && future->giver == NULL) /* those have one of their own */
        pg_future_seen(future);
    pg_callbacks_run(callbacks);
}

/* The reply has arrived: decodes it and settles, unless another thread is at it. 0, or -1 with an
 * exception if this thread is. */
static int decode(pg_future_t *future)
{
    if (claim(future)) {
        bool cancelled = pg_call_is_cancelled(future->call);
        PyObject *value, *exception = NULL;

        bool ended = !future->call->orphaned || atomic_load(&pg.phase) != PG_RUNNING;

        if (pg_call_is_over(future->call) && ended) /* the job: nothing to complain of */
            atomic_store(&future->retrieved, true);
        value = pg_call_result(future->call, NULL);
        if (value == NULL)
            exception = PyErr_GetRaisedException();
        if (cancelled)
            Py_CLEAR(exception);
        settle(future, value, exception);
        return 0;
    }
    if (atomic_load(&future->settler) == gas_work_token() && !pg_future_is_settled(future)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the result of this Future is needed while it is being decoded");
        return -1;
    }
    return 0;
}

static bool has_arrived(pg_future_t *future)
{
    return future->call != NULL && pg_completion_is_done(&future->call->arrived);
}

static int await_completion(pg_completion_t *completion, uint64_t deadline, int owner)
{
    pg_watch_set_t set;
    pg_watch_t watch;
    int outcome;

    pg_watch_set_init(&set);
    set.owner = owner;
    pg_watch_add(&set, &watch, completion);
    outcome = pg_watch_wait(&set, 1, false, deadline);
    pg_watch_remove(&watch);
    return outcome;
}

/* Waits inside pg_enter() (but not if the reply is there). As pg_future_settle(). */
static int await_settled(pg_future_t *future, uint64_t deadline)
{
    while (!pg_future_is_settled(future)) {
        pg_completion_t *awaited = &future->settled;
        gas_waiting_t waiting;
        int outcome;

        if (has_arrived(future)) {
            if (decode(future) < 0)
                return -1;
            if (pg_future_is_settled(future))
                break;
        } else if (future->call != NULL) {
            awaited = &future->call->arrived;
        }
        gas_waiting_begin(&waiting, "a Future", future->call != NULL ? future->call->owner : -1);
        outcome =
            await_completion(awaited, deadline, future->call != NULL ? future->call->owner : -1);
        gas_waiting_end(pg.job, &waiting);
        if (outcome < 0)
            return -1;
        if (outcome == 0)
            return pg_future_is_settled(future);
    }
    return 1;
}

int pg_future_settle(pg_future_t *future, uint64_t deadline)
{
    int outcome;

    if (pg_future_is_settled(future))
        return 1;
    if (pg_enter() < 0) {
        if (!has_arrived(future))
            return -1;
        PyErr_Clear();
        if (decode(future) < 0)
            return -1;
        if (pg_future_is_settled(future))
            return 1;
        return pg_require_job();
    }
    pg_callbacks_catch_up();
    outcome = await_settled(future, deadline);
    pg_leave();
    return outcome;
}

int pg_future_set(pg_future_t *future, PyObject *value, PyObject *exception)
{
    if (future->call != NULL) {
        pg_future_raise("InvalidStateError",
                        PyUnicode_FromFormat("this Future is the reply of rank %d, and only that "
                                             "rank settles it",
                                             future->call->owner));
        return -1;
    }
    if (!claim_by_hand(future)) {
        pg_future_raise("InvalidStateError",
                        PyUnicode_FromFormat("the Future is settled already: %R", future));
        return -1;
    }
    settle(future, Py_XNewRef(value), Py_XNewRef(exception));
    return 0;
}

/* Waits until the owner has answered, one way or the other. -1 with an exception. */
static int await_verdict(pg_call_t *call)
{
    pg_watch_set_t set;
    pg_watch_t arrived, refused;
    int outcome;

    pg_watch_set_init(&set);
    pg_watch_add(&set, &arrived, &call->arrived);
    pg_watch_add(&set, &refused, &call->refused);
    outcome = pg_watch_wait(&set, 1, false, GAS_FOREVER);
    pg_watch_remove(&arrived);
    pg_watch_remove(&refused);
    return outcome < 0 ? -1 : 0;
}

static int cancel_request(pg_future_t *future, bool wait)
{
    int failed = 0;

    if (!has_arrived(future)) {
        if (pg_enter() < 0)
            return -1;
        failed = pg_cancel_ask(future->call) < 0;
        if (!failed && wait) {
            pg_callbacks_catch_up();
            failed = await_verdict(future->call) < 0;
        }
        pg_leave();
    }
    if (failed || (wait && has_arrived(future) && pg_future_settle(future, GAS_FOREVER) < 0))
        return -1;
    return pg_future_is_settled(future) && future->cancelled;
}

int pg_future_cancel(pg_future_t *future, bool wait)
{
    if (pg_future_is_settled(future))
        return future->cancelled;
    if (future->call != NULL)
        return cancel_request(future, wait);
    if (!claim(future)) {
        await_settler(future);
        return pg_future_is_settled(future) && future->cancelled;
    }
    settle(future, NULL, NULL);
    return 1;
}

/* The notice of the call, with the reference that it held. */
static void arrived(void *arg)
{
    pg_future_t *future = arg;

    if (decode(future) < 0)
        PyErr_Clear(); /* who decodes it runs the callbacks */
    Py_DECREF(future);
}

/* Sees to it that the callbacks of a request's Future will be run. Whoever adds one, or awaits the
 * Future in an event loop, does not wait here: requests of this rank to itself are not to wait for
 * that either. */
static void watch(pg_future_t *future)
{
    Py_INCREF(future);
    if (!pg_call_notify(future->call, arrived, future)) {
        arrived(future);
        return;
    }
    if (pg_enter_if_running()) {
        gas_work_hasten(pg.job);
        pg_leave();
    }
}

int pg_future_add_callback(pg_future_t *future, PyObject *function)
{
    bool request = future->call != NULL && !pg_future_is_settled(future), closed, watched;
    pg_callback_t *callback;

    if (request && !has_arrived(future) && pg_require_job() < 0)
        return -1;
    callback = pg_callback_new((PyObject *)future, function);
    if (callback == NULL)
        return -1;
    Py_BEGIN_CRITICAL_SECTION(future);
    closed = future->closed;
    watched = future->watched;
    if (!closed) {
        pg_callbacks_append(&future->callbacks, callback);
        future->watched = true;
    }
    Py_END_CRITICAL_SECTION();
    if (closed)
        pg_callbacks_run((pg_callbacks_t){callback, callback});
    else if (request && !watched)
        watch(future);
    return 0;
}

void pg_future_add_deferred(pg_future_t *future, pg_deferred_t *deferred, pg_deferred_t **next)
{
    bool closed, watched;

    Py_BEGIN_CRITICAL_SECTION(future);
    closed = future->closed;
    watched = future->watched;
    if (!closed) {
        *next = future->deferred;
        future->deferred = deferred;
        future->watched = true;
    }
    Py_END_CRITICAL_SECTION();
    if (closed)
        pg_deferred_settled(deferred, future);
    else if (future->call != NULL && !watched)
        watch(future);
}

PyObject *pg_future_outcome(pg_future_t *future)
{
    if (future->value != NULL) {
        atomic_store(&future->taking, PG_TAKEN);
        return Py_NewRef(future->value);
    }
    if (future->cancelled) {
        pg_future_raise("CancelledError", NULL);
        return NULL;
    }
    atomic_store(&future->retrieved, true);
    PyErr_SetRaisedException(Py_NewRef(future->exception));
    pg_told_raised();
    return NULL;
}

void pg_future_raise(const char *name, PyObject *text)
{
    /* Loaded on demand: it takes milliseconds, and hardly any program raises one. */
    PyObject *module = PyImport_ImportModule("concurrent.futures");
    PyObject *type = module != NULL ? PyObject_GetAttrString(module, name) : NULL;

    if (type != NULL)
        PyErr_SetObject(type, text);
    Py_XDECREF(type);
    Py_XDECREF(module);
    Py_XDECREF(text);
}

PyObject *pg_future_half(void)
{
    static _Atomic(PyObject *) kept;
    PyObject *module = pg_kept(&kept);

    if (module == NULL)
        module = pg_keep(&kept, PyImport_ImportModule("pygas.futures"));
    return module;
}

void pg_future_report(PyObject *exception, int owner)
{
    PyObject *half, *text = NULL;
    const char *where = NULL;

    if (!pg_told_by(exception)) {
        Py_DECREF(exception);
        return;
    }
    half = pg_future_half();
    if (half != NULL)
        text = PyObject_CallMethod(half, "_where_dropped", "Oi", exception, owner);
    if (text != NULL)
        where = PyUnicode_AsUTF8(text);
    PyErr_Clear();
    PyErr_SetRaisedException(exception);
    pg_unraisable(where != NULL ? where : "in a pygas.Future that was dropped unasked");
    Py_XDECREF(text);
}
