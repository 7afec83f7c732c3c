/*
 * Design notes. `asleep` is a token: the owner puts it down (announce), and either a waker or the
 * owner takes it (exchange). A waker that got it owes one write to wake_fd; an owner that did not
 * get it back reads that write, blocking if need be, so no write is left over for the next sleep.
 */
#include "waiter.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

gas_status_t gas_waiter_init(gas_waiter_t *waiter)
{
    memset(waiter, 0, sizeof(*waiter));
    waiter->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (waiter->wake_fd < 0)
        return gas_error(GAS_ERR_IO, "no file descriptor left to wait with (ulimit -n): %s",
                         strerror(errno));
    return GAS_OK;
}

void gas_waiter_fini(gas_waiter_t *waiter)
{
    close(waiter->wake_fd);
}

void gas_waiter_announce(gas_waiter_t *waiter)
{
    atomic_store(&waiter->asleep, true);
}

bool gas_waiter_sleep(gas_waiter_t *waiter, uint64_t timeout)
{
    struct pollfd entry = {.fd = waiter->wake_fd, .events = POLLIN};
    struct timespec limit = gas_clock_timespec(timeout);

    return ppoll(&entry, 1, timeout == GAS_FOREVER ? NULL : &limit, NULL) < 0 && errno == EINTR;
}

void gas_waiter_retract(gas_waiter_t *waiter)
{
    uint64_t count;

    if (!atomic_exchange(&waiter->asleep, false))
        while (read(waiter->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
            ;
}

void gas_waiter_wake(gas_waiter_t *waiter)
{
    uint64_t one = 1;

    if (atomic_exchange(&waiter->asleep, false))
        while (write(waiter->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
}

void gas_event_set(gas_event_t *event)
{
    uintptr_t old = atomic_exchange(&event->word, GAS_EVENT_SET);

    if (old != GAS_EVENT_UNSET && old != GAS_EVENT_SET)
        gas_waiter_wake((gas_waiter_t *)old);
}
