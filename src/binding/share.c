/*
 * Design notes. The account is one word: until when the program is to be left alone. A charge moves
 * it on from the end of the slice, so time pays the debt by itself. BURST_NS may be owed before
 * slices have to wait, so single requests do not notice the account.
 *
 * Did a slice of the executor cost the main thread anything? If that was asked to give way, yes.
 * Else it may be asleep, or have come back from a library and waited for the interpreter. That can
 * be seen when the slice is over: whoever waited for the lock is runnable then, which the kernel
 * tells, though with more threads than processors it may take a while to run. Nobody has to look
 * where time has paid already. Processor time that the thread had during a slice (the request
 * slept, the interpreter switched) it was not deprived of.
 */
#include "share.h"

#include "interp.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define BURST_NS 1000000u
#define OWED_MAX_NS 1000000000u

static struct {
    clockid_t main_clock;
    bool has_clock;
    int status_fd; /* the kernel's view of the main thread; -1: none to be had */
    _Atomic(uint64_t) alone_until;
    /* Of the last slice; the executor's own. */
    bool open, asked;
    uint64_t begin, end, main_begin, main_end;
} share;

/* The kernel's number of the main thread; -1 if it cannot be told. */
static long main_number(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *thread =
        threading != NULL ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *number = thread != NULL ? PyObject_GetAttrString(thread, "native_id") : NULL;
    long result = number != NULL ? PyLong_AsLong(number) : -1;

    PyErr_Clear();
    Py_XDECREF(number);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    return result;
}

void pg_share_start(void)
{
    char path[64];

    share.has_clock =
        pthread_getcpuclockid((pthread_t)pg_interp_main_thread(), &share.main_clock) == 0;
    snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", main_number());
    share.status_fd = open(path, O_RDONLY | O_CLOEXEC);
    share.open = false;
    atomic_store(&share.alone_until, 0);
}

/* True if the main thread has something to do; also if that cannot be told. */
static bool main_is_runnable(void)
{
    char text[256], *state;
    ssize_t length = pread(share.status_fd, text, sizeof(text) - 1, 0);

    if (length <= 0)
        return true;
    text[length] = '\0';
    state = strrchr(text, ')'); /* number (name) state ... */
    return state == NULL || state[1] != ' ' || state[2] == 'R';
}

/* Processor time of the main thread. */
static uint64_t main_time(void)
{
    struct timespec now;

    if (!share.has_clock || clock_gettime(share.main_clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How long the program is to be left alone for a slice of this length. */
static uint64_t price(uint64_t length)
{
    uint64_t percent = pg.job->config.request_share;

    return length * (100 - percent) / percent;
}

static void charge(uint64_t length, uint64_t end)
{
    uint64_t until = atomic_load(&share.alone_until), next;

    do {
        next = (until > end ? until : end) + price(length);
        if (next > end + OWED_MAX_NS)
            next = end + OWED_MAX_NS;
    } while (!atomic_compare_exchange_weak(&share.alone_until, &until, next));
}

uint64_t pg_share_owed(void)
{
    uint64_t until = atomic_load_explicit(&share.alone_until, memory_order_relaxed);
    uint64_t now;

    if (until == 0)
        return 0;
    now = gas_clock_now();
    return until > now + BURST_NS ? until - now - BURST_NS : 0;
}

void pg_share_charge(uint64_t length)
{
    charge(length, gas_clock_now());
}

void pg_share_settle(void)
{
    uint64_t length = share.end - share.begin, ran = share.main_end - share.main_begin;

    if (!share.open)
        return;
    share.open = false;
    if (ran >= length || gas_clock_now() >= share.end + price(length - ran))
        return;
    if (share.asked || !pg_interp_lock_looks_free() || main_is_runnable())
        charge(length - ran, share.end);
}

void pg_share_begin(void)
{
    share.begin = gas_clock_now();
    share.main_begin = main_time();
}

void pg_share_end(bool asked)
{
    share.end = gas_clock_now();
    share.main_end = main_time();
    share.asked = asked;
    share.open = true;
}
