/* The head of a message in the UCX conduit. */
#include "ucx_wire.h"

#include "../../testing/check.h"

static void check_round_trip(wire_head_t head, size_t length)
{
    char bytes[WIRE_HEAD_MAX] = {0};
    wire_head_t copy;

    CHECK(wire_head_put(&head, bytes) == length);
    CHECK(wire_head_get(&copy, bytes, sizeof(bytes)) == length);
    CHECK(copy.source == head.source && copy.handler == head.handler);
    CHECK(copy.header_length == head.header_length && copy.bulk_count == head.bulk_count);
    CHECK(copy.id == head.id);
    for (size_t shorter = 0; shorter < length; shorter++)
        CHECK(wire_head_get(&copy, bytes, shorter) == 0);
}

static void test_round_trips(void)
{
    check_round_trip((wire_head_t){0}, WIRE_HEAD_MIN);
    check_round_trip((wire_head_t){.source = WIRE_RANKS_MAX - 1,
                                   .handler = WIRE_HANDLER_MAX,
                                   .header_length = GAS_AM_HEADER_MAX,
                                   .id = UINT32_MAX},
                     WIRE_HEAD_MIN);
    check_round_trip((wire_head_t){.source = 70000,
                                   .handler = 5,
                                   .header_length = 200,
                                   .bulk_count = GAS_AM_BULK_MAX,
                                   .id = 1},
                     WIRE_HEAD_MAX);
}

static void test_ids(void)
{
    static const uint64_t expected[] = {0,          1,           0x7FFFFFFF,       0x80000000,
                                        0xFFFFFFFF, 0x100000000, 0x123456789ABCDEF};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        CHECK(wire_id((uint32_t)expected[i], expected[i]) == expected[i]);
        CHECK(wire_id((uint32_t)(expected[i] + 1000000), expected[i]) == expected[i] + 1000000);
        if (expected[i] >= 5)
            CHECK(wire_id((uint32_t)(expected[i] - 5), expected[i]) == expected[i] - 5);
    }
}

int main(void)
{
    RUN(test_round_trips);
    RUN(test_ids);
    return 0;
}
