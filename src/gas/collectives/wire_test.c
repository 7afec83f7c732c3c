/* The head of a message of a collective operation. */
#include "wire.h"

#include "../testing/check.h"

#include <stdlib.h>
#include <string.h>

static void check_round_trip(gas_coll_head_t head, size_t length)
{
    unsigned char bytes[GAS_COLL_PACKED_MAX + 1] = {0};
    gas_coll_head_t copy;

    CHECK(gas_coll_head_pack(&head, bytes) == length);
    CHECK(gas_coll_head_get(bytes, length, &copy));
    CHECK(memcmp(&copy, &head, sizeof(head)) == 0);
    for (size_t other = 0; other <= length + 1; other++)
        CHECK(gas_coll_head_get(bytes, other, &copy) == (other == length));
}

static void test_packed(void)
{
    gas_coll_head_t largest = {
        .team = UINT64_MAX,
        .number = UINT32_MAX,
        .signature = {15, 15, 15, 15, UINT32_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX}};

    check_round_trip((gas_coll_head_t){0}, 7);
    check_round_trip((gas_coll_head_t){.number = 70000,
                                       .signature = {.kind = GAS_COLL_ALLREDUCE,
                                                     .algorithm = 3,
                                                     .op = GAS_REDUCE_XOR,
                                                     .type = GAS_TYPE_F64,
                                                     .count = 1}},
                     8);
    check_round_trip(largest, GAS_COLL_PACKED_MAX);
    for (unsigned bit = 0; bit < 64; bit++)
        check_round_trip((gas_coll_head_t){.signature.count = UINT64_C(1) << bit}, 8 + bit / 7);
    largest.signature.algorithm = 16;
    CHECK(gas_coll_head_pack(&largest, (unsigned char[GAS_COLL_PACKED_MAX]){0}) == 0);
}

/* That of an exchange, with more behind it. */
static void test_whole(void)
{
    char bytes[sizeof(gas_coll_head_t) + 8];
    gas_coll_head_t head, copy;

    memset(&head, 0x5A, sizeof(head));
    memset(bytes, 0xA5, sizeof(bytes));
    memcpy(bytes, &head, sizeof(head));
    for (size_t length = sizeof(head); length <= sizeof(bytes); length++) {
        CHECK(gas_coll_head_get(bytes, length, &copy));
        CHECK(memcmp(&copy, &head, sizeof(head)) == 0);
    }
}

/* Whatever arrives is read within its bounds; what is accepted has one meaning. */
static void test_anything(void)
{
    unsigned seed = 1;

    for (unsigned i = 0; i < 300000; i++) {
        size_t length = (size_t)(rand_r(&seed) % (int)sizeof(gas_coll_head_t));
        unsigned char *bytes = malloc(length + 1), again[GAS_COLL_PACKED_MAX];
        gas_coll_head_t head, copy;

        CHECK(bytes != NULL);
        for (size_t at = 0; at < length; at++)
            bytes[at] = (unsigned char)(rand_r(&seed) % (at == 0 ? 40 : 256));
        if (gas_coll_head_get(bytes, length, &head)) {
            size_t packed = gas_coll_head_pack(&head, again);

            CHECK(packed > 0 && packed <= length);
            CHECK(gas_coll_head_get(again, packed, &copy));
            CHECK(memcmp(&copy, &head, sizeof(head)) == 0);
        }
        free(bytes);
    }
}

int main(void)
{
    RUN(test_packed);
    RUN(test_whole);
    RUN(test_anything);
    return 0;
}
