#include "leaf_lock.h"

#include <sched.h>
#include <time.h>

#define SPINS 200u   /* looks in which whoever has it, on another processor, will have given it */
#define YIELDS 20u   /* looks after which one that is on this processor has */
#define NAP_NS 50000 /* between further looks */

static void spin(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void rest(unsigned looks)
{
    if (looks < SPINS)
        spin();
    else if (looks < SPINS + YIELDS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

void pg_leaf_lock_await(pg_leaf_lock_t *lock)
{
    unsigned looks = 0;

    do
        while (atomic_load_explicit(&lock->taken, memory_order_relaxed)) {
            rest(looks);
            looks += looks < SPINS + YIELDS ? 1 : 0;
        }
    while (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire));
}
