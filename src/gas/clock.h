/* Monotonic time in nanoseconds. */
#ifndef GAS_CLOCK_H
#define GAS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define GAS_FOREVER UINT64_MAX

static inline uint64_t gas_clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The same, up to some milliseconds ago, for a fifth of the time: for times that are compared with
 * tenths of seconds. */
static inline uint64_t gas_clock_recent(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What is left until `deadline`: 0 when it has passed, GAS_FOREVER when there is none. */
static inline uint64_t gas_clock_left(uint64_t deadline)
{
    uint64_t now;

    if (deadline == GAS_FOREVER)
        return GAS_FOREVER;
    now = gas_clock_now();
    return deadline > now ? deadline - now : 0;
}

/* A duration as the system calls want it; GAS_FOREVER is the caller's to treat. */
static inline struct timespec gas_clock_timespec(uint64_t ns)
{
    struct timespec spec = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};

    return spec;
}

#endif
