/* The head of a message of a collective operation. */
#include "wire.h"

#include "../testing/check.h"

#include <stdlib.h>
#include <string.h>

static void check_round_trip(gas_coll_head_t head, size_t length)
{
    unsigned char bytes[GAS_COLL_HEAD_MAX + 3] = {0};
    bool is_exchange = head.signature.type == GAS_TYPE_OBJECT;
    gas_coll_head_t copy;

    CHECK(gas_coll_head_pack(&head, bytes) == length);
    for (size_t other = 0; other <= length + 3; other++) {
        bool whole = other == length || (is_exchange && other > length);

        CHECK(gas_coll_head_get(bytes, other, &copy) == (whole ? length : 0));
        if (whole)
            CHECK(memcmp(&copy, &head, sizeof(head)) == 0);
        CHECK(gas_coll_head_may_be_longer(bytes, other) == (is_exchange && other > 2));
    }
}

static void test_heads(void)
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
    check_round_trip(
        (gas_coll_head_t){
            .number = 70000,
            .signature = {.kind = GAS_COLL_CHECK, .type = GAS_TYPE_OBJECT, .root = 3, .extra = 4}},
        12);
    check_round_trip(largest, GAS_COLL_HEAD_MAX);
    largest.signature.type = GAS_TYPE_OBJECT;
    check_round_trip(largest, GAS_COLL_HEAD_MAX);
    for (unsigned bit = 0; bit < 64; bit++)
        check_round_trip((gas_coll_head_t){.signature.count = UINT64_C(1) << bit}, 8 + bit / 7);
}

/* Whatever arrives is read within its bounds; what is accepted has one meaning. */
static void test_anything(void)
{
    unsigned seed = 1;

    for (unsigned i = 0; i < 300000; i++) {
        size_t length = (size_t)(rand_r(&seed) % (int)(GAS_COLL_HEAD_MAX + 4)), own;
        unsigned char *bytes = malloc(length + 1), again[GAS_COLL_HEAD_MAX];
        gas_coll_head_t head, copy;

        CHECK(bytes != NULL);
        for (size_t at = 0; at < length; at++)
            bytes[at] = (unsigned char)(rand_r(&seed) % (at == 0 ? 40 : 256));
        own = gas_coll_head_get(bytes, length, &head);
        CHECK(own <= length);
        if (own > 0) {
            size_t packed = gas_coll_head_pack(&head, again);

            CHECK(packed > 0 && packed <= own);
            CHECK(gas_coll_head_get(again, packed, &copy) == packed);
            CHECK(memcmp(&copy, &head, sizeof(head)) == 0);
        }
        free(bytes);
    }
}

int main(void)
{
    RUN(test_heads);
    RUN(test_anything);
    return 0;
}
