#include "../gas/testing/check.h"
#include "leaf_lock.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define TIMES 200000

static pg_leaf_lock_t lock;
static long count, twice; /* guarded by it */

static void *add(void *arg)
{
    (void)arg;
    for (long i = 0; i < TIMES; i++) {
        pg_leaf_lock_take(&lock);
        CHECK(twice == 2 * count);
        count++;
        twice += 2;
        pg_leaf_lock_give(&lock);
    }
    return NULL;
}

/* More threads than processors, so that one that has it is sometimes not running. */
static void test_one_at_a_time(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(count == THREADS * (long)TIMES);
}

static double processor_time(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

/* Whoever waits for long, as for one that copies a whole table, sleeps meanwhile. */
static void test_long_waits_sleep(void)
{
    double before;
    pthread_t thread;

    count = twice = 0;
    pg_leaf_lock_take(&lock);
    CHECK(pthread_create(&thread, NULL, add, NULL) == 0);
    before = processor_time();
    usleep(300000);
    CHECK(count == 0);
    CHECK(processor_time() - before < 0.15);
    pg_leaf_lock_give(&lock);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(count == TIMES);
}

int main(void)
{
    RUN(test_one_at_a_time);
    RUN(test_long_waits_sleep);
    return 0;
}
