#include "reference_table.h"

/* The last byte. */
#define HAS_ROUNDS 0x01u
#define COUNT_SHIFT 1
#define COUNT_LONG 127u /* the number stands before it */

void pg_reference_table_end(pg_reference_table_t *table)
{
    char *at = table->rounds;
    uint32_t count = table->count < COUNT_LONG ? table->count : COUNT_LONG;

    if (table->any_round != 0)
        at += (size_t)table->count * PG_REFERENCE_ROUND;
    else
        table->rounds = NULL;
    if (count == COUNT_LONG) {
        memcpy(at, &table->count, sizeof(table->count));
        at += sizeof(table->count);
    }
    *at++ = (char)(count << COUNT_SHIFT | (table->rounds != NULL ? HAS_ROUNDS : 0));
    table->size = (size_t)(at - table->rows);
}

bool pg_reference_table_find(pg_reference_table_t *table, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    size_t left = length, each = PG_REFERENCE_ROW;
    uint32_t count;

    if (left < 1)
        return false;
    count = bytes[--left] >> COUNT_SHIFT;
    if ((bytes[left] & HAS_ROUNDS) != 0)
        each += PG_REFERENCE_ROUND;
    if (count == COUNT_LONG) {
        if (left < sizeof(count))
            return false;
        left -= sizeof(count);
        memcpy(&count, bytes + left, sizeof(count));
        if (count < COUNT_LONG)
            return false;
    }
    if (count * (uint64_t)each > left)
        return false;
    left -= count * each;
    *table =
        (pg_reference_table_t){.rows = (char *)data + left, .count = count, .size = length - left};
    if (each > PG_REFERENCE_ROW)
        table->rounds = table->rows + (size_t)count * PG_REFERENCE_ROW;
    return true;
}
