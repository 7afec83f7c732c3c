/* Small numbers on the wire. */
#include "numbers.h"

#include "../gas/testing/check.h"

#include <string.h>

static void check_round_trip(uint64_t number, unsigned bits)
{
    uint8_t bytes[16] = {0};
    size_t length = (size_t)(pg_number_put(bytes, number) - bytes);
    const uint8_t *at = bytes;
    uint64_t copy;

    CHECK(length <= PG_NUMBER_ROOM(bits));
    CHECK(pg_number_get(&at, bytes + sizeof(bytes), bits, &copy));
    CHECK(copy == number && at == bytes + length);
    for (size_t shorter = 0; shorter < length; shorter++) {
        at = bytes;
        CHECK(!pg_number_get(&at, bytes + shorter, bits, &copy));
        CHECK(at <= bytes + shorter);
    }
}

static void test_round_trips(void)
{
    for (unsigned bits = 1; bits <= 56; bits++) {
        uint64_t most = ((uint64_t)1 << bits) - 1;

        check_round_trip(0, bits);
        check_round_trip(1, bits);
        check_round_trip(most / 2, bits);
        check_round_trip(most / 2 + 1, bits);
        check_round_trip(most, bits);
    }
}

static void test_too_large(void)
{
    for (unsigned bits = 1; bits <= 56; bits++) {
        uint8_t bytes[16];
        const uint8_t *at = bytes, *end = pg_number_put(bytes, (uint64_t)1 << bits);
        uint64_t number;

        CHECK(!pg_number_get(&at, end, bits, &number));
        at = bytes;
        CHECK(pg_number_get(&at, end, bits + 1 <= 56 ? bits + 1 : 56, &number) == (bits < 56));
    }
}

static bool is_read(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t number;

    return pg_number_get(&at, at + length, 32, &number);
}

static void test_longer_than_they_have_to_be(void)
{
    CHECK(is_read("\x00", 1));
    CHECK(!is_read("\x80\x00", 2));
    CHECK(!is_read("\x81\x00", 2));
    CHECK(!is_read("\xFF\xFF\xFF\xFF\x80\x00", 6));
    CHECK(is_read("\xFF\xFF\xFF\xFF\x0F", 5));
    CHECK(!is_read("\xFF\xFF\xFF\xFF\x1F", 5));
    CHECK(!is_read("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12));
}

static void test_ids(void)
{
    static const uint64_t ids[] = {0,          1,         127, 128, 0x100000000, 0x7F00000080,
                                   UINT64_MAX, 0xFFFFFFFF};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        uint8_t bytes[PG_ID_ROOM];
        const uint8_t *at = bytes, *end = pg_id_put(bytes, ids[i]);
        uint64_t id;

        CHECK(end <= bytes + PG_ID_ROOM);
        CHECK(pg_id_get(&at, end, &id) && id == ids[i] && at == end);
        at = bytes;
        CHECK(!pg_id_get(&at, end - 1, &id));
    }
}

int main(void)
{
    RUN(test_round_trips);
    RUN(test_too_large);
    RUN(test_longer_than_they_have_to_be);
    RUN(test_ids);
    return 0;
}
