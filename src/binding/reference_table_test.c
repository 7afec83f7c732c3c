/* The table of references, as it travels. */
#include "reference_table.h"

#include "../gas/testing/check.h"

#include <stdlib.h>

#define BEFORE 7 /* bytes of a message in front of its table */

typedef enum rounds { NO_ROUNDS, ONE_ROUND, ALL_ROUNDS } rounds_t;

static pg_reference_row_t row_of(uint32_t index, uint32_t count, rounds_t rounds)
{
    pg_reference_row_t row = {.id = (uint64_t)index << 32 | (0xFFFFFFFF - index),
                              .owner = index % 2 > 0 ? index : 0xFFFFFF - index};

    if (index % 66 > 0)
        row.weight = (uint64_t)1 << (index % 66 - 1) % 64;
    if (rounds == ALL_ROUNDS || (rounds == ONE_ROUND && index == count - 1))
        row.round = UINT32_MAX - index;
    return row;
}

/* A message with a table, to be freed; *length: its bytes. */
static char *write(uint32_t count, rounds_t rounds, size_t *length)
{
    char *data = malloc(BEFORE + pg_reference_table_room(count));
    pg_reference_table_t table;

    CHECK(data != NULL);
    memset(data, 0xFF, BEFORE);
    pg_reference_table_begin(&table, data + BEFORE, count);
    for (uint32_t i = count; i-- > 0;) {
        pg_reference_row_t row = row_of(i, count, rounds);

        pg_reference_row_put(&table, i, &row);
    }
    pg_reference_table_end(&table);
    CHECK(table.size <= pg_reference_table_room(count));
    *length = BEFORE + table.size;
    return data;
}

static void check_round_trip(uint32_t count, rounds_t rounds)
{
    pg_reference_table_t table;
    pg_reference_row_t row;
    size_t length;
    char *data = write(count, rounds, &length);

    CHECK(pg_reference_table_find(&table, data, length));
    CHECK(table.count == count && table.size == length - BEFORE && table.rows == data + BEFORE);
    for (uint32_t i = 0; i < count; i++) {
        pg_reference_row_t expected = row_of(i, count, rounds);

        CHECK(pg_reference_row_get(&table, i, &row));
        CHECK(row.id == expected.id && row.weight == expected.weight);
        CHECK(row.owner == expected.owner && row.round == expected.round);
    }
    for (size_t missing = BEFORE + 1; missing <= length; missing++)
        CHECK(!pg_reference_table_find(&table, data + missing, length - missing));
    free(data);
}

static void test_round_trips(void)
{
    static const uint32_t counts[] = {0, 1, 2, 66, 126, 127, 128, 1000};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        for (rounds_t rounds = NO_ROUNDS; rounds <= ALL_ROUNDS; rounds++)
            check_round_trip(counts[i], rounds);
}

static void check_size(uint32_t count, rounds_t rounds, size_t size)
{
    size_t length;

    free(write(count, rounds, &length));
    CHECK(length == BEFORE + size);
}

static void test_sizes(void)
{
    check_size(1, NO_ROUNDS, 13);
    check_size(10, NO_ROUNDS, 121);
    check_size(1, ALL_ROUNDS, 17);
    check_size(126, NO_ROUNDS, 126 * 12 + 1);
    check_size(127, NO_ROUNDS, 127 * 12 + 5);
    check_size(200, ONE_ROUND, 200 * 16 + 5);
}

static void test_weights_that_do_not_exist(void)
{
    pg_reference_table_t table;
    pg_reference_row_t row;
    size_t length;
    char *data = write(2, NO_ROUNDS, &length);

    CHECK(pg_reference_table_find(&table, data, length));
    for (unsigned code = 0; code < 256; code++) {
        pg_reference_place_put(&table, 1, (pg_reference_place_t){9, 5, (uint8_t)code});
        CHECK(pg_reference_row_get(&table, 1, &row) == (code <= 64));
        CHECK(row.owner == 5);
    }
    free(data);
}

static void test_notes_in_the_place_of_rows(void)
{
    pg_reference_table_t table;
    size_t length;
    char *data = write(3, ALL_ROUNDS, &length);
    pg_reference_place_t note = {UINT64_MAX - 1, 0xFFFFFF, PG_REFERENCE_NOTE + 3}, copy;

    CHECK(pg_reference_table_find(&table, data, length));
    pg_reference_place_put(&table, 1, note);
    copy = pg_reference_place_get(&table, 1);
    CHECK(copy.word == note.word && copy.owner == note.owner && copy.code == note.code);
    for (uint32_t i = 0; i < 3; i += 2) {
        pg_reference_row_t row, expected = row_of(i, 3, ALL_ROUNDS);

        CHECK(pg_reference_row_get(&table, i, &row) && row.id == expected.id);
        CHECK(row.owner == expected.owner && row.round == expected.round);
    }
    CHECK(pg_reference_table_find(&table, data, length) && table.count == 3);
    free(data);
}

/* A number that the byte has room for, and one that is larger than the message. */
static void test_numbers_that_do_not_fit(void)
{
    pg_reference_table_t table;
    uint32_t count = 126;
    size_t length;
    char *data = write(127, NO_ROUNDS, &length);

    memcpy(data + length - 1 - sizeof(count), &count, sizeof(count));
    CHECK(!pg_reference_table_find(&table, data, length));
    for (count = 129; count != 0; count = count << 1 | 1) {
        memcpy(data + length - 1 - sizeof(count), &count, sizeof(count));
        CHECK(!pg_reference_table_find(&table, data, length));
        if (count == UINT32_MAX)
            break;
    }
    free(data);
    CHECK(!pg_reference_table_find(&table, "", 0));
}

static void test_any_bytes(void)
{
    srand(1);
    for (int turn = 0; turn < 100000; turn++) {
        size_t length = (size_t)rand() % 64;
        uint8_t *data = malloc(length + 1);
        pg_reference_table_t table;

        CHECK(data != NULL);
        for (size_t i = 0; i < length; i++)
            data[i] = (uint8_t)(rand() % 4 > 0 ? rand() % 8 : rand());
        if (pg_reference_table_find(&table, data, length)) {
            pg_reference_row_t row;

            CHECK(table.size <= length);
            CHECK(table.rows == (char *)data + length - table.size);
            for (uint32_t i = 0; i < table.count; i++)
                pg_reference_row_get(&table, i, &row);
        }
        free(data);
    }
}

int main(void)
{
    RUN(test_round_trips);
    RUN(test_sizes);
    RUN(test_weights_that_do_not_exist);
    RUN(test_notes_in_the_place_of_rows);
    RUN(test_numbers_that_do_not_fit);
    RUN(test_any_bytes);
    return 0;
}
