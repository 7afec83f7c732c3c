#include "gas.h"
#include "testing/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static gas_config_t config;

static void reopen(size_t keep, uint64_t idle_ms)
{
    gas_pool_close();
    config.landing_keep = keep;
    config.landing_idle_ms = idle_ms;
    config.huge_min = 2 * MIB;
    gas_pool_open(&config);
}

static size_t kept(void)
{
    gas_pool_stats_t stats;

    gas_pool_stats(&stats);
    return stats.kept;
}

static void test_sizes(void)
{
    reopen(64 * MIB, 1000);
    for (size_t length = 0; length < 20 * MIB; length = length * 5 / 4 + 1) {
        unsigned char *memory = gas_pool_take(length, GAS_POOL_ANYWHERE);

        CHECK(memory != NULL && (uintptr_t)memory % GAS_POOL_ALIGN == 0);
        memset(memory, 0xa5, length);
        gas_pool_give(memory, length);
    }
    CHECK(gas_pool_take(SIZE_MAX, GAS_POOL_ANYWHERE) == NULL &&
          gas_pool_take(SIZE_MAX / 2, GAS_POOL_ANYWHERE) == NULL);
    gas_pool_give(NULL, 5);
    gas_pool_close();
    CHECK(kept() == 0);
}

static void test_reuse(void)
{
    void *first, *second, *third;

    reopen(64 * MIB, 1000);
    first = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    gas_pool_give(first, MIB);
    CHECK(kept() == MIB);
    second = gas_pool_take(MIB - 4096, GAS_POOL_ANYWHERE); /* of the same class */
    CHECK(second == first && kept() == 0);
    third = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    CHECK(third != first);
    gas_pool_give(second, MIB - 4096);
    gas_pool_give(third, MIB);
    CHECK(gas_pool_take(MIB, GAS_POOL_ANYWHERE) == third); /* the youngest first */
    CHECK(gas_pool_take(2 * MIB, GAS_POOL_ANYWHERE) != first);
    CHECK(gas_pool_take(MIB, GAS_POOL_ANYWHERE) == first);
}

/* The same block, in the same class, wherever it begins. */
static void test_like(void)
{
    char *block, *memory;

    reopen(64 * MIB, 1000);
    block = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    gas_pool_give(block, MIB);
    for (uint64_t like = 4096; like < 4096 + 3 * 64; like += 8) {
        memory = gas_pool_take(MIB, like);
        CHECK((uintptr_t)memory % 64 == like / 16 * 16 % 64);
        CHECK(memory >= block && memory < block + 64);
        memset(memory, 0xa5, MIB);
        gas_pool_give(memory, MIB);
        CHECK(kept() == MIB);
    }
    memory = gas_pool_take(1000, 4096 + 32); /* a small one: no matter */
    CHECK((uintptr_t)memory % GAS_POOL_ALIGN == 0);
    gas_pool_give(memory, 1000);
    gas_pool_close();
    memory = gas_pool_take(MIB, 4096 + 48);
    gas_pool_give(memory, MIB); /* not kept: unmapped, all of it */
    CHECK(kept() == 0);
}

static void test_limit(void)
{
    void *blocks[10];

    reopen(5 * MIB, 1000);
    for (int i = 0; i < 10; i++)
        blocks[i] = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    for (int i = 0; i < 10; i++) {
        gas_pool_give(blocks[i], MIB);
        CHECK(kept() == (size_t)(i < 5 ? i + 1 : 5) * MIB);
    }
    for (int i = 9; i >= 5; i--) /* the oldest have gone */
        CHECK(gas_pool_take(MIB, GAS_POOL_ANYWHERE) == blocks[i]);
    CHECK(kept() == 0);
    gas_pool_give(gas_pool_take(6 * MIB, GAS_POOL_ANYWHERE), 6 * MIB); /* too large to be kept */
    CHECK(kept() == 0);
    reopen(0, 1000);
    gas_pool_give(gas_pool_take(MIB, GAS_POOL_ANYWHERE), MIB);
    CHECK(kept() == 0);
}

static void test_idle(void)
{
    void *young, *old;

    reopen(64 * MIB, 1000);
    CHECK(gas_pool_sweep() == GAS_FOREVER);
    old = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    young = gas_pool_take(MIB, GAS_POOL_ANYWHERE);
    gas_pool_give(old, MIB);
    CHECK(gas_pool_sweep() <= 1000000001u);
    usleep(1100000);
    gas_pool_give(young, MIB);
    CHECK(gas_pool_sweep() <= 1000000001u && kept() == MIB);
    usleep(1100000);
    CHECK(gas_pool_sweep() == GAS_FOREVER && kept() == 0);
}

static void test_given_after_the_end(void)
{
    void *memory;

    reopen(64 * MIB, 1000);
    memory = gas_pool_take(3 * MIB, GAS_POOL_ANYWHERE);
    gas_pool_close();
    gas_pool_give(memory, 3 * MIB);
    CHECK(kept() == 0);
}

static atomic_uint wrong;

static void *churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg * 2654435761u + 1;
    unsigned char *held[8] = {NULL};
    size_t length[8] = {0};

    for (int i = 0; i < 20000; i++) {
        unsigned slot = (seed = seed * 1103515245u + 12345u) >> 16 & 7;

        if (held[slot] != NULL) {
            if (held[slot][0] != slot || held[slot][length[slot] - 1] != slot)
                atomic_fetch_add(&wrong, 1);
            gas_pool_give(held[slot], length[slot]);
            held[slot] = NULL;
        } else {
            length[slot] = (size_t)1 + ((seed = seed * 1103515245u + 12345u) >> 8 & 0xfffff);
            held[slot] = gas_pool_take(length[slot], seed);
            held[slot][0] = held[slot][length[slot] - 1] = (unsigned char)slot;
        }
        if (i % 500 == 0)
            gas_pool_sweep();
    }
    for (unsigned slot = 0; slot < 8; slot++)
        gas_pool_give(held[slot], length[slot]);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];

    reopen(4 * MIB, 1);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&wrong) == 0 && kept() <= 4 * MIB);
    gas_pool_close();
    CHECK(kept() == 0);
}

int main(void)
{
    RUN(test_sizes);
    RUN(test_reuse);
    RUN(test_like);
    RUN(test_limit);
    RUN(test_idle);
    RUN(test_given_after_the_end);
    RUN(test_threads);
    return 0;
}
