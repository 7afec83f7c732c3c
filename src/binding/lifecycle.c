/*
 * Design notes. The phase only moves forward. Python code (pygas/_job.py) serializes starting and
 * decides when to end; here is the order in which things are opened and closed:
 *
 *   start:   boot, job (conduit, fence, progress thread), executor, RUNNING
 *   finish:  ENDED, so that nothing new begins and requests that arrive are refused; bye; executor;
 *            queued work is refused; what arrives is dropped; job; exported objects
 *
 * A thread that is still using the job when it ends (pg_enter()) is told within GAS_WAIT_SIGNALS if
 * it waits. If it does not leave even so, the job's memory is left standing: the process is about
 * to go anyway. So is the executor if it is busy with a long request and the end is not a proper
 * one.
 */
#include "lifecycle.h"

#include "attend.h"
#include "blocked.h"
#include "call.h"
#include "cancel.h"
#include "encoded.h"
#include "exchange.h"
#include "exports.h"
#include "failure.h"
#include "grants.h"
#include "imports.h"
#include "landing.h"
#include "names.h"
#include "ping.h"
#include "recount.h"
#include "releases.h"
#include "request.h"
#include "stacks.h"
#include "told.h"
#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define MEET_LOOK_NS 200000000u /* between two looks for ranks that wait for this one in vain */
#define LEAVE_NS (3 * (uint64_t)GAS_WAIT_SIGNALS)

/* A signal came while the job was starting, detached, in the thread that starts it. */
static int start_interrupted(void *arg)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    int failed = PyErr_CheckSignals() != 0;

    (void)arg;
    PyGILState_Release(gil);
    return failed;
}

/* From the launcher's key; a job of one makes up its own. */
static uint64_t job_key(const char *spec)
{
    const char *key = spec != NULL ? strstr(spec, "key:") : NULL;
    unsigned long long value;

    if (key != NULL && sscanf(key, "key:%16llx", &value) == 1)
        return value;
    return gas_clock_now() ^ (uint64_t)getpid() << 48;
}

/* The progress thread's. */
static uint64_t tend(void *arg)
{
    static uint64_t (*const tenders[])(void) = {pg_imports_tend, pg_exports_tend, pg_recount_tend};
    uint64_t soonest = GAS_FOREVER;

    (void)arg;
    if (atomic_load(&pg.phase) != PG_RUNNING)
        return GAS_FOREVER;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(tenders); i++) {
        uint64_t wait = tenders[i]();

        soonest = wait < soonest ? wait : soonest;
    }
    return soonest;
}

/* A gas_arrived_fn. */
static void arrived(gas_job_t *job, gas_msg_t *msg)
{
    (void)job;
    if (msg->handler == GAS_HANDLER_MAILBOX)
        pg_encoded_arrived(msg);
    else if (msg->handler == GAS_HANDLER_COLL)
        pg_exchange_arrived(msg);
}

static gas_status_t open_job(const char *spec)
{
    gas_job_params_t params = {
        .conduit = gas_conduit_default(),
        .watched = 1u << PG_HANDLER_REQUEST | 1u << PG_HANDLER_REPLY | 1u << PG_HANDLER_WEIGHT_ASK |
                   1u << PG_HANDLER_WEIGHT,
        .kick = pg_attend_kick,
        .failed = pg_rank_failed,
        .arrived = arrived,
        .stacks = pg_stacks,
        .idle = pg_landing_idle,
        .tend = tend,
        .discard = pg_exchange_discard,
        .interrupt = start_interrupted,
    };
    gas_status_t status = gas_boot_create(spec, &params.boot);

    if (status != GAS_OK)
        return status;
    params.handlers[PG_HANDLER_REQUEST] = (gas_handler_t){pg_request_arrived, NULL};
    params.handlers[PG_HANDLER_REPLY] = (gas_handler_t){pg_call_replied, NULL};
    params.handlers[PG_HANDLER_CANCEL] = (gas_handler_t){pg_cancel_arrived, NULL};
    params.handlers[PG_HANDLER_REFUSED] = (gas_handler_t){pg_cancel_refused, NULL};
    params.handlers[PG_HANDLER_BLOCKED] = (gas_handler_t){pg_blocked_asked, NULL};
    params.handlers[PG_HANDLER_PING] = (gas_handler_t){pg_ping_arrived, NULL};
    params.handlers[PG_HANDLER_RELEASE] = (gas_handler_t){pg_release_arrived, NULL};
    params.handlers[PG_HANDLER_WEIGHT_ASK] = (gas_handler_t){pg_weight_asked, NULL};
    params.handlers[PG_HANDLER_WEIGHT] = (gas_handler_t){pg_weight_arrived, NULL};
    params.handlers[PG_HANDLER_RECOUNT] = (gas_handler_t){pg_recount_arrived, NULL};
    pg.job_key = job_key(spec);
    pg.rank = params.boot->rank;
    pg.size = params.boot->size;
    status = pg_names_init();
    if (status == GAS_OK &&
        !(pg_imports_init() && pg_exports_init() && pg_recount_init() && pg_told_init()))
        status = gas_error(GAS_ERR_NO_MEMORY, "no memory for %d ranks", pg.size);
    if (status == GAS_OK)
        return gas_job_start(&params, &pg.job);
    params.boot->ops->destroy(params.boot);
    return status;
}

PyObject *pg_start(PyObject *module, PyObject *spec)
{
    int before = PG_BEFORE;
    const char *text = NULL;
    gas_status_t status;

    (void)module;
    if (spec != Py_None) {
        text = PyUnicode_AsUTF8(spec);
        if (text == NULL)
            return NULL;
    }
    pg_request_thread(); /* number 1, which heads need not say (heads.c) */
    if (!atomic_compare_exchange_strong(&pg.phase, &before, PG_STARTING)) {
        PyErr_SetString(PyExc_RuntimeError, "the job has been started already");
        return NULL;
    }
    if (pg_attend_start() < 0) {
        atomic_store(&pg.phase, PG_ENDED);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = open_job(text);
    Py_END_ALLOW_THREADS if (status != GAS_OK)
    {
        atomic_store(&pg.phase, PG_ENDED);
        pg_attend_stop(GAS_FOREVER);
        pg_names_clear();
        return PyErr_Occurred() ? NULL : pg_raise_status(status);
    }
    pg_landing_open();
    atomic_store(&pg.phase, PG_RUNNING);
    Py_RETURN_NONE;
}

/* True if another rank waits in a collective that this one, which is ending, has not entered. */
static bool is_awaited(void)
{
    return gas_mailbox_abandoned(pg.job) >= 0;
}

/* True once no other thread is using the job; gives them a while to leave. */
static bool users_have_left(void)
{
    uint64_t deadline = gas_clock_now() + LEAVE_NS;

    while (atomic_load(&pg.users) > 0 && gas_clock_left(deadline) > 0) {
        struct timespec pause = {.tv_nsec = 1000000};

        Py_BEGIN_ALLOW_THREADS nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
    return atomic_load(&pg.users) == 0;
}

PyObject *pg_meet(PyObject *module, PyObject *unused)
{
    gas_waiting_t waiting;
    gas_status_t status;
    int outcome = 0;

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    atomic_store(&pg.ending, true);
    gas_waiting_begin(&waiting, "all ranks to finish their programs", -1);
    gas_mailbox_set_ending(pg.job);
    status = gas_job_finish(pg.job);
    while (status == GAS_OK && outcome == 0 && !is_awaited())
        outcome = pg_wait(&pg.job->ended, gas_clock_now() + MEET_LOOK_NS);
    gas_waiting_end(pg.job, &waiting);
    pg_leave();
    if (status != GAS_OK)
        return pg_raise_status(status);
    return outcome < 0 ? NULL : PyBool_FromLong(outcome);
}

/* Requests are refused, notices seen to. */
static void clear_queues(void)
{
    gas_work_t *work;

    while ((work = gas_work_take(pg.job)) != NULL)
        work->run(work);
}

PyObject *pg_finish(PyObject *module, PyObject *proper)
{
    bool is_proper = PyObject_IsTrue(proper);
    int running = PG_RUNNING;

    (void)module;
    atomic_store(&pg.ending, is_proper);
    if (!atomic_compare_exchange_strong(&pg.phase, &running, PG_ENDED))
        Py_RETURN_NONE;
    if (is_proper) {
        gas_job_bye(pg.job);
        pg_attend_stop(GAS_FOREVER);
    } else {
        pg_attend_stop(LEAVE_NS);
    }
    clear_queues();
    Py_BEGIN_ALLOW_THREADS gas_job_close(pg.job);
    Py_END_ALLOW_THREADS clear_queues();
    pg_landing_close();
    if (users_have_left()) {
        Py_BEGIN_ALLOW_THREADS gas_job_stop(pg.job);
        Py_END_ALLOW_THREADS pg.job = NULL;
        pg_names_clear();
    }
    pg_calls_end();
    pg_exports_clear();
    pg_imports_clear();
    pg_recount_clear();
    Py_RETURN_NONE;
}

/* In the child, before any Python code: a Proxy may be dropped there at any time, and another
 * thread of the rank may have held a lock. */
static void forked(void)
{
    int phase = atomic_load(&pg.phase);

    if (phase != PG_RUNNING && phase != PG_STARTING)
        return;
    pg_calls_after_fork();
    pg_exports_after_fork();
    pg_imports_after_fork();
    pg_recount_after_fork();
    pg_cancel_after_fork();
    pg_blocked_after_fork();
    pg_landing_after_fork();
    atomic_store(&pg.phase, PG_FORKED);
}

int pg_lifecycle_init(void)
{
    int error = pthread_atfork(NULL, NULL, forked);

    if (error == 0)
        return 0;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

PyObject *pg_phase_name(PyObject *module, PyObject *unused)
{
    static const char *const names[] = {"before", "starting", "running", "ended", "forked"};

    (void)module;
    (void)unused;
    return PyUnicode_FromString(names[atomic_load(&pg.phase)]);
}
