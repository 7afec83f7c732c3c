/*
 * The pool of landing memory: where large buffers that arrive are put. One per process.
 *
 * Memory that the process has just got from the system costs several times as much to fill as
 * memory it has used before, for the page faults. So what is given back is kept for the next
 * transfer: up to a limit, and no longer than some idle time.
 *
 * Any thread, also inside handlers: the pool's lock is a leaf and nothing in here communicates.
 */
#ifndef GAS_POOL_H
#define GAS_POOL_H

#include "config.h"

#include <stddef.h>
#include <stdint.h>

/* Every block begins at a multiple of this, as malloc's do. */
#define GAS_POOL_ALIGN 16

typedef struct gas_pool_stats {
    size_t kept;     /* bytes that are kept and not in use */
    uint64_t reused; /* blocks that were taken from what was kept */
    uint64_t fresh;  /* blocks that came from the system */
} gas_pool_stats_t;

/* From now on memory is kept as `config` says. Before, and after gas_pool_close(), none is. */
void gas_pool_open(const gas_config_t *config);

/* Gives back to the system what is kept. Blocks in use stay valid. */
void gas_pool_close(void);

/* Memory of `length` bytes, aligned, with anything in it; NULL without memory. A large block lies
 * within a cache line as the address `like` does, as far as it is aligned: copying from there is
 * faster. GAS_POOL_ANYWHERE: where malloc would put it. */
#define GAS_POOL_ANYWHERE 16u
void *gas_pool_take(size_t length, uint64_t like);

/* Takes it back. `length` as it was taken. NULL is allowed. */
void gas_pool_give(void *memory, size_t length);

/* Asks for huge pages for memory that is not the pool's, which is about to be filled for the first
 * time, if that pays. */
void gas_pool_advise(void *memory, size_t length);

/* Gives back to the system what has been idle for too long. Nanoseconds until the next time that
 * this is worth calling; GAS_FOREVER (clock.h) when nothing is kept. */
uint64_t gas_pool_sweep(void);

void gas_pool_stats(gas_pool_stats_t *stats);

/* In a forked child, whose parent may have been using the pool at that moment: keeps nothing from
 * then on. */
void gas_pool_after_fork(void);

#endif
