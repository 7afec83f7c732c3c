#include "reduction.h"

#include "testing/check.h"

#include <math.h>
#include <string.h>

static void test_whole_numbers_wrap_around(void)
{
    int8_t a[] = {127, -128, 5, -1}, b[] = {1, -1, 7, -1}, out[4];
    int32_t big[] = {INT32_MAX}, one[] = {1};
    uint16_t c[] = {65535}, d[] = {65535}, e[1];

    gas_reduce(GAS_REDUCE_SUM, GAS_TYPE_I8, out, a, b, 4);
    CHECK(out[0] == -128 && out[1] == 127 && out[2] == 12 && out[3] == -2);
    gas_reduce(GAS_REDUCE_MIN, GAS_TYPE_I8, out, a, b, 4);
    CHECK(out[0] == 1 && out[1] == -128 && out[2] == 5 && out[3] == -1);
    gas_reduce(GAS_REDUCE_XOR, GAS_TYPE_I8, out, a, b, 4);
    CHECK(out[0] == 126 && out[3] == 0);
    gas_reduce(GAS_REDUCE_SUM, GAS_TYPE_I32, big, big, one, 1);
    CHECK(big[0] == INT32_MIN);
    gas_reduce(GAS_REDUCE_PROD, GAS_TYPE_U16, e, c, d, 1);
    CHECK(e[0] == 1);
}

static void test_nan_is_handed_on(void)
{
    double a[] = {NAN, 1, 3}, b[] = {1, NAN, 2}, out[3];

    gas_reduce(GAS_REDUCE_MIN, GAS_TYPE_F64, out, a, b, 3);
    CHECK(isnan(out[0]) && isnan(out[1]) && out[2] == 2);
    gas_reduce(GAS_REDUCE_MAX, GAS_TYPE_F64, out, a, b, 3);
    CHECK(isnan(out[0]) && isnan(out[1]) && out[2] == 3);
}

static void test_complex_and_truth(void)
{
    float a[] = {1, 2}, b[] = {3, 4}, out[2];
    uint8_t p[] = {0, 1, 0, 2}, q[] = {0, 0, 1, 1}, r[4];

    gas_reduce(GAS_REDUCE_PROD, GAS_TYPE_C64, out, a, b, 1);
    CHECK(out[0] == -5 && out[1] == 10);
    gas_reduce(GAS_REDUCE_SUM, GAS_TYPE_BOOL, r, p, q, 4);
    CHECK(r[0] == 0 && r[1] == 1 && r[2] == 1 && r[3] == 1);
    gas_reduce(GAS_REDUCE_AND, GAS_TYPE_BOOL, r, p, q, 4);
    CHECK(r[0] == 0 && r[1] == 0 && r[2] == 0 && r[3] == 1);
    gas_reduce(GAS_REDUCE_XOR, GAS_TYPE_BOOL, r, p, q, 4);
    CHECK(r[0] == 0 && r[1] == 1 && r[2] == 1 && r[3] == 0);
}

static void test_what_is_defined(void)
{
    CHECK(gas_operator_takes(GAS_REDUCE_XOR, GAS_TYPE_U64) &&
          !gas_operator_takes(GAS_REDUCE_XOR, GAS_TYPE_F32));
    CHECK(gas_operator_takes(GAS_REDUCE_SUM, GAS_TYPE_C128) &&
          !gas_operator_takes(GAS_REDUCE_MAX, GAS_TYPE_C128));
    CHECK(!gas_operator_takes(GAS_REDUCE_SUM, GAS_TYPE_BYTES) &&
          !gas_operator_takes(GAS_REDUCE_NONE, GAS_TYPE_I8));
    CHECK(!gas_operator_takes((gas_operator_t)99, GAS_TYPE_I8) &&
          !gas_operator_takes(GAS_REDUCE_SUM, (gas_type_t)99));
    for (gas_type_t type = 0; type < GAS_TYPE_COUNT; type++)
        CHECK(gas_type_size(type) > 0 && strlen(gas_type_name(type)) > 0);
}

int main(void)
{
    RUN(test_whole_numbers_wrap_around);
    RUN(test_nan_is_handed_on);
    RUN(test_complex_and_truth);
    RUN(test_what_is_defined);
    return 0;
}
