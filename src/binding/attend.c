/*
 * Design notes. `pending` is set from the moment a pending call is queued until it runs, so there
 * is at most one. A kick never blocks: it may come from inside a handler. The executor keeps one
 * thread state for its life: attaching with it is several times faster than with a fresh one. The
 * runtime kicks again every fraction of a millisecond while work is left, so no kick has to be
 * remembered, and a lock that looked free wrongly costs one idle wake-up.
 */
#include "attend.h"

#include "interp.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#define UNSERVED_NS 1000000u /* a pending call that waits longer is not going to be served soon */

static struct {
    atomic_bool pending; /* a pending call is queued */
    atomic_bool stopping;
    atomic_bool roused; /* `wake` was posted and the executor has not looked yet */
    sem_t wake;
    pthread_t thread;
} attend;

static void rouse_executor(void)
{
    if (!atomic_exchange(&attend.roused, true))
        sem_post(&attend.wake);
}

/* False in a frame whose globals have restricted builtins, such as the methods that
 * collections.namedtuple() makes: there C code cannot import, and so not unpickle. */
static bool can_import_here(void)
{
    PyObject *builtins = PyEval_GetBuiltins();

    return builtins == NULL || !PyDict_Check(builtins) ||
           PyDict_GetItemString(builtins, "__import__") != NULL;
}

static int serve_pending(void *arg)
{
    (void)arg;
    atomic_store(&attend.pending, false);
    if (atomic_load(&attend.stopping) || atomic_load(&pg.phase) != PG_RUNNING)
        return 0;
    if (gas_work_is_draining(pg.job))
        return 0; /* between two bytecodes of a request: the next one starts when that is over */
    if (can_import_here())
        gas_work_drain(pg.job, PG_ATTEND_MOST, PG_ATTEND_LIMIT_NS);
    else
        rouse_executor();
    return 0;
}

void pg_attend_kick(void *arg, uint64_t age)
{
    bool queued = true;

    (void)arg;
    if (atomic_load(&attend.stopping))
        return;
    if (!atomic_exchange(&attend.pending, true)) {
        queued = Py_AddPendingCall(serve_pending, NULL) == 0;
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
        if (atomic_load(&attend.stopping) || atomic_load(&pg.phase) != PG_RUNNING ||
            !gas_work_is_ready(pg.job))
            continue;
        PyEval_RestoreThread(attached);
        gas_work_drain(pg.job, PG_ATTEND_MOST, PG_ATTEND_LIMIT_NS);
        attached = PyEval_SaveThread();
    }
    PyEval_RestoreThread(attached);
    PyGILState_Release(gil);
    return NULL;
}

int pg_attend_start(void)
{
    sigset_t all, before;
    int error;

    atomic_store(&attend.stopping, false);
    sem_init(&attend.wake, 0, 0);
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

void pg_attend_stop(void)
{
    atomic_store(&attend.stopping, true);
    sem_post(&attend.wake);
    Py_BEGIN_ALLOW_THREADS pthread_join(attend.thread, NULL);
    Py_END_ALLOW_THREADS sem_destroy(&attend.wake);
}
