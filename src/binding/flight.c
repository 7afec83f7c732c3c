#include "flight.h"

enum { DROPPED, WAITED_FOR, CALLS };

struct pg_flight {
    gas_work_t work; /* first: run() gets its address */
    atomic_int left; /* messages on their way, and 1 until the last one has been sent */
    int then;        /* what happens after that: one of the three; set before `left` may become 0 */
    gas_event_t event;
    PyObject *callback;
};

pg_flight_t *pg_flight_create(void)
{
    pg_flight_t *flight = gas_alloc_zeroed(sizeof(*flight));

    if (flight != NULL) {
        atomic_init(&flight->left, 1);
        gas_event_init(&flight->event);
    }
    return flight;
}

void pg_flight_add(pg_flight_t *flight)
{
    atomic_fetch_add(&flight->left, 1);
}

void pg_flight_subtract(pg_flight_t *flight)
{
    atomic_fetch_sub(&flight->left, 1);
}

static void run(gas_work_t *work)
{
    pg_flight_t *flight = (pg_flight_t *)work;

    if (atomic_load(&pg.phase) == PG_RUNNING) {
        PyObject *result = PyObject_CallNoArgs(flight->callback);

        if (result == NULL)
            PyErr_WriteUnraisable(flight->callback);
        Py_XDECREF(result);
    }
    Py_DECREF(flight->callback);
    free(flight);
}

static void land(pg_flight_t *flight)
{
    if (atomic_fetch_sub(&flight->left, 1) > 1)
        return;
    switch (flight->then) {
    case WAITED_FOR:
        gas_event_set(&flight->event);
        break;
    case CALLS:
        flight->work = (gas_work_t){
            .run = run, .depth = GAS_WORK_NOTICE}; /* others may wait for it at any depth */
        gas_work_push(pg.job, &flight->work);
        break;
    default:
        free(flight);
    }
}

void pg_flight_landed(void *arg, gas_status_t status)
{
    (void)status; /* the receiver's failure, which it tells to all */
    land(arg);
}

void pg_flight_drop(pg_flight_t *flight)
{
    flight->then = DROPPED;
    land(flight);
}

gas_event_t *pg_flight_await(pg_flight_t *flight)
{
    flight->then = WAITED_FOR;
    land(flight);
    return &flight->event;
}

void pg_flight_free(pg_flight_t *flight)
{
    free(flight);
}

void pg_flight_call(pg_flight_t *flight, PyObject *callback)
{
    flight->then = CALLS;
    flight->callback = Py_NewRef(callback);
    land(flight);
}
