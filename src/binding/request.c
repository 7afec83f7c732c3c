#include "request.h"

#include "arguments.h"
#include "call.h"
#include "compat.h"
#include "exports.h"
#include "ops.h"
#include "payload.h"
#include "proxy.h"

typedef struct request {
    gas_work_t work; /* first: run() gets its address */
    gas_msg_t *msg;
} request_t;

/* Sends what `payload` holds as the reply to `call`. -1 with an exception. */
static int send_reply(int destination, uint64_t call, pg_outcome_t outcome, pg_payload_t *payload)
{
    pg_reply_head_t head = {.call = call, .outcome = (uint8_t)outcome};

    return pg_payload_send(payload, destination, PG_HANDLER_REPLY, &head, sizeof(head), &head.wire,
                           NULL);
}

static int reply_object(int destination, uint64_t call, pg_outcome_t outcome, PyObject *object)
{
    pg_payload_t *payload = pg_payload_encode(object);
    int sent;

    if (payload == NULL)
        return -1;
    sent = send_reply(destination, call, outcome, payload);
    pg_payload_unref(payload);
    return sent;
}

/* Replies with the exception that is set, which is no longer set then. If even that fails, the
 * reason is printed: the caller waits in vain, and somebody should know why. */
static void reply_exception(int destination, uint64_t call)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *description = PyObject_CallMethod(pg.errors, "describe", "O", exception);

    if (description == NULL || reply_object(destination, call, PG_OUTCOME_ERROR, description) < 0)
        PyErr_WriteUnraisable(exception);
    if (PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
        PyErr_SetInterrupt(); /* Ctrl-C was meant for this rank's program, too */
    Py_XDECREF(description);
    Py_DECREF(exception);
}

static int reply_proxy(int destination, uint64_t call, PyObject *result)
{
    PyObject *proxy = pg_proxy_new_local(result);
    int sent;

    if (proxy == NULL)
        return -1;
    sent = reply_object(destination, call, PG_OUTCOME_VALUE, proxy);
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
        return pg_proxy_new_local(result);
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
                        PyObject *result)
{
    PyObject *travels;
    pg_outcome_t outcome = classify(head, object, result, &travels);
    int sent;

    if (travels == NULL)
        return reply_proxy(destination, head->call, result);
    sent = reply_object(destination, head->call, outcome, travels);
    if (sent >= 0 || head->want == PG_WANT_COPY || !pg_cannot_copy())
        return sent;
    PyErr_Clear();
    travels = substitute(head->op, result);
    if (travels == NULL)
        return -1;
    sent = reply_object(destination, head->call, PG_OUTCOME_VALUE, travels);
    Py_DECREF(travels);
    return sent;
}

static void serve(gas_msg_t *msg)
{
    pg_request_head_t head;
    PyObject *object = NULL, *args, *result = NULL;

    memcpy(&head, msg->header, sizeof(head));
    args = pg_payload_receive(msg, &head.wire);
    if (args == NULL)
        goto out;
    if (pg_op_has_object(head.op)) {
        object = pg_exports_get(head.object);
        if (object == NULL)
            goto out;
    }
    result = pg_op_evaluate(head.op, object, args);
    if (result == NULL && !PyErr_Occurred()) { /* an iterator is exhausted */
        if (head.want == PG_WANT_PLAIN)
            PyErr_SetNone(PyExc_StopIteration);
        else if (reply_object(msg->source, head.call, PG_OUTCOME_STOP, Py_None) >= 0)
            result = Py_NewRef(Py_None);
    } else if (result != NULL && reply_result(msg->source, &head, object, result) < 0) {
        Py_CLEAR(result);
    }
out:
    if (result == NULL)
        reply_exception(msg->source, head.call);
    Py_XDECREF(result);
    Py_XDECREF(args);
    Py_XDECREF(object);
}

static void request_run(gas_work_t *work)
{
    request_t *request = (request_t *)work;
    bool running = atomic_load(&pg.phase) == PG_RUNNING; /* else the queue is being cleared */
    /* A drain may happen while an exception is on its way (a finalizer that waits, say). */
    PyObject *pending = PyErr_GetRaisedException();

    if (running)
        serve(request->msg);
    gas_msg_free(pg.job, request->msg);
    PyMem_RawFree(request);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

/* Not attached. */
void pg_request_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    request_t *request = PyMem_RawMalloc(sizeof(*request));

    (void)arg;
    if (request == NULL || msg->header_length != sizeof(pg_request_head_t)) {
        atomic_fetch_add(&job->dropped, 1);
        PyMem_RawFree(request);
        gas_msg_free(job, msg);
        return;
    }
    request->work.run = request_run;
    request->msg = msg;
    gas_work_push(job, &request->work);
}
