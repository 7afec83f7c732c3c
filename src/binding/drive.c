/*
 * Design notes. Operations on small objects cost what the interpreter does for them. So what is the
 * same for all of them is done here: claiming the team, the exchange, the loop, the end. For those
 * that nobody waits for, pygas/collectives/drive.py does the same step by step.
 *
 * Nothing is held between the steps but the claim, as they run code of the program: operators, and
 * hooks of pickle.
 */
#include "drive.h"

#include "compat.h"
#include "exchange.h"

#define FIXED 6         /* arguments before those of the algorithm */
#define ARGUMENTS_MAX 8 /* of an algorithm */

typedef struct run {
    PyObject *members;
    PyObject *meet_first, *reason, *algorithm; /* functions */
    PyObject *const *arguments;                /* of the algorithm, behind the exchange */
    size_t argument_count;
    gas_coll_args_t args;
} run_t;

static int parse(PyObject *self, PyObject *const *args, Py_ssize_t count, run_t *run)
{
    long kind, root;
    unsigned long extra;

    if (count < FIXED || count > FIXED + ARGUMENTS_MAX) {
        PyErr_Format(PyExc_TypeError, "run() takes %d to %d arguments", FIXED,
                     FIXED + ARGUMENTS_MAX);
        return -1;
    }
    kind = PyLong_AsLong(args[0]);
    root = PyLong_AsLong(args[1]);
    extra = PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred())
        return -1;
    if (kind < 0 || kind >= GAS_COLL_KINDS || root < 0 || root >= ((pg_members_t *)self)->size ||
        extra > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "there is no such operation on objects");
        return -1;
    }
    *run = (run_t){
        .members = self,
        .meet_first = args[3],
        .reason = args[4],
        .algorithm = args[5],
        .arguments = args + FIXED,
        .argument_count = (size_t)(count - FIXED),
        .args = {.kind = (gas_coll_kind_t)kind,
                 .type = GAS_TYPE_OBJECT,
                 .root = (int)root,
                 .extra = (uint32_t)extra},
    };
    return 0;
}

static PyObject *open_exchange(run_t *run)
{
    PyObject *exchange = NULL;

    if (pg_enter() < 0)
        return NULL;
    if (pg_members_team(run->members) != NULL)
        exchange = pg_exchange_open(run->members, &run->args);
    pg_leave();
    return exchange;
}

/* The algorithm, as an iterator; the members meet before it where they have to. */
static PyObject *begin(const run_t *run, PyObject *exchange)
{
    PyObject *arguments[1 + ARGUMENTS_MAX] = {exchange};
    PyObject *steps, *later;

    for (size_t i = 0; i < run->argument_count; i++)
        arguments[1 + i] = run->arguments[i];
    steps = PyObject_Vectorcall(run->algorithm, arguments, 1 + run->argument_count, NULL);
    if (steps == NULL || !pg_exchange_meets_first(exchange))
        return steps;
    later = PyObject_CallFunctionObjArgs(run->meet_first, exchange, run->members, steps, NULL);
    Py_DECREF(steps);
    return later;
}

/* Until everything has been sent and received. 0, or -1 with an exception. */
static int communicate(PyObject *exchange, PyObject *steps)
{
    PyObject *message = Py_NewRef(Py_None), *source;

    for (;;) {
        PySendResult outcome = PyIter_Send(steps, message, &source);

        Py_DECREF(message);
        if (outcome == PYGEN_ERROR)
            return -1;
        if (outcome == PYGEN_RETURN) {
            Py_DECREF(source);
            PyErr_SetString(PyExc_AssertionError, "an algorithm ends without saying so");
            return -1;
        }
        if (source == Py_None)
            break;
        message = pg_exchange_receive(exchange, source);
        Py_DECREF(source);
        if (message == NULL)
            return -1;
    }
    Py_DECREF(source);
    return pg_exchange_finish(exchange);
}

/* What is left to be done after the communication. */
static PyObject *result_of(PyObject *steps)
{
    PyObject *result;

    switch (PyIter_Send(steps, Py_None, &result)) {
    case PYGEN_RETURN:
        return result;
    case PYGEN_NEXT:
        Py_DECREF(result);
        PyErr_SetString(PyExc_AssertionError, "an algorithm goes on after its end");
        return NULL;
    default:
        return NULL;
    }
}

/* An exception takes this rank out of the operation: it fails for all members, with its reason. */
static void give_up(const run_t *run, PyObject *exchange)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *why = PyObject_CallFunctionObjArgs(run->reason, run->members, exception, NULL);

    if (why == NULL) {
        PyErr_Clear();
        why = PyUnicode_FromString("a rank gave it up");
    }
    if (why == NULL || pg_exchange_fail(exchange, why) < 0)
        PyErr_Clear(); /* no memory; or the job is over: dropping the exchange does what is left */
    Py_XDECREF(why);
    PyErr_SetRaisedException(exception);
}

static PyObject *drive(run_t *run)
{
    PyObject *exchange = open_exchange(run), *steps, *result = NULL;

    if (exchange == NULL)
        return NULL;
    steps = begin(run, exchange);
    if (steps != NULL && communicate(exchange, steps) == 0)
        result = result_of(steps);
    else
        give_up(run, exchange);
    Py_XDECREF(steps);
    Py_DECREF(exchange);
    return result;
}

PyObject *pg_members_run(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *result;
    run_t run;

    if (parse(self, args, count, &run) < 0 || pg_members_claim(self) < 0)
        return NULL;
    result = drive(&run);
    pg_members_release(self);
    return result;
}
