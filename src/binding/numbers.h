/*
 * Small numbers on the wire: groups of seven bits, the lowest first, each in a byte whose top bit
 * says that another one follows. There is one way to write a number; nothing else is read.
 */
#ifndef PYGAS_BINDING_NUMBERS_H
#define PYGAS_BINDING_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

/* The most bytes that a number of that many bits takes. */
#define PG_NUMBER_ROOM(bits) (((bits) + 6) / 7)

/* Returns what is behind it. */
static inline uint8_t *pg_number_put(uint8_t *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (uint8_t)(number | 0x80);
    *at++ = (uint8_t)number;
    return at;
}

/* A number of up to `bits` bits, at most 56, which stands at *at, before `end`; *at: what is behind
 * it. False if there is none, or a larger one, or one that is longer than it has to be. */
static inline bool pg_number_get(const uint8_t **at, const uint8_t *end, unsigned bits,
                                 uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; shift < bits && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;

        *number |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return *number >> bits == 0 && (byte > 0 || shift == 0);
    }
    return false;
}

/* An id of two halves, an index and a generation, both mostly small. */
#define PG_ID_ROOM (2 * PG_NUMBER_ROOM(32))

static inline uint8_t *pg_id_put(uint8_t *at, uint64_t id)
{
    return pg_number_put(pg_number_put(at, (uint32_t)id), id >> 32);
}

/* As pg_number_get(). */
static inline bool pg_id_get(const uint8_t **at, const uint8_t *end, uint64_t *id)
{
    uint64_t index, generation;

    if (!pg_number_get(at, end, 32, &index) || !pg_number_get(at, end, 32, &generation))
        return false;
    *id = generation << 32 | index;
    return true;
}

#endif
