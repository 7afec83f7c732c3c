/*
 * Design notes. Requests that come while the program is not in a PyGAS wait run on the executor, a
 * thread of ours. A main thread that runs Python code lets it in: the pending call rouses it and
 * gives up the interpreter lock until it has it, instead of after the switch interval of 5 ms.
 *
 * The pending call could run the requests itself, on top of whatever the main thread is doing, and
 * 20 to 50 us sooner. But the program then is where it is: it may hold a lock that the request
 * needs (threading.Event.set() has one, queue.Queue too), and would wait for itself; a module that
 * it is importing is half there; a frame may have no builtins (those of namedtuple's methods have
 * none), for which pickle fails; it may be at the recursion limit.
 *
 * For objects that belong to the main thread there is no choice: their requests do run inside the
 * pending call. What can be seen is avoided: they wait while a module is being imported, near the
 * recursion limit and while the thread runs another request, and they run below a Python function
 * of ours, whose frame has builtins. What cannot be seen, a lock that the interrupted frame holds,
 * is the hazard of every signal handler, and documented. Requests without affinity never run there,
 * not even in the waits of those that do: they are left to the executor.
 *
 * Without an interpreter lock there is nothing to be let into: the executor runs beside the
 * program, and the main thread is called upon for objects of its own only. What another thread
 * drops last of the objects that the executor has made (Proxies among them) only it can free, so it
 * looks now and then, as the waits of all threads do (interp.h).
 *
 * `pending` is set from the moment a pending call is queued until it runs, so there is at most one.
 * A kick never blocks: it may come from inside a handler. The executor keeps one thread state for
 * its life: attaching with it is several times faster than with a fresh one. The runtime kicks
 * again every fraction of a millisecond while work is left, so no kick has to be remembered, and a
 * lock that looked free wrongly costs one idle wake-up.
 */
#include "attend.h"

#include "affinity.h"
#include "interp.h"
#include "section.h"
#include "share.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#define LET_IN_NS 1000000    /* the longest that the main thread stands aside */
#define UNSERVED_NS 1000000u /* a pending call that waits longer is not going to be served soon */

static struct {
    atomic_bool pending; /* a pending call is queued */
    atomic_bool stopping;
    atomic_bool roused; /* `wake` was posted and the executor has not looked yet */
    atomic_bool over;   /* the executor is about to return */
    atomic_bool paying; /* it waits until the program has had its share, and will look then */
    sem_t wake;
    atomic_bool awaited; /* the main thread stands aside for the executor */
    sem_t attached;      /* posted once for it */
    pthread_t thread;
    atomic_ulong calls, rousings; /* pending calls and wake-ups so far */
    PyObject *between_bytecodes;  /* the function of pygas._attend; set under the lock, once */
    PyObject *module_locks;       /* importlib's: has an item for each import under way */
} attend;

/* How often the executor looks if the program still needs the time that it is owed. At first soon,
 * but not at once: the main thread may be about to take the lock. */
#define PAY_FIRST_NS 100000u
#define PAY_NS 1000000u

/* The thread runs requests in a pending call. */
static _Thread_local bool interrupting;

bool pg_attend_is_interrupting(void)
{
    return interrupting;
}

static void rouse_executor(void)
{
    if (!atomic_exchange(&attend.roused, true)) {
        atomic_fetch_add_explicit(&attend.rousings, 1, memory_order_relaxed);
        sem_post(&attend.wake);
    }
}

/* ---- the main thread, between two bytecodes ---- */

/* Stands aside until the executor has the interpreter lock. */
static void let_executor_in(void)
{
    struct timespec limit;

    atomic_store(&attend.awaited, true);
    rouse_executor();
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_nsec += LET_IN_NS;
    limit.tv_sec += limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    Py_BEGIN_ALLOW_THREADS while (sem_timedwait(&attend.attached, &limit) != 0)
    {
        if (errno == EINTR)
            continue;
        if (atomic_exchange(&attend.awaited, false))
            break;
        limit.tv_sec += 3600; /* too late to give up: it is being posted */
    }
    Py_END_ALLOW_THREADS
}

/* True if requests may run on top of the interrupted frame; else they will be kicked for again. */
static bool may_interrupt(void)
{
    return !interrupting && attend.between_bytecodes != NULL &&
           PyDict_GET_SIZE(attend.module_locks) == 0 && pg_interp_has_room() &&
           pg_share_owed_to_me() == 0;
}

/* Runs requests to objects that belong to this thread. -1 with an exception, of a signal handler.
 */
static int serve_own(void)
{
    PyObject *done;

    pg_share_begin_mine();
    interrupting = true;
    done = PyObject_CallNoArgs(attend.between_bytecodes);
    interrupting = false;
    pg_share_end_mine();
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* The pending call. */
static int attend_pending(void *arg)
{
    int failed = 0;

    (void)arg;
    atomic_store(&attend.pending, false);
    atomic_fetch_add_explicit(&attend.calls, 1, memory_order_relaxed);
    if (atomic_load(&attend.stopping) || !pg_enter_if_running())
        return 0;
    if (!gas_work_is_running(pg.job)) {
        if (gas_work_is_ready(pg.job, GAS_WORK_HOME) && may_interrupt())
            failed = serve_own();
        if (!failed && !atomic_load(&attend.paying) &&
            gas_work_is_ready(pg.job, GAS_WORK_GENERAL)) {
            if (pg_interp_has_lock())
                let_executor_in();
            else
                rouse_executor();
        }
    }
    pg_leave();
    return failed;
}

PyObject *pg_attend_drain_home(PyObject *module, PyObject *unused)
{
    gas_drain_t how = {.which = GAS_WORK_HOME, .most = PG_ATTEND_MOST, .limit = PG_ATTEND_LIMIT_NS};

    (void)module;
    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    gas_work_drain_some(pg.job, &how);
    pg_leave();
    Py_RETURN_NONE;
}

int pg_attend_main_home(void)
{
    PyObject *bootstrap, *module;

    if (attend.between_bytecodes != NULL)
        return 0;
    bootstrap = PyImport_ImportModule("_frozen_importlib");
    if (attend.module_locks == NULL && bootstrap != NULL)
        attend.module_locks = PyObject_GetAttrString(bootstrap, "_module_locks");
    if (attend.module_locks != NULL && !PyDict_Check(attend.module_locks)) {
        Py_CLEAR(attend.module_locks);
        PyErr_SetString(PyExc_SystemError, "importlib keeps its locks in no dict");
    }
    module = attend.module_locks != NULL ? PyImport_ImportModule("pygas._attend") : NULL;
    if (module != NULL)
        attend.between_bytecodes = PyObject_GetAttrString(module, "between_bytecodes");
    Py_XDECREF(bootstrap);
    Py_XDECREF(module);
    return attend.between_bytecodes != NULL ? 0 : -1;
}

/* ---- kicks ---- */

/* Queues the pending call unless it is. False if there was no room. */
static bool call_main(void)
{
    bool queued = true;

    if (!atomic_exchange(&attend.pending, true)) {
        queued = Py_AddPendingCall(attend_pending, NULL) == 0;
        if (!queued)
            atomic_store(&attend.pending, false);
    }
    pg_interp_interrupt_main();
    return queued;
}

void pg_attend_kick(void *arg, gas_home_t *home, uint64_t age)
{
    bool queued;

    (void)arg;
    if (atomic_load(&attend.stopping))
        return;
    if (gas_gate_holder(&pg.job->gate) != NULL) {
        if (pg_section_is_overdue(age))
            rouse_executor();
    } else if (home != NULL) {
        if (home->tag == PG_HOME_OF_MAIN)
            call_main();
        else
            rouse_executor();
    } else if (!atomic_load(&attend.paying)) {
        queued = pg_interp_has_lock() && call_main();
        if (!queued || age >= UNSERVED_NS || pg_interp_lock_looks_free())
            rouse_executor();
    }
}

PyObject *pg_attend_wakeups(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_BuildValue("kk", atomic_load(&attend.calls), atomic_load(&attend.rousings));
}

/* ---- the executor ---- */

/* True if the main thread stood aside. */
static bool let_main_go_on(void)
{
    bool awaited = atomic_exchange(&attend.awaited, false);

    if (awaited)
        sem_post(&attend.attached);
    return awaited;
}

/* Leaves the program alone as long as it has a right to that and makes use of it. Detached. */
static void pay(void)
{
    uint64_t owed, nap = PAY_FIRST_NS;

    pg_share_settle();
    owed = pg_share_owed();
    if (owed == 0)
        return;
    atomic_store(&attend.paying, true);
    let_main_go_on();
    while (owed > 0 && !atomic_load(&attend.stopping)) {
        struct timespec pause = gas_clock_timespec(owed < nap ? owed : nap);

        nanosleep(&pause, NULL);
        nap = PAY_NS;
        owed = pg_share_is_idle() ? 0 : pg_share_owed();
    }
    atomic_store(&attend.paying, false);
    if (!pg_interp_lock_looks_free())
        call_main();
}

/* Runs a slice of what is queued. Detached; *attached: the executor's thread state. */
static void serve(PyThreadState **attached)
{
    bool asked;

    pay();
    PyEval_RestoreThread(*attached);
    asked = let_main_go_on();
    if (pg_section_is_overdue(GAS_FOREVER))
        pg_section_report();
    pg_share_begin();
    if (!atomic_load(&attend.stopping))
        gas_work_drain(pg.job, PG_ATTEND_MOST, PG_ATTEND_LIMIT_NS);
    *attached = PyEval_SaveThread();
    pg_share_end(asked);
}

/* Inside pg_enter(). Detached. */
static void serve_if_due(PyThreadState **attached)
{
    if (!atomic_load(&attend.stopping) &&
        (gas_work_is_ready(pg.job, GAS_WORK_ALL) || pg_section_is_overdue(GAS_FOREVER)))
        serve(attached);
}

#ifdef Py_GIL_DISABLED

/* Lets go of what other threads have dropped and only the executor can free. Detached. */
static void let_go(PyThreadState **attached)
{
    if (!pg_enter_if_running())
        return;
    if (!atomic_load(&attend.stopping) && pg_interp_has_dropped(*attached)) {
        PyEval_RestoreThread(*attached);
        if (pg_interp_let_go() != 0)
            PyErr_WriteUnraisable(NULL);
        *attached = PyEval_SaveThread();
    }
    pg_leave();
}

/* True if the executor was roused; it may not be for long, and looks around meanwhile. Detached. */
static bool await_rousing(PyThreadState **attached)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += GAS_WAIT_SIGNALS;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    if (sem_timedwait(&attend.wake, &end) == 0)
        return true;
    let_go(attached);
    return false;
}

#else

static bool await_rousing(PyThreadState **attached)
{
    (void)attached;
    return sem_wait(&attend.wake) == 0;
}

#endif

static void *executor_main(void *arg)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyThreadState *attached = PyEval_SaveThread();

    (void)arg;
    pg_home_set_executor();
    gas_thread_hasten();
    while (!atomic_load(&attend.stopping)) {
        if (!await_rousing(&attached))
            continue;
        atomic_store(&attend.roused, false);
        if (pg_enter_if_running()) {
            serve_if_due(&attached);
            pg_leave();
        }
        let_main_go_on();
    }
    let_main_go_on();
    PyEval_RestoreThread(attached);
    PyGILState_Release(gil);
    atomic_store(&attend.over, true);
    return NULL;
}

int pg_attend_start(void)
{
    int error;

    atomic_store(&attend.stopping, false);
    atomic_store(&attend.over, false);
    pg_share_start();
    sem_init(&attend.wake, 0, 0);
    sem_init(&attend.attached, 0, 0);
    error = gas_thread_start(&attend.thread, "pygas-executor", executor_main, NULL);
    if (error != 0) {
        sem_destroy(&attend.wake);
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

void pg_attend_stop(uint64_t limit)
{
    uint64_t deadline = limit == GAS_FOREVER ? GAS_FOREVER : gas_clock_now() + limit;
    struct timespec pause = {.tv_nsec = 1000000};

    atomic_store(&attend.stopping, true);
    sem_post(&attend.wake);
    Py_BEGIN_ALLOW_THREADS while (deadline != GAS_FOREVER && !atomic_load(&attend.over) &&
                                  gas_clock_left(deadline) > 0) nanosleep(&pause, NULL);
    if (deadline == GAS_FOREVER || atomic_load(&attend.over)) {
        pthread_join(attend.thread, NULL);
        sem_destroy(&attend.wake);
    } else {
        pthread_detach(attend.thread);
    }
    Py_END_ALLOW_THREADS
}
