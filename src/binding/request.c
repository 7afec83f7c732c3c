#include "request.h"

#include "affinity.h"
#include "arguments.h"
#include "blocked.h"
#include "call.h"
#include "cancel.h"
#include "compat.h"
#include "deferred.h"
#include "exports.h"
#include "ops.h"
#include "payload.h"
#include "proxy.h"
#include "settle.h"

typedef struct request {
    gas_work_t work; /* first: run() gets its address */
    gas_msg_t *msg;
    pg_request_head_t head;
    pg_known_name_t *name; /* the one of the head */
    pg_running_t running;
    bool pinned; /* the entry of its object in the exports */
    pg_cancellable_t cancellable;
} request_t;

/* 1 + the depth of the request that this thread is running; 0: it is running none. */
static _Thread_local unsigned running_depth;

/* thread 0: it is running none. */
static _Thread_local pg_caller_t running_for;

uint32_t pg_request_thread(void)
{
    static atomic_uint last;
    static _Thread_local uint32_t number;

    while (number == 0) /* they begin anew after 2^31 threads */
        number = (atomic_fetch_add(&last, 1) + 1) & 0x7fffffffu;
    return number;
}

pg_caller_t pg_request_caller(void)
{
    return running_for.thread != 0 ? running_for : (pg_caller_t){pg.rank, pg_request_thread()};
}

PyObject *pg_caller(PyObject *module, PyObject *unused)
{
    pg_caller_t caller = pg_request_caller();

    (void)module;
    (void)unused;
    return Py_BuildValue("(iI)", caller.rank, (unsigned)caller.thread);
}

static atomic_uint_least64_t count;

uint64_t pg_request_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

int pg_request_depth_for_call(uint16_t *depth)
{
    if (running_depth > PG_REQUEST_DEPTH_MAX) {
        PyErr_Format(PyExc_RecursionError, "requests are nested %u deep between the ranks",
                     running_depth);
        return -1;
    }
    *depth = (uint16_t)running_depth;
    return 0;
}

bool pg_request_is_running(void)
{
    return running_depth > 0;
}

/* Sends what `payload` holds as the reply to `call`; takes it over. -1 with an exception. */
static int send_reply(int destination, uint64_t call, pg_outcome_t outcome, pg_payload_t *payload)
{
    pg_reply_head_t head = {.call = call, .outcome = outcome, .wire = pg_payload_wire(payload)};
    uint8_t bytes[PG_HEAD_MAX];

    return pg_payload_send_off(payload, destination, PG_HANDLER_REPLY, bytes,
                               pg_reply_head_put(&head, bytes));
}

static int reply_object(int destination, uint64_t call, pg_outcome_t outcome, PyObject *object)
{
    pg_payload_t *payload = pg_payload_encode(object);
    int sent;

    if (payload == NULL)
        return -1;
    sent = send_reply(destination, call, outcome, payload);
    if (sent < 0 && gas_rank_has_failed(pg.job, destination)) {
        PyErr_Clear(); /* nobody waits for it */
        sent = 0;
    }
    return sent;
}

/* A description for when errors.describe() fails, as it does at the recursion limit: bytes, whose
 * encoding runs no Python code. */
static PyObject *describe_briefly(PyObject *exception)
{
    PyObject *text = PyObject_Str(exception);
    const char *string = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    PyObject *brief;

    if (string == NULL)
        PyErr_Clear();
    brief = PyBytes_FromFormat("%.200s: %.2000s", Py_TYPE(exception)->tp_name,
                               string != NULL ? string : "<its text could not be had>");
    Py_XDECREF(text);
    return brief;
}

/* Replies with the exception that is set, which is no longer set then. */
static void reply_exception(int destination, uint64_t call)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *description = PyObject_CallMethod(pg.errors, "describe", "O", exception);
    bool interrupted = PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt);

    if (description == NULL || reply_object(destination, call, PG_OUTCOME_ERROR, description) < 0) {
        interrupted |= PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
        PyErr_Clear();
        Py_XSETREF(description, describe_briefly(exception));
        /* If this fails too, the caller waits in vain, and somebody should know why. */
        if (description == NULL ||
            reply_object(destination, call, PG_OUTCOME_ERROR, description) < 0)
            PyErr_WriteUnraisable(exception);
    }
    if (interrupted)
        PyErr_SetInterrupt(); /* Ctrl-C was meant for this rank's program, too */
    Py_XDECREF(description);
    Py_DECREF(exception);
}

static int reply_proxy(int destination, uint64_t call, pg_outcome_t outcome, PyObject *result)
{
    PyObject *proxy = pg_proxy_new_local(result, pg_home_of_results());
    int sent;

    if (proxy == NULL)
        return -1;
    sent = reply_object(destination, call, outcome, proxy);
    Py_DECREF(proxy);
    return sent;
}

/* What to send instead of a result that cannot be copied as a whole. A new reference. */
static PyObject *substitute(pg_op_t op, PyObject *result)
{
    PyObject *items, *plan;

    if (op == PG_OP_ITEMS)
        return pg_copyable_items(result);
    if (op != PG_OP_ITER || !PyTuple_CheckExact(result))
        return pg_proxy_new_local(result, pg_home_of_results());
    items = pg_copyable_items(PyTuple_GET_ITEM(result, 1));
    plan = items != NULL ? PySequence_List(result) : NULL;
    if (plan != NULL && PyList_SetItem(plan, 1, Py_NewRef(items)) == 0)
        Py_SETREF(plan, PyList_AsTuple(plan));
    Py_XDECREF(items);
    return plan;
}

/* How a result is to travel: *travels is what is copied, borrowed; NULL: a Proxy to the result. */
static pg_outcome_t classify(const pg_request_head_t *head, PyObject *object, PyObject *result,
                             PyObject **travels)
{
    bool plain = head->want == PG_WANT_PLAIN;

    *travels = Py_None;
    if (pg_op_is_self(object, result) && head->want != PG_WANT_COPY && !plain)
        return PG_OUTCOME_SELF;
    if (head->op == PG_OP_GETATTR && !plain && pg_op_is_method_of(object, result))
        return PG_OUTCOME_METHOD;
    *travels = result;
    if (head->want == PG_WANT_COPY)
        return PG_OUTCOME_VALUE;
    if (head->want == PG_WANT_PROXY || pg_op_is_reference(result) ||
        (plain && pg_op_is_self(object, result)))
        *travels = NULL;
    return PG_OUTCOME_VALUE;
}

static int reply_result(int destination, const pg_request_head_t *head, PyObject *object,
                        PyObject *result, bool returnable)
{
    PyObject *travels;
    pg_outcome_t outcome = classify(head, object, result, &travels);
    int sent;

    if (returnable && outcome == PG_OUTCOME_VALUE)
        outcome = PG_OUTCOME_RETURNABLE;
    if (travels == NULL)
        return reply_proxy(destination, head->call, outcome, result);
    sent = reply_object(destination, head->call, outcome, travels);
    if (sent >= 0 || head->want == PG_WANT_COPY || !pg_cannot_copy())
        return sent;
    PyErr_Clear();
    travels = substitute(head->op, result);
    if (travels == NULL)
        return -1;
    sent = reply_object(destination, head->call, outcome, travels);
    Py_DECREF(travels);
    return sent;
}

bool pg_request_reply(int source, const pg_request_head_t *head, PyObject *object, PyObject *result,
                      bool returnable)
{
    if (result != NULL && reply_result(source, head, object, result, returnable) >= 0)
        return true;
    reply_exception(source, head->call);
    return false;
}

/* The arguments of the operation. */
static PyObject *receive_arguments(const request_t *request)
{
    PyObject *payload = pg_payload_receive(request->msg, &request->head.wire);
    PyObject *name, *args = NULL;

    if (payload == NULL || request->head.name.number == 0)
        return payload;
    if (request->name == NULL) {
        pg_malformed("it has an unknown name");
    } else if ((name = pg_name_text(request->name)) != NULL) {
        args = pg_arguments_with_name(request->head.op, name, payload);
        Py_DECREF(name);
    }
    Py_DECREF(payload);
    return args;
}

static void serve(request_t *request)
{
    const pg_request_head_t *head = &request->head;
    gas_msg_t *msg = request->msg;
    PyObject *object = NULL, *args, *function = NULL, *result = NULL;
    gas_home_t *home = NULL, *before = NULL;
    bool cancelled = false;

    args = receive_arguments(request);
    if (args == NULL)
        goto out;
    if (pg_op_has_object(head->op)) {
        object = pg_exports_get(head->object, &home);
        if (object == NULL)
            goto out;
    }
    if (pg_settle_before(head->op, object, args) < 0 ||
        pg_deferred_find(head->op, object, args, &function) < 0)
        goto out;
    cancelled = !pg_cancellable_start(&request->cancellable, function != NULL);
    if (cancelled)
        goto out;
    pg_running_with(&request->running, object, args);
    result = pg_deferred_evaluate(head->op, object, args, function);
    before = pg_home_set_of_results(home);
    if (result != NULL && pg_deferred_is(head->op, object, result)) {
        if (pg_deferred_start(msg->source, head, &request->cancellable, object, result) < 0)
            Py_CLEAR(result);
    } else if (result == NULL && !PyErr_Occurred()) { /* an iterator is exhausted */
        if (head->want == PG_WANT_PLAIN)
            PyErr_SetNone(PyExc_StopIteration);
        else if (reply_object(msg->source, head->call, PG_OUTCOME_STOP, Py_None) >= 0)
            result = Py_NewRef(Py_None);
    } else if (result != NULL && reply_result(msg->source, head, object, result, false) < 0) {
        Py_CLEAR(result);
    }
    pg_home_set_of_results(before);
out:
    pg_running_with(&request->running, NULL, NULL);
    if (result == NULL && !cancelled)
        reply_exception(msg->source, head->call);
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(args);
    Py_XDECREF(object);
    gas_home_unref(home);
}

/* serve(), unaffected by what the thread is doing: by an exception that is on its way (in a
 * finalizer that waits, say) or is being handled, and by context variables (NumPy's errstate, the
 * decimal context). */
static void serve_apart(request_t *request)
{
    PyObject *pending = PyErr_GetRaisedException();
    PyObject *handled = PyErr_GetHandledException();
    PyObject *context = PyContext_New();
    bool entered = context != NULL && PyContext_Enter(context) == 0;

    if (!entered)
        PyErr_Clear(); /* no memory: do without */
    if (handled != NULL)
        PyErr_SetHandledException(NULL);
    serve(request);
    if (handled != NULL)
        PyErr_SetHandledException(handled);
    if (entered && PyContext_Exit(context) < 0)
        PyErr_Clear();
    Py_XDECREF(context);
    Py_XDECREF(handled);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

/* Answers a request that will not be run, without Python: also inside handlers. */
static void answer(gas_job_t *job, const request_t *request, pg_outcome_t outcome, const char *text)
{
    pg_reply_head_t reply = {.call = request->head.call,
                             .wire.kind = *text != '\0' ? PG_KIND_BYTES : PG_KIND_NONE,
                             .outcome = outcome};
    uint8_t bytes[PG_HEAD_MAX];
    gas_am_t am = {.handler = PG_HANDLER_REPLY,
                   .header = bytes,
                   .header_length = (uint16_t)pg_reply_head_put(&reply, bytes),
                   .data = text,
                   .data_length = strlen(text)};

    /* If this fails, no reply reaches the caller any more: its rank is gone, or this one is. */
    gas_am_send(job, request->msg->source, &am, NULL, NULL);
}

/* This rank has come to its end. If that was a failure, others will hear of it as one. */
static void refuse_ended(gas_job_t *job, const request_t *request)
{
    if (atomic_load(&pg.ending))
        answer(job, request, PG_OUTCOME_ENDED, "");
}

/* The thread that the object belongs to has ended. A description as describe_briefly() makes it. */
static void refuse_without_thread(gas_job_t *job, const request_t *request)
{
    char text[160];

    snprintf(text, sizeof(text),
             "RuntimeError: the thread of rank %d to which the object belongs (thread=True) has "
             "ended",
             pg.rank);
    answer(job, request, PG_OUTCOME_ERROR, text);
}

/* Frees a request; `served`: somebody has taken what it refers to. Also inside handlers. */
static void discard(gas_job_t *job, request_t *request, bool served)
{
    pg_cancellable_end(&request->cancellable);
    if (!served)
        pg_payload_refuse(request->msg, &request->head.wire);
    if (request->pinned)
        pg_exports_unpin(request->head.object);
    gas_msg_free(job, request->msg);
    free(request);
}

/* False: the request is not to be run, and its caller knows or is told. */
static bool is_to_be_served(request_t *request)
{
    bool running = atomic_load(&pg.phase) == PG_RUNNING;

    if (pg_cancellable_is_cancelled(&request->cancellable) ||
        (running && gas_rank_has_failed(pg.job, request->msg->source)))
        return false;
    if (running && !pg_home_is_closing())
        return true;
    if (pg_cancellable_start(&request->cancellable, false)) {
        if (running)
            refuse_without_thread(pg.job, request);
        else
            refuse_ended(pg.job, request);
    }
    return false;
}

static void request_run(gas_work_t *work)
{
    request_t *request = (request_t *)work;
    unsigned depth = running_depth;
    pg_caller_t caller = running_for;
    bool served;

    running_depth = work->depth + 1;
    running_for = (pg_caller_t){request->msg->source, request->head.thread};
    pg_running_begin(&request->running, &request->head, request->msg->source);
    served = is_to_be_served(request);
    if (served) {
        atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
        serve_apart(request);
    }
    pg_running_end(&request->running);
    running_depth = depth;
    running_for = caller;
    discard(pg.job, request, served);
}

/* Queues a request where it is to run, or refuses it. */
static void queue(gas_job_t *job, request_t *request)
{
    const pg_request_head_t *head = &request->head;
    gas_home_t *home = pg_op_has_object(head->op) ? pg_exports_home(head->object) : NULL;
    bool queued = true;

    if (head->cancellable)
        pg_cancellable_queue(&request->cancellable, request->msg->source, head->call);
    if (home == NULL)
        gas_work_push(job, &request->work);
    else
        queued = gas_home_push(job, home, &request->work);
    gas_home_unref(home);
    if (queued)
        return;
    if (pg_cancellable_start(&request->cancellable, false))
        refuse_without_thread(job, request);
    discard(job, request, false);
}

/* Not attached. */
void pg_request_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    request_t *request = malloc(sizeof(*request)); /* calloc() is several times slower */
    pg_request_head_t head;
    bool sound = pg_request_head_get(&head, msg->header, msg->header_length);

    (void)arg;
    if (sound)
        pg_payload_arrived(msg, &head.wire);
    if (request == NULL || !sound) {
        atomic_fetch_add(&job->dropped, 1);
        if (sound)
            pg_payload_refuse(msg, &head.wire);
        free(request);
        gas_msg_free(job, msg);
        return;
    }
    *request = (request_t){
        .work = {.run = request_run, .depth = head.depth, .own = msg->source == pg.rank},
        .msg = msg,
        .head = head,
    };
    if (head.name.number > 0)
        request->name = pg_name_arrived(msg->source, &head.name);
    /* The caller may let go of the object before the request has its turn. A rank's request to
     * itself has been pinned by the caller. */
    if (pg_op_has_object(head.op))
        request->pinned = msg->source == pg.rank || pg_exports_pin(head.object);
    if (atomic_load(&pg.phase) == PG_ENDED) {
        refuse_ended(job, request);
        discard(job, request, false);
    } else {
        queue(job, request);
    }
}
