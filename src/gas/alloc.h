/*
 * Memory for what lives for a microsecond.
 */
#ifndef GAS_ALLOC_H
#define GAS_ALLOC_H

#include <stdlib.h>
#include <string.h>

/* Zeroed memory, to be freed with free(); NULL if there is none. In place of calloc(), which in
 * glibc before 2.41 never takes what this thread has just freed: then blocks pile up there, and are
 * merged and split again each time, which costs a tenth of a barrier. Compilers make a calloc() of
 * malloc() and memset(), so the memory's origin is hidden from them. */
static inline void *gas_alloc_zeroed(size_t size)
{
    void *memory = malloc(size);

    __asm__("" : "+r"(memory));
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

#endif
