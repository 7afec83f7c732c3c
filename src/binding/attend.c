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
 * `pending` is set from the moment a pending call is queued until it runs, so there is at most one.
 * A kick never blocks: it may come from inside a handler. The executor keeps one thread state for
 * its life: attaching with it is several times faster than with a fresh one. The runtime kicks
 * again every fraction of a millisecond while work is left, so no kick has to be remembered, and a
 * lock that looked free wrongly costs one idle wake-up.
 */
#include "attend.h"

#include "interp.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#define LET_IN_NS 1000000    /* the longest that the main thread stands aside */
#define UNSERVED_NS 1000000u /* a pending call that waits longer is not going to be served soon */

static struct {
    atomic_bool pending; /* a pending call is queued */
    atomic_bool stopping;
    atomic_bool roused; /* `wake` was posted and the executor has not looked yet */
    atomic_bool over;   /* the executor is about to return */
    sem_t wake;
    atomic_bool awaited; /* the main thread stands aside for the executor */
    sem_t attached;      /* posted once for it */
    pthread_t thread;
} attend;

static void rouse_executor(void)
{
    if (!atomic_exchange(&attend.roused, true))
        sem_post(&attend.wake);
}

/* The main thread, attached, between two bytecodes. */
static int let_executor_in(void *arg)
{
    struct timespec limit;

    (void)arg;
    atomic_store(&attend.pending, false);
    if (atomic_load(&attend.stopping) || atomic_load(&pg.phase) != PG_RUNNING ||
        !gas_work_is_ready(pg.job))
        return 0;
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
    Py_END_ALLOW_THREADS return 0;
}

static void let_main_go_on(void)
{
    if (atomic_exchange(&attend.awaited, false))
        sem_post(&attend.attached);
}

void pg_attend_kick(void *arg, uint64_t age)
{
    bool queued = true;

    (void)arg;
    if (atomic_load(&attend.stopping))
        return;
    if (!atomic_exchange(&attend.pending, true)) {
        queued = Py_AddPendingCall(let_executor_in, NULL) == 0;
        if (!queued)
            atomic_store(&attend.pending, false);
    }
    pg_interp_interrupt_main();
    if (!queued || age >= UNSERVED_NS || pg_interp_lock_looks_free())
        rouse_executor();
}

static void *executor_main(void *arg)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyThreadState *attached = PyEval_SaveThread();

    (void)arg;
    while (!atomic_load(&attend.stopping)) {
        if (sem_wait(&attend.wake) != 0 && errno == EINTR)
            continue;
        atomic_store(&attend.roused, false);
        atomic_fetch_add(&pg.users, 1);
        if (!atomic_load(&attend.stopping) && atomic_load(&pg.phase) == PG_RUNNING &&
            gas_work_is_ready(pg.job)) {
            PyEval_RestoreThread(attached);
            let_main_go_on();
            if (!atomic_load(&attend.stopping))
                gas_work_drain(pg.job, PG_ATTEND_MOST, PG_ATTEND_LIMIT_NS);
            attached = PyEval_SaveThread();
        }
        let_main_go_on();
        pg_leave();
    }
    let_main_go_on();
    PyEval_RestoreThread(attached);
    PyGILState_Release(gil);
    atomic_store(&attend.over, true);
    return NULL;
}

int pg_attend_start(void)
{
    sigset_t all, before;
    int error;

    atomic_store(&attend.stopping, false);
    atomic_store(&attend.over, false);
    sem_init(&attend.wake, 0, 0);
    sem_init(&attend.attached, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&attend.thread, NULL, executor_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
