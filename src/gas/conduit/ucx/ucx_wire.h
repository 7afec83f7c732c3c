/*
 * The UCX conduit: what an AM_HEAD starts with.
 *
 * Design notes. A small message between ranks of one host is handed over in a ring in shared memory
 * (../near/ring.h), of which one cache line has room for 60 bytes; in UCX's own, which has it where
 * rings cannot be had, for 28 bytes of ours, and a message that needs a second line takes half as
 * long again there. So every byte here counts: source and handler share a word, the id
 * is cut to 32 bits (there are never 2^31 messages of one pair out of order), and the count of bulk
 * buffers is there only if there are any.
 */
#ifndef GAS_CONDUIT_UCX_UCX_WIRE_H
#define GAS_CONDUIT_UCX_UCX_WIRE_H

#include "../conduit.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define WIRE_HEAD_MIN 9u
#define WIRE_HEAD_MAX 13u
#define WIRE_RANKS_MAX (1u << 24)

/* The word: source, a bit that says whether there are bulk buffers, handler. */
#define WIRE_HAS_BULK 0x80u
#define WIRE_HANDLER_MAX 0x7Fu

/* A bit of the count of bulk buffers. */
#define WIRE_DIRECT 0x80000000u

typedef struct wire_head {
    uint32_t source;
    uint16_t handler;
    uint16_t header_length; /* up to 255 */
    uint32_t bulk_count;
    bool direct; /* the bulk buffers can be read from where they are (ucx_direct.c) */
    uint32_t id; /* its lower half */
} wire_head_t;

static_assert(GAS_AM_HEADER_MAX <= UINT8_MAX, "a header's length has one byte");

/* Writes it, and returns how many bytes it took: WIRE_HEAD_MIN or WIRE_HEAD_MAX. */
static inline size_t wire_head_put(const wire_head_t *head, char bytes[WIRE_HEAD_MAX])
{
    uint32_t word = head->source << 8 | (head->bulk_count > 0 ? WIRE_HAS_BULK : 0) | head->handler;

    memcpy(bytes, &word, 4);
    memcpy(bytes + 4, &head->id, 4);
    bytes[8] = (char)head->header_length;
    if (head->bulk_count == 0)
        return WIRE_HEAD_MIN;
    word = head->bulk_count | (head->direct ? WIRE_DIRECT : 0);
    memcpy(bytes + 9, &word, 4);
    return WIRE_HEAD_MAX;
}

/* Reads it, and returns how many bytes it took; 0 if there are too few. */
static inline size_t wire_head_get(wire_head_t *head, const char *bytes, size_t length)
{
    uint32_t word;

    if (length < WIRE_HEAD_MIN)
        return 0;
    memcpy(&word, bytes, 4);
    memcpy(&head->id, bytes + 4, 4);
    head->source = word >> 8;
    head->handler = word & WIRE_HANDLER_MAX;
    head->header_length = (uint8_t)bytes[8];
    head->bulk_count = 0;
    head->direct = false;
    if ((word & WIRE_HAS_BULK) == 0)
        return WIRE_HEAD_MIN;
    if (length < WIRE_HEAD_MAX)
        return 0;
    memcpy(&word, bytes + 9, 4);
    head->bulk_count = word & ~WIRE_DIRECT;
    head->direct = (word & WIRE_DIRECT) != 0;
    return WIRE_HEAD_MAX;
}

/* The whole id of which `low` is the lower half and which is near `expected`. */
static inline uint64_t wire_id(uint32_t low, uint64_t expected)
{
    return expected + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)expected);
}

#endif
