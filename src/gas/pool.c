/*
 * Design notes. A block has the size of its class: eight classes to each power of two, so at most
 * an eighth is too much. Blocks of MAP_MIN and more are mappings of their own, so that they go back
 * to the system when they are freed and can have huge pages; smaller ones are malloc's. Both are
 * kept: malloc trims its heap when a large block at its end is freed, and the next one costs page
 * faults again.
 *
 * What is kept is in a list for each class and in one list by age. The links are in the blocks
 * themselves, whose first page was in use a moment ago. The youngest block of a class is used
 * first, so what is not needed grows old; what is too old, or too much, is freed, oldest first, and
 * without the lock.
 *
 * The size of a class follows from the length alone, so blocks need no header, and a block that was
 * taken before the pool was closed can be given afterwards.
 *
 * The kernel copies a tenth faster when source and destination lie alike within a cache line. So a
 * mapping is a page longer than its block, which begins where that is so: at a multiple of 16 bytes
 * behind MAP_SKEW, but within a line of it. Unless told where the source lies, it begins as a large
 * block of malloc's does.
 */
#include "pool.h"

#include "clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)
#define MAP_MIN ((size_t)256 << 10)
#define MAP_SKEW ((size_t)16)       /* of a block in its mapping, at least */
#define LINE ((size_t)64)           /* of the cache */
#define KEEP_MIN ((size_t)16 << 10) /* below, malloc is as good */
#define CLASSES (64 * 8)

typedef struct block block_t;
struct block {
    block_t *older, *younger; /* by age, over all classes */
    block_t *below, *above;   /* in its class */
    size_t size;
    uint64_t since; /* when it was given back */
};

static struct {
    pthread_mutex_t lock;
    size_t keep; /* the limit of `kept`; the rest is guarded by lock */
    uint64_t idle_ns;
    size_t huge_min;
    block_t *top[CLASSES]; /* the youngest of each class */
    block_t *youngest, *oldest;
    gas_pool_stats_t stats;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* The class of a length and its size; 0 if it is too large for any. */
static size_t class_of(size_t length, unsigned *index)
{
    unsigned power;
    size_t size, step;

    *index = 0;
    if (length > SIZE_MAX / 4)
        return 0;
    if (length < PAGE) /* not kept */
        return length > 0 ? length : 1;
    size = round_up(length, PAGE);
    power = 63u - (unsigned)__builtin_clzll(size);
    step = (size_t)1 << power >> 3;
    step = step > PAGE ? step : PAGE;
    size = round_up(size, step);
    power = 63u - (unsigned)__builtin_clzll(size);
    *index = power * 8 + (unsigned)(size >> (power - 3) & 7);
    return size;
}

/* Huge pages for the part of it that can have them. */
static void advise(void *memory, size_t length)
{
    uintptr_t begin = round_up((uintptr_t)memory, HUGE_PAGE);
    uintptr_t end = ((uintptr_t)memory + length) / HUGE_PAGE * HUGE_PAGE;

    if (begin < end)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

/* A mapping of `size` bytes. */
static void *map_anywhere(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

/* The same that begins where a huge page can. */
static void *map_aligned(size_t size)
{
    size_t room = size + HUGE_PAGE, before, after;
    char *base = map_anywhere(room), *begin;

    if (base == NULL)
        return NULL;
    begin = (char *)round_up((uintptr_t)base, HUGE_PAGE);
    before = (size_t)(begin - base);
    after = room - before - size;
    if (before > 0)
        munmap(base, before);
    if (after > 0)
        munmap(begin + size, after);
    advise(begin, size);
    return begin;
}

static void *block_new(size_t size, size_t huge_min)
{
    char *base;

    if (size < MAP_MIN)
        return malloc(size);
    if (huge_min > 0 && size >= huge_min && size >= HUGE_PAGE)
        base = map_aligned(size + PAGE);
    else
        base = map_anywhere(size + PAGE);
    return base != NULL ? base + MAP_SKEW : NULL;
}

static void block_free(void *block, size_t size)
{
    if (size < MAP_MIN)
        free(block);
    else
        munmap((char *)block - MAP_SKEW, size + PAGE);
}

/* The memory in a block that lies like address `like` within a cache line. */
static void *memory_in(block_t *block, size_t size, uint64_t like)
{
    size_t skew = (size_t)(like - (uintptr_t)block) % LINE;

    return size < MAP_MIN ? block
                          : (void *)((char *)block + skew / GAS_POOL_ALIGN * GAS_POOL_ALIGN);
}

static block_t *block_of(void *memory, size_t size)
{
    if (size < MAP_MIN)
        return memory;
    return (block_t *)((char *)memory - (uintptr_t)memory % PAGE + MAP_SKEW);
}

static void link_locked(block_t *block, unsigned index)
{
    block->younger = NULL;
    block->older = pool.youngest;
    if (block->older != NULL)
        block->older->younger = block;
    else
        pool.oldest = block;
    pool.youngest = block;
    block->above = NULL;
    block->below = pool.top[index];
    if (block->below != NULL)
        block->below->above = block;
    pool.top[index] = block;
    pool.stats.kept += block->size;
}

static void unlink_locked(block_t *block)
{
    unsigned index;

    class_of(block->size, &index);
    if (block->younger != NULL)
        block->younger->older = block->older;
    else
        pool.youngest = block->older;
    if (block->older != NULL)
        block->older->younger = block->younger;
    else
        pool.oldest = block->younger;
    if (block->above != NULL)
        block->above->below = block->below;
    else
        pool.top[index] = block->below;
    if (block->below != NULL)
        block->below->above = block->above;
    pool.stats.kept -= block->size;
}

/* Takes out what is older than `since`, and more until at most `most` bytes are kept: a list by
 * `below`. */
static block_t *evict_locked(uint64_t since, size_t most)
{
    block_t *evicted = NULL;

    while (pool.oldest != NULL && (pool.oldest->since < since || pool.stats.kept > most)) {
        block_t *block = pool.oldest;

        unlink_locked(block);
        block->below = evicted;
        evicted = block;
    }
    return evicted;
}

static void free_all(block_t *block)
{
    while (block != NULL) {
        block_t *below = block->below;

        block_free(block, block->size);
        block = below;
    }
}

void gas_pool_open(const gas_config_t *config)
{
    pthread_mutex_lock(&pool.lock);
    pool.keep = config->landing_keep;
    pool.idle_ns = config->landing_idle_ms * 1000000u;
    pool.huge_min = config->huge_min;
    pthread_mutex_unlock(&pool.lock);
}

void gas_pool_close(void)
{
    block_t *evicted;

    pthread_mutex_lock(&pool.lock);
    pool.keep = 0;
    evicted = evict_locked(0, 0);
    pthread_mutex_unlock(&pool.lock);
    free_all(evicted);
}

void *gas_pool_take(size_t length, uint64_t like)
{
    unsigned index;
    size_t size = class_of(length, &index), huge_min;
    block_t *block;

    if (size == 0)
        return NULL;
    pthread_mutex_lock(&pool.lock);
    block = pool.top[index];
    if (block != NULL) {
        unlink_locked(block);
        pool.stats.reused++;
    } else {
        pool.stats.fresh++;
    }
    huge_min = pool.huge_min;
    pthread_mutex_unlock(&pool.lock);
    if (block == NULL)
        block = block_new(size, huge_min);
    return block != NULL ? memory_in(block, size, like) : NULL;
}

void gas_pool_give(void *memory, size_t length)
{
    unsigned index;
    size_t size = class_of(length, &index);
    block_t *block, *evicted = NULL;

    if (memory == NULL)
        return;
    block = block_of(memory, size);
    pthread_mutex_lock(&pool.lock);
    if (size >= KEEP_MIN && size <= pool.keep) {
        evicted = evict_locked(0, pool.keep - size);
        block->size = size;
        block->since = gas_clock_now();
        link_locked(block, index);
        block = NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    free_all(evicted);
    if (block != NULL)
        block_free(block, size);
}

void gas_pool_advise(void *memory, size_t length)
{
    size_t huge_min;

    pthread_mutex_lock(&pool.lock);
    huge_min = pool.huge_min;
    pthread_mutex_unlock(&pool.lock);
    if (huge_min > 0 && length >= huge_min)
        advise(memory, length);
}

uint64_t gas_pool_sweep(void)
{
    uint64_t now = gas_clock_now(), left = GAS_FOREVER;
    block_t *evicted;

    pthread_mutex_lock(&pool.lock);
    evicted = evict_locked(now > pool.idle_ns ? now - pool.idle_ns : 0, SIZE_MAX);
    if (pool.oldest != NULL)
        left = pool.oldest->since + pool.idle_ns - now + 1;
    pthread_mutex_unlock(&pool.lock);
    free_all(evicted);
    return left;
}

void gas_pool_stats(gas_pool_stats_t *stats)
{
    pthread_mutex_lock(&pool.lock);
    *stats = pool.stats;
    pthread_mutex_unlock(&pool.lock);
}

void gas_pool_after_fork(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pool.keep = 0;
    pool.oldest = pool.youngest = NULL;
    pool.stats.kept = 0;
    memset(pool.top, 0, sizeof(pool.top));
}
