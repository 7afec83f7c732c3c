#include "ping.h"

#include "failure.h"

#include <errno.h>

/* The event of the one ping that is under way; NULL: there is none, and answers are dropped. */
static _Atomic(gas_event_t *) awaited;

static gas_status_t send_ping(int destination, uint8_t is_answer)
{
    gas_am_t am = {.handler = PG_HANDLER_PING, .header = &is_answer, .header_length = 1};

    return gas_am_send(pg.job, destination, &am, NULL, NULL);
}

/* Not attached. */
void pg_ping_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    bool is_answer = msg->header_length == 1 && *(const uint8_t *)msg->header != 0;
    int source = msg->source;

    (void)arg;
    gas_msg_free(job, msg);
    if (!is_answer) {
        send_ping(source, true);
    } else {
        gas_event_t *event = atomic_exchange(&awaited, NULL);

        if (event != NULL)
            gas_event_set(event);
    }
}

/* One round trip, in nanoseconds. */
static gas_status_t ping_once(int rank, uint64_t *elapsed)
{
    gas_event_t event = GAS_EVENT_INIT;
    uint64_t start = gas_clock_now();
    gas_status_t status;

    atomic_store(&awaited, &event);
    status = send_ping(rank, false);
    if (status == GAS_OK)
        do {
            status = gas_wait(pg.job, &event, GAS_FOREVER, 0);
        } while (status == GAS_INTERRUPTED);
    atomic_store(&awaited, NULL);
    *elapsed = gas_clock_now() - start;
    return status;
}

void pg_pause(uint64_t nanoseconds)
{
    struct timespec left = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                            .tv_nsec = (long)(nanoseconds % 1000000000u)};

    while (nanoseconds > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

PyObject *pg_seconds_list(const uint64_t *elapsed, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);

    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *seconds = PyFloat_FromDouble((double)elapsed[i] * 1e-9);

        if (seconds == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, seconds);
    }
    return list;
}

PyObject *pg_ping(PyObject *module, PyObject *args)
{
    gas_status_t status = GAS_OK;
    PyObject *list = NULL;
    uint64_t *elapsed;
    Py_ssize_t count;
    double gap;
    int rank;

    (void)module;
    if (!PyArg_ParseTuple(args, "ind:ping", &rank, &count, &gap))
        return NULL;
    if (count < 0 || count > 100000000 || !(gap >= 0 && gap < 1e6)) {
        PyErr_SetString(PyExc_ValueError,
                        "ping() takes up to 10^8 round trips and a gap in seconds");
        return NULL;
    }
    if (pg_enter() < 0)
        return NULL;
    elapsed = calloc((size_t)count + 1, sizeof(*elapsed));
    if (elapsed == NULL) {
        pg_leave();
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS for (Py_ssize_t i = 0; i < count && status == GAS_OK; i++)
    {
        pg_pause((uint64_t)(gap * 1e9));
        status = ping_once(rank, &elapsed[i]);
    }
    Py_END_ALLOW_THREADS list =
        status == GAS_OK ? pg_seconds_list(elapsed, count) : pg_raise_status(status);
    pg_leave();
    free(elapsed);
    return list;
}
