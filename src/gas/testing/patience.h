/* Limits of time for tests, which may run under a tool that makes everything slow. */
#ifndef GAS_TESTING_PATIENCE_H
#define GAS_TESTING_PATIENCE_H

#include "../clock.h"
#include "check.h"

#include <stdint.h>
#include <unistd.h>

/* How many times as long as usual things may take, and use the processor: PYGAS_TEST_PATIENCE, 1 if
 * it is not set. */
unsigned patience(void);

/* When so many seconds will be over, times patience(). */
uint64_t deadline_in(unsigned seconds);

/* Waits, asleep and outside of the runtime, until something holds that other threads bring about.
 */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_end = deadline_in(20);                                                      \
                                                                                                   \
        while (!(condition) && gas_clock_left(await_end) > 0)                                      \
            usleep(1000);                                                                          \
        CHECK(condition);                                                                          \
    } while (0)

/* How often to do what needs no fixed number, or how much of it: `count`, less by patience(), but
 * 1. */
unsigned rounds(unsigned count);

#endif
