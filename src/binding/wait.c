#include "wait.h"

#include "attend.h"
#include "blocked.h"
#include "failure.h"
#include "interp.h"
#include "request.h"
#include "settle.h"

#include <math.h>

/* Asks the owner if this wait has become long; `since`: of the wait, 0: not known yet. */
static void ask_if_long(int owner, uint64_t *since, uint64_t *patience)
{
    uint64_t now = gas_clock_now();

    if (*since == 0) {
        *since = now;
        *patience = pg_blocked_patience();
    } else if (now - *since >= *patience) {
        pg_blocked_ask(owner);
        *patience *= 2;
    }
}

static int wait_running(gas_event_t *event, uint64_t deadline, int owner)
{
    uint64_t since = 0, patience = 0;
    bool interrupting = pg_attend_is_interrupting();
    unsigned work = interrupting ? GAS_WAIT_HOME : GAS_WAIT_WORK;
    gas_drain_t how = {.which = interrupting ? GAS_WORK_HOME : GAS_WORK_ALL,
                       .most = PG_ATTEND_MOST,
                       .limit = PG_ATTEND_LIMIT_NS,
                       .until = event};
    gas_job_t *job = pg.job;
    bool served = false;

    while (atomic_load(&pg.phase) == PG_RUNNING) {
        /* A peer that waits for us answers within a microsecond or two: not worth detaching for. */
        gas_status_t status = gas_wait(job, event, deadline, work | GAS_WAIT_BRIEFLY);

        if (status == GAS_BUSY) {
            Py_BEGIN_ALLOW_THREADS status = gas_wait(job, event, deadline, work | GAS_WAIT_MORE);
            Py_END_ALLOW_THREADS
        }
        switch (status) {
        case GAS_OK:
        case GAS_TIMEOUT:
            /* A request that waited goes on, and may change what others have just asked for. */
            if (served && pg_request_is_running() && pg_settle() < 0)
                return -1;
            return status == GAS_OK;
        case GAS_WORK:
            gas_work_drain_some(job, &how);
            served = true;
            /* fall through */
        case GAS_INTERRUPTED:
            if (PyErr_CheckSignals() != 0 || pg_interp_let_go() != 0)
                return -1;
            if (owner >= 0)
                ask_if_long(owner, &since, &patience);
            break;
        default:
            pg_raise_status(status);
            return -1;
        }
    }
    return pg_require_job();
}

/* The wait is over: goes on with the request that it was part of, when another thread's section has
 * ended. */
static void resume(bool parked)
{
    if (gas_work_resume(pg.job, parked, 0))
        return;
    Py_BEGIN_ALLOW_THREADS while (
        atomic_load(&pg.phase) == PG_RUNNING &&
        !gas_work_resume(pg.job, parked, gas_clock_now() + GAS_WAIT_SIGNALS));
    Py_END_ALLOW_THREADS
}

int pg_wait_reply(gas_event_t *event, uint64_t deadline, int owner)
{
    bool parked = gas_work_park(pg.job);
    int outcome;

    pg_running_wait_begin();
    outcome = wait_running(event, deadline, owner);
    pg_running_wait_end();
    if (parked)
        resume(true);
    return outcome;
}

int pg_wait_within(gas_event_t *event, uint64_t deadline)
{
    return pg_wait_reply(event, deadline, -1);
}

int pg_wait(gas_event_t *event, uint64_t deadline)
{
    int outcome;

    atomic_fetch_add(&pg.users, 1);
    outcome = pg_wait_within(event, deadline);
    pg_leave();
    return outcome;
}

int pg_wait_for(gas_event_t *event, const char *what, int peer)
{
    gas_waiting_t waiting;
    int outcome;

    gas_waiting_begin(&waiting, what, peer);
    outcome = pg_wait_within(event, GAS_FOREVER);
    gas_waiting_end(pg.job, &waiting);
    return outcome;
}

void pg_wait_landing(gas_event_t *event)
{
    struct timespec pause = {.tv_nsec = 100000};

    atomic_fetch_add(&pg.users, 1);
    Py_BEGIN_ALLOW_THREADS while (!gas_event_is_set(event))
    {
        gas_status_t status = gas_wait(pg.job, event, GAS_FOREVER, 0);

        if (status != GAS_OK && status != GAS_INTERRUPTED) {
            /* It cannot sleep (no descriptor is left, say), and must not return. */
            gas_wait(pg.job, event, GAS_FOREVER, GAS_WAIT_BRIEFLY);
            nanosleep(&pause, NULL);
        }
    }
    Py_END_ALLOW_THREADS pg_leave();
}

int pg_deadline(PyObject *timeout, uint64_t *deadline)
{
    double seconds;

    if (timeout == NULL || timeout == Py_None) {
        *deadline = GAS_FOREVER;
        return 0;
    }
    seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number: give seconds, or None");
        return -1;
    }
    if (seconds >= 1e9)
        *deadline = GAS_FOREVER;
    else
        *deadline = gas_clock_now() + (seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
    return 0;
}
