/*
 * Design notes. Since 6.6 Linux lets whoever runs finish a slice of some milliseconds before it
 * looks at who was woken, unless that one has asked for a shorter slice, as can be done since 6.12.
 * Then a thread that is woken while all processors compute runs after some microseconds instead of
 * one or two thousand. Older kernels take no notice.
 */
#include "thread.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000u /* the shortest that there is */

/* struct sched_attr of the kernel, in its first form; glibc has it since 2.41. */
typedef struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} attributes_t;

int gas_thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    int error;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(*thread, name); /* it stays a thread if it cannot have that */
    return error;
}

void gas_thread_hasten(void)
{
    attributes_t attributes = {0};

    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0 ||
        attributes.policy != SCHED_OTHER)
        return;
    attributes.size = sizeof(attributes);
    attributes.flags = 0;
    attributes.runtime = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &attributes, 0); /* if it may not: then not */
}
