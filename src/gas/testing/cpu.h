/* What this process uses of the processor. */
#ifndef GAS_TESTING_CPU_H
#define GAS_TESTING_CPU_H

#include <stdbool.h>

/* All of it so far, in seconds. */
double cpu_seconds(void);

/* True if it is at most `limit` seconds, times patience(), since cpu_seconds() was `before`. Prints
 * how much it is, during `what`; if too much, also who used it: each thread's name, seconds in its
 * life, and how often it slept and was interrupted. */
bool cpu_within(double before, double limit, const char *what);

#endif
