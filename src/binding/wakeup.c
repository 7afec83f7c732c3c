#include "wakeup.h"

#include "ping.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* the other process has gone, after that */
#define ASK 1u
#define STOP 2u

/* Sleeps in `poller` until `in` has been written to, and reads it. 0, or -1 with errno. */
static int sleep_and_read(int poller, int in, uint64_t *number)
{
    struct epoll_event event;
    ssize_t got;
    int ready;

    do {
        ready = epoll_wait(poller, &event, 1, PATIENCE_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT;
    if (ready <= 0)
        return -1;
    do {
        got = read(in, number, sizeof(*number));
    } while (got < 0 && errno == EINTR);
    return got == sizeof(*number) ? 0 : -1;
}

static int send_number(int out, uint64_t number)
{
    return write(out, &number, sizeof(number)) == sizeof(number) ? 0 : -1;
}

static int poller_for(int in)
{
    struct epoll_event event = {.events = EPOLLIN};
    int poller = epoll_create1(EPOLL_CLOEXEC);

    if (poller >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, in, &event) != 0) {
        close(poller);
        poller = -1;
    }
    return poller;
}

PyObject *pg_wakeup_ask(PyObject *module, PyObject *args)
{
    uint64_t *elapsed = NULL;
    PyObject *list = NULL;
    Py_ssize_t count;
    int in, out, poller;
    uint64_t number;
    double gap;
    int failed;

    (void)module;
    if (!PyArg_ParseTuple(args, "iind:wakeup_ask", &in, &out, &count, &gap))
        return NULL;
    if (count < 0 || count > 100000000 || !(gap >= 0 && gap < 1e6)) {
        PyErr_SetString(PyExc_ValueError, "up to 10^8 round trips, and a gap in seconds");
        return NULL;
    }
    elapsed = calloc((size_t)count + 1, sizeof(*elapsed));
    if (elapsed == NULL)
        return PyErr_NoMemory();
    poller = poller_for(in);
    failed = poller < 0;
    Py_BEGIN_ALLOW_THREADS for (Py_ssize_t i = 0; i < count && !failed; i++)
    {
        uint64_t start;

        pg_pause((uint64_t)(gap * 1e9));
        start = gas_clock_now();
        failed = send_number(out, ASK) < 0 || sleep_and_read(poller, in, &number) < 0;
        elapsed[i] = gas_clock_now() - start;
    }
    if (!failed && count == 0)
        failed = send_number(out, STOP) < 0;
    Py_END_ALLOW_THREADS list =
        failed ? PyErr_SetFromErrno(PyExc_OSError) : pg_seconds_list(elapsed, count);
    if (poller >= 0)
        close(poller);
    free(elapsed);
    return list;
}

PyObject *pg_wakeup_answer(PyObject *module, PyObject *args)
{
    uint64_t number = ASK;
    int in, out, poller, failed = 0;

    (void)module;
    if (!PyArg_ParseTuple(args, "ii:wakeup_answer", &in, &out))
        return NULL;
    poller = poller_for(in);
    if (poller < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_BEGIN_ALLOW_THREADS while (!failed)
    {
        failed = sleep_and_read(poller, in, &number) < 0;
        if (number == STOP)
            break;
        failed = failed || send_number(out, ASK) < 0;
    }
    Py_END_ALLOW_THREADS close(poller);
    return failed ? PyErr_SetFromErrno(PyExc_OSError) : Py_NewRef(Py_None);
}
