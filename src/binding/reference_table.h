/*
 * The table of references in a message (references.h), as it travels.
 *
 * A row has 12 bytes: the id of the object (64 bits), its owner (24 bits) and the weight (8 bits:
 * 0, or one more than its logarithm, as weights that travel so are powers of two). Behind the rows
 * stand their rounds, 32 bits each, unless all are 0, as they are as long as no rank has failed.
 * The last byte says how many rows there are, and whether rounds; a number that is too large for it
 * stands before it, with 32 bits. Nothing is aligned.
 *
 * All rows have the same size so that, when the message has arrived, what has become of each can be
 * noted in its place, which needs room for a pointer and no other memory.
 */
#ifndef PYGAS_BINDING_REFERENCE_TABLE_H
#define PYGAS_BINDING_REFERENCE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PG_REFERENCE_ROW 12
#define PG_REFERENCE_ROUND 4

/* All zero: there is none. */
typedef struct pg_reference_table {
    char *rows;
    char *rounds; /* NULL: all are 0 */
    uint32_t count;
    uint32_t next;      /* for pg_references_take(): where it looks first */
    uint32_t any_round; /* of one that is being written: 0 if all are */
    size_t size;        /* of all of it, in bytes */
} pg_reference_table_t;

/* The most bytes that a table of `count` rows takes. */
static inline size_t pg_reference_table_room(uint32_t count)
{
    return (size_t)count * (PG_REFERENCE_ROW + PG_REFERENCE_ROUND) + sizeof(count) + 1;
}

/* A table to be written into `memory`, which has that room: every row has to be put, in any order,
 * before pg_reference_table_end(), after which `table->size` bytes are to be sent. */
static inline void pg_reference_table_begin(pg_reference_table_t *table, char *memory,
                                            uint32_t count)
{
    *table = (pg_reference_table_t){
        .rows = memory, .rounds = memory + (size_t)count * PG_REFERENCE_ROW, .count = count};
}

void pg_reference_table_end(pg_reference_table_t *table);

/* The table at the end of `data`. False if there is no sound one; the rows are not looked at. */
bool pg_reference_table_find(pg_reference_table_t *table, const void *data, size_t length);

/* What is in the place of a row: a row without its round, or what it has been overwritten with. */
typedef struct pg_reference_place {
    uint64_t word;
    uint32_t owner; /* 24 bits */
    uint8_t code;   /* of a row: the weight; from PG_REFERENCE_NOTE on something else */
} pg_reference_place_t;

#define PG_REFERENCE_NOTE 0x80

static inline void pg_reference_place_put(const pg_reference_table_t *table, uint32_t index,
                                          pg_reference_place_t place)
{
    char *at = table->rows + (size_t)index * PG_REFERENCE_ROW;
    uint32_t rest = place.owner | (uint32_t)place.code << 24;

    memcpy(at, &place.word, sizeof(place.word));
    memcpy(at + sizeof(place.word), &rest, sizeof(rest));
}

static inline pg_reference_place_t pg_reference_place_get(const pg_reference_table_t *table,
                                                          uint32_t index)
{
    const char *at = table->rows + (size_t)index * PG_REFERENCE_ROW;
    uint64_t word;
    uint32_t rest;

    memcpy(&word, at, sizeof(word));
    memcpy(&rest, at + sizeof(word), sizeof(rest));
    return (pg_reference_place_t){word, rest & 0xFFFFFF, (uint8_t)(rest >> 24)};
}

typedef struct pg_reference_row {
    uint64_t id;
    uint64_t weight; /* 0 or a power of two */
    uint32_t owner;
    uint32_t round; /* of the sender, when it gave the weight away (recount.h) */
} pg_reference_row_t;

static inline void pg_reference_row_put(pg_reference_table_t *table, uint32_t index,
                                        const pg_reference_row_t *row)
{
    uint8_t code = row->weight > 0 ? (uint8_t)(1 + __builtin_ctzll(row->weight)) : 0;

    pg_reference_place_put(table, index, (pg_reference_place_t){row->id, row->owner, code});
    memcpy(table->rounds + (size_t)index * PG_REFERENCE_ROUND, &row->round, sizeof(row->round));
    table->any_round |= row->round;
}

static inline uint32_t pg_reference_round_get(const pg_reference_table_t *table, uint32_t index)
{
    uint32_t round = 0;

    if (table->rounds != NULL)
        memcpy(&round, table->rounds + (size_t)index * PG_REFERENCE_ROUND, sizeof(round));
    return round;
}

/* False if it is malformed; then only the owner is known. */
static inline bool pg_reference_row_get(const pg_reference_table_t *table, uint32_t index,
                                        pg_reference_row_t *row)
{
    pg_reference_place_t place = pg_reference_place_get(table, index);

    *row = (pg_reference_row_t){
        .id = place.word, .owner = place.owner, .round = pg_reference_round_get(table, index)};
    if (place.code > 64)
        return false;
    row->weight = place.code > 0 ? (uint64_t)1 << (place.code - 1) : 0;
    return true;
}

#endif
