#include "giveback.h"

#include "compat.h"
#include "request.h"

/* A value on its way back: to an object of this rank, or to one of rank `owner`. */
typedef struct parcel {
    gas_work_t work;
    PyObject *value;
    PyObject *giver; /* NULL: elsewhere */
    int owner;
    uint64_t object;
    pg_caller_t asker; /* for whom it was */
} parcel_t;

static void deliver_here(PyObject *giver, PyObject *value, pg_caller_t asker)
{
    PyObject *done = PyObject_CallMethod(giver, "_pygas_take_back", "O(iI)", value, asker.rank,
                                         (unsigned)asker.thread);

    if (done == NULL)
        PyErr_WriteUnraisable(giver);
    Py_XDECREF(done);
}

static void deliver(int owner, uint64_t object, PyObject *value, uint32_t thread)
{
    PyObject *args = Py_BuildValue("(OI)", value, (unsigned)thread);
    pg_call_t *call =
        args != NULL ? pg_call_start(owner, PG_OP_TAKE_BACK, object, args, PG_WANT_PLAIN) : NULL;

    if (call != NULL)
        pg_call_abandon(call); /* a failure is reported */
    else
        PyErr_WriteUnraisable(value);
    Py_XDECREF(args);
}

static void parcel_run(gas_work_t *work)
{
    parcel_t *parcel = (parcel_t *)work;
    PyObject *pending = PyErr_GetRaisedException(); /* as in call.c */

    if (atomic_load(&pg.phase) == PG_RUNNING) {
        if (parcel->giver != NULL)
            deliver_here(parcel->giver, parcel->value, parcel->asker);
        else
            deliver(parcel->owner, parcel->object, parcel->value, parcel->asker.thread);
    }
    Py_DECREF(parcel->value);
    Py_XDECREF(parcel->giver);
    PyMem_Free(parcel);
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

/* The place of a value that nobody has taken (nor seen): it is the caller's to give back. */
static bool claim(pg_future_t *future, bool unseen)
{
    int state = PG_UNSEEN;

    if (atomic_compare_exchange_strong(&future->taking, &state, PG_GIVEN))
        return true;
    return !unseen && state == PG_SEEN &&
           atomic_compare_exchange_strong(&future->taking, &state, PG_GIVEN);
}

static bool is_returnable_reply(const pg_call_t *call)
{
    return call != NULL && call->head.outcome == PG_OUTCOME_RETURNABLE;
}

void pg_give_back(pg_future_t *future, bool unseen)
{
    parcel_t *parcel;

    if (!pg_future_is_settled(future) || future->value == NULL ||
        (future->giver == NULL && !is_returnable_reply(future->call)) || !claim(future, unseen))
        return;
    if (!pg_enter_if_running())
        return;
    parcel = PyMem_Calloc(1, sizeof(*parcel));
    if (parcel != NULL) {
        parcel->work = (gas_work_t){.run = parcel_run, .depth = GAS_WORK_NOTICE};
        parcel->value = Py_NewRef(future->value);
        parcel->giver = Py_XNewRef(future->giver);
        parcel->asker = future->asker;
        if (future->call != NULL) {
            parcel->owner = future->call->owner;
            parcel->object = future->call->object;
            parcel->asker = (pg_caller_t){pg.rank, future->call->thread};
        }
        gas_work_push(pg.job, &parcel->work);
    }
    pg_leave();
}

void pg_give_back_reply(pg_call_t *call, PyObject *value)
{
    deliver(call->owner, call->object, value, call->thread);
}

PyObject *pg_take_back(PyObject *object, PyObject *args)
{
    return PyObject_CallMethod(object, "_pygas_take_back", "O(iO)", PyTuple_GET_ITEM(args, 0),
                               pg_request_caller().rank, PyTuple_GET_ITEM(args, 1));
}

PyObject *pg_returnable(PyObject *module, PyObject *args)
{
    PyObject *future, *giver;

    (void)module;
    if (!PyArg_ParseTuple(args, "O!O:returnable", pg.future_type, &future, &giver))
        return NULL;
    ((pg_future_t *)future)->asker = pg_request_caller();
    Py_XSETREF(((pg_future_t *)future)->giver, giver != Py_None ? Py_NewRef(giver) : NULL);
    return Py_NewRef(future);
}

PyObject *pg_give_back_future(PyObject *module, PyObject *future)
{
    (void)module;
    if (!Py_IS_TYPE(future, pg.future_type)) {
        PyErr_SetString(PyExc_TypeError, "give_back() needs a pygas.Future");
        return NULL;
    }
    pg_give_back((pg_future_t *)future, false);
    Py_RETURN_NONE;
}
