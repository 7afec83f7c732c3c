/* One loop for each pair of an operator and a type, made by macros; the compiler vectorizes them.
 */
#include "reduction.h"

#include <complex.h>

typedef void (*loop_fn)(void *out, const void *left, const void *right, size_t count);

#define LOOP(name, c_type, expression)                                                             \
    static void name(void *out_, const void *left_, const void *right_, size_t count)              \
    {                                                                                              \
        c_type *out = out_;                                                                        \
        const c_type *left = left_, *right = right_;                                               \
                                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            c_type a = left[i], b = right[i];                                                      \
                                                                                                   \
            out[i] = (c_type)(expression);                                                         \
        }                                                                                          \
    }

/* Whole numbers are added and multiplied without a sign, as that wraps around in C, and at least as
 * wide as an unsigned int, as narrower ones are widened to int. */
#define WHOLE(name, c_type, wide)                                                                  \
    LOOP(name##_sum, c_type, (wide)a + (wide)b)                                                    \
    LOOP(name##_prod, c_type, (wide)a *(wide)b)                                                    \
    LOOP(name##_min, c_type, a < b ? a : b)                                                        \
    LOOP(name##_max, c_type, a > b ? a : b)                                                        \
    LOOP(name##_and, c_type, a &b)                                                                 \
    LOOP(name##_or, c_type, a | b)                                                                 \
    LOOP(name##_xor, c_type, a ^ b)

#define REAL(name, c_type)                                                                         \
    LOOP(name##_sum, c_type, a + b)                                                                \
    LOOP(name##_prod, c_type, a *b)                                                                \
    LOOP(name##_min, c_type, a != a || a < b ? a : b)                                              \
    LOOP(name##_max, c_type, a != a || a > b ? a : b)

#define COMPLEX(name, c_type)                                                                      \
    LOOP(name##_sum, c_type, a + b)                                                                \
    LOOP(name##_prod, c_type, a *b)

/* A byte that is not 0 is true. */
LOOP(bool_or, uint8_t, (a | b) != 0)
LOOP(bool_and, uint8_t, a != 0 && b != 0)
LOOP(bool_xor, uint8_t, (a != 0) != (b != 0))
WHOLE(i8, int8_t, unsigned)
WHOLE(i16, int16_t, unsigned)
WHOLE(i32, int32_t, uint32_t)
WHOLE(i64, int64_t, uint64_t)
WHOLE(u8, uint8_t, unsigned)
WHOLE(u16, uint16_t, unsigned)
WHOLE(u32, uint32_t, uint32_t)
WHOLE(u64, uint64_t, uint64_t)
REAL(f32, float)
REAL(f64, double)
COMPLEX(c64, float complex)
COMPLEX(c128, double complex)

#define WHOLE_ROW(name)                                                                            \
    {                                                                                              \
        [GAS_REDUCE_SUM] = name##_sum, [GAS_REDUCE_PROD] = name##_prod,                            \
        [GAS_REDUCE_MIN] = name##_min, [GAS_REDUCE_MAX] = name##_max,                              \
        [GAS_REDUCE_AND] = name##_and, [GAS_REDUCE_OR] = name##_or,                                \
        [GAS_REDUCE_XOR] = name##_xor}
#define REAL_ROW(name)                                                                             \
    {[GAS_REDUCE_SUM] = name##_sum,                                                                \
     [GAS_REDUCE_PROD] = name##_prod,                                                              \
     [GAS_REDUCE_MIN] = name##_min,                                                                \
     [GAS_REDUCE_MAX] = name##_max}
#define COMPLEX_ROW(name) {[GAS_REDUCE_SUM] = name##_sum, [GAS_REDUCE_PROD] = name##_prod}

typedef struct type_row {
    const char *name;
    size_t size;
    loop_fn loops[GAS_REDUCE_COUNT];
} type_row_t;

static const type_row_t types[GAS_TYPE_COUNT] = {
    [GAS_TYPE_BYTES] = {"bytes", 1, {NULL}},
    [GAS_TYPE_BOOL] = {"bool",
                       1,
                       {[GAS_REDUCE_SUM] = bool_or,
                        [GAS_REDUCE_PROD] = bool_and,
                        [GAS_REDUCE_MIN] = bool_and,
                        [GAS_REDUCE_MAX] = bool_or,
                        [GAS_REDUCE_AND] = bool_and,
                        [GAS_REDUCE_OR] = bool_or,
                        [GAS_REDUCE_XOR] = bool_xor}},
    [GAS_TYPE_I8] = {"int8", 1, WHOLE_ROW(i8)},
    [GAS_TYPE_I16] = {"int16", 2, WHOLE_ROW(i16)},
    [GAS_TYPE_I32] = {"int32", 4, WHOLE_ROW(i32)},
    [GAS_TYPE_I64] = {"int64", 8, WHOLE_ROW(i64)},
    [GAS_TYPE_U8] = {"uint8", 1, WHOLE_ROW(u8)},
    [GAS_TYPE_U16] = {"uint16", 2, WHOLE_ROW(u16)},
    [GAS_TYPE_U32] = {"uint32", 4, WHOLE_ROW(u32)},
    [GAS_TYPE_U64] = {"uint64", 8, WHOLE_ROW(u64)},
    [GAS_TYPE_F32] = {"float32", 4, REAL_ROW(f32)},
    [GAS_TYPE_F64] = {"float64", 8, REAL_ROW(f64)},
    [GAS_TYPE_C64] = {"complex64", 8, COMPLEX_ROW(c64)},
    [GAS_TYPE_C128] = {"complex128", 16, COMPLEX_ROW(c128)},
    [GAS_TYPE_OBJECT] = {"objects", 1, {NULL}},
};

static const char *const op_names[GAS_REDUCE_COUNT] = {"no operator", "SUM", "PROD", "MIN",
                                                       "MAX",         "AND", "OR",   "XOR"};

size_t gas_type_size(gas_type_t type)
{
    return types[type].size;
}

const char *gas_type_name(gas_type_t type)
{
    return (unsigned)type < GAS_TYPE_COUNT ? types[type].name : "an unknown type";
}

const char *gas_operator_name(gas_operator_t op)
{
    return (unsigned)op < GAS_REDUCE_COUNT ? op_names[op] : "an unknown operator";
}

bool gas_operator_takes(gas_operator_t op, gas_type_t type)
{
    return (unsigned)op < GAS_REDUCE_COUNT && (unsigned)type < GAS_TYPE_COUNT &&
           types[type].loops[op] != NULL;
}

void gas_reduce(gas_operator_t op, gas_type_t type, void *out, const void *left, const void *right,
                size_t count)
{
    types[type].loops[op](out, left, right, count);
}
