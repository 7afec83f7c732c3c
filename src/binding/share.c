/*
 * Design notes. The account is one word: until when the program is to be left alone. A charge moves
 * it on from the end of the slice, so time pays the debt by itself; the time of the slice does not,
 * or a flood of slices shorter than BURST_NS would pay for each other. BURST_NS may be owed before
 * slices have to wait, so single requests do not notice the account.
 *
 * That is told in the program's own time: a clock that stands still while the main thread is ready
 * to run and other threads have the processors. By the time of day a program that gets a tenth of
 * a processor would be left with a tenth of what it is owed, while the executor, which the kernel
 * runs at once, takes all of its part. The clock goes on while the main thread sleeps, or waits for
 * the interpreter that another thread of the program has: a program that hardly computes does not
 * keep requests waiting. (Nor does one that sleeps at the moment: attend.c.) The kernel counts how
 * long a thread has waited for a processor, but adds a wait only when it is over. The main thread
 * can read the clock exactly. The executor, if the main thread is runnable, may see it in the
 * middle of such a wait. It takes for sure what processor time that had since the clock was last
 * seen, and that it does not wait for longer than WAIT_MAX_NS in one piece. So it is never ahead of
 * the clock by more than what a wait exceeds that.
 *
 * A slice costs its processor time, or if it slept meanwhile (it may have kept the lock) all of its
 * time. Did a slice of the executor cost the main thread anything? If that was asked to give way,
 * yes. Else it may be asleep, or have come back from a library and waited for the interpreter. That
 * can be seen when the slice is over: whoever waited for the lock is runnable then, which the
 * kernel tells, though with more threads than processors it may take a while to run. Nobody has to
 * look where the main thread has had what it would be owed already. Processor time that it had
 * during a slice (the request slept, the interpreter switched) it was not deprived of.
 */
#include "share.h"

#include "interp.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BURST_NS 1000000u
#define OWED_MAX_NS 1000000000u
#define WAIT_MAX_NS 20000000u /* for a processor, in one piece */

/* What a thread has had so far: time of day, processor time, and how often it has slept. */
typedef struct spent {
    uint64_t time, processor;
    long sleeps;
} spent_t;

static struct {
    clockid_t main_clock;
    bool has_clock;
    /* The kernel's view of the main thread, and its count of waits; -1: none to be had. */
    int status_fd, waits_fd;
    _Atomic(uint64_t) alone_until; /* in the program's time */
    spent_t mine;                  /* when a slice in the main thread began; that thread's own */
    /* Of the last slice; the executor's own. */
    bool open, asked;
    spent_t begin;
    uint64_t end, length, main_begin, main_end;
    /* The program's time as last seen and the main thread's processor time then, and the time of
     * day when it was last seen asleep; the executor's own. */
    uint64_t seen, seen_processor, asleep_time;
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

static int open_of_main(long number, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%ld/%s", number, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void pg_share_start(void)
{
    long number = main_number();

    share.has_clock =
        pthread_getcpuclockid((pthread_t)pg_interp_main_thread(), &share.main_clock) == 0;
    share.status_fd = open_of_main(number, "stat");
    share.waits_fd = open_of_main(number, "schedstat");
    share.open = false;
    share.seen = share.seen_processor = share.asleep_time = 0;
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

/* Exact, unlike what getrusage() says: that goes on by ticks. */
static uint64_t processor_time(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t main_time(void)
{
    return share.has_clock ? processor_time(share.main_clock) : 0;
}

/* How long the main thread has waited for a processor so far, but for a wait that is under way; 0
 * if that cannot be told. */
static uint64_t main_waited(void)
{
    char text[80], *waited;
    ssize_t length = pread(share.waits_fd, text, sizeof(text) - 1, 0);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    waited = strchr(text, ' '); /* ran waited times */
    return waited != NULL ? strtoull(waited, NULL, 10) : 0;
}

/* The program's time. The main thread; for others it may be ahead by a wait that is under way. */
static uint64_t program_time(void)
{
    return gas_clock_now() - main_waited();
}

/* The program's time for sure when the main thread has had so much of a processor. The executor. */
static uint64_t program_time_sure(uint64_t processor)
{
    return share.seen + (processor - share.seen_processor);
}

/* The program's time, or somewhat less. The executor. */
static uint64_t program_time_seen(void)
{
    uint64_t processor = main_time(), sure = program_time_sure(processor), now = sure;

    if (!main_is_runnable() || !share.has_clock) {
        share.asleep_time = gas_clock_now();
        now = program_time();
    } else if (gas_clock_now() - share.asleep_time > WAIT_MAX_NS) {
        now = program_time() - WAIT_MAX_NS;
    }
    share.seen_processor = processor;
    return share.seen = now > sure ? now : sure;
}

static spent_t spent_by_me(void)
{
    struct rusage usage = {0};
    spent_t spent = {.time = gas_clock_now(), .processor = processor_time(CLOCK_THREAD_CPUTIME_ID)};

    getrusage(RUSAGE_THREAD, &usage);
    spent.sleeps = usage.ru_nvcsw;
    return spent;
}

/* What a slice between two of them cost. */
static uint64_t length_of(const spent_t *begin, const spent_t *end)
{
    uint64_t time = end->time - begin->time, processor = end->processor - begin->processor;

    return end->sleeps != begin->sleeps || processor > time ? time : processor;
}

/* How long the program is to be left alone for a slice of this length. */
static uint64_t price(uint64_t length)
{
    uint64_t percent = pg.job->config.request_share;

    return length * (100 - percent) / percent;
}

/* Charges for a slice that has ended at `end` and that took so much of the program's time, none of
 * which pays what was owed before. */
static void charge(uint64_t length, uint64_t took, uint64_t end)
{
    uint64_t until = atomic_load(&share.alone_until), next;

    do {
        next = (until + took > end ? until + took : end) + price(length);
        if (next > end + OWED_MAX_NS)
            next = end + OWED_MAX_NS;
    } while (!atomic_compare_exchange_weak(&share.alone_until, &until, next));
}

static uint64_t owed_at(uint64_t now)
{
    uint64_t until = atomic_load_explicit(&share.alone_until, memory_order_relaxed);

    return until > now + BURST_NS ? until - now - BURST_NS : 0;
}

/* ---- slices in the main thread ---- */

uint64_t pg_share_owed_to_me(void)
{
    return atomic_load_explicit(&share.alone_until, memory_order_relaxed) != 0
               ? owed_at(program_time())
               : 0;
}

void pg_share_begin_mine(void)
{
    share.mine = spent_by_me();
}

void pg_share_end_mine(void)
{
    spent_t end = spent_by_me();
    uint64_t length = length_of(&share.mine, &end);

    charge(length, length, program_time());
}

/* ---- slices of the executor ---- */

uint64_t pg_share_owed(void)
{
    return owed_at(program_time_sure(main_time())) > 0 ? owed_at(program_time_seen()) : 0;
}

bool pg_share_is_idle(void)
{
    return !main_is_runnable() && pg_interp_lock_looks_free();
}

/* True if the main thread has had what it is owed for the last slice, and before. */
static bool is_settled(uint64_t debt)
{
    return atomic_load(&share.alone_until) <= program_time_sure(share.main_end) &&
           main_time() - share.main_end >= debt;
}

void pg_share_settle(void)
{
    uint64_t ran = share.main_end - share.main_begin, debt;

    if (!share.open)
        return;
    share.open = false;
    if (ran >= share.length)
        return;
    debt = price(share.length - ran);
    if (is_settled(debt))
        return;
    if (!share.asked && (gas_clock_now() >= share.end + debt ||
                         (pg_interp_lock_looks_free() && !main_is_runnable())))
        return;
    charge(share.length - ran, share.end - share.begin.time - ran, program_time_seen());
}

void pg_share_begin(void)
{
    share.begin = spent_by_me();
    share.main_begin = main_time();
}

void pg_share_end(bool asked)
{
    spent_t end = spent_by_me();

    share.end = end.time;
    share.length = length_of(&share.begin, &end);
    share.main_end = main_time();
    share.asked = asked;
    share.open = true;
}
