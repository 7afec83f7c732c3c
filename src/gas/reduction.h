/*
 * Reductions of arrays of numbers: named operators on the number types of NumPy and C.
 *
 * All of them are commutative. Whole numbers wrap around. MIN and MAX of floating-point numbers
 * hand on a NaN, as numpy.minimum does. On truth values SUM and MAX mean "or", PROD and MIN "and".
 */
#ifndef GAS_REDUCTION_H
#define GAS_REDUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum gas_operator {
    GAS_REDUCE_NONE,
    GAS_REDUCE_SUM,
    GAS_REDUCE_PROD,
    GAS_REDUCE_MIN,
    GAS_REDUCE_MAX,
    GAS_REDUCE_AND, /* bit by bit, as the next two; not for floating point */
    GAS_REDUCE_OR,
    GAS_REDUCE_XOR,
    GAS_REDUCE_COUNT
} gas_operator_t;

typedef enum gas_type {
    GAS_TYPE_BYTES, /* no numbers: cannot be reduced */
    GAS_TYPE_BOOL,
    GAS_TYPE_I8,
    GAS_TYPE_I16,
    GAS_TYPE_I32,
    GAS_TYPE_I64,
    GAS_TYPE_U8,
    GAS_TYPE_U16,
    GAS_TYPE_U32,
    GAS_TYPE_U64,
    GAS_TYPE_F32,
    GAS_TYPE_F64,
    GAS_TYPE_C64,    /* two F32; SUM and PROD only, as the next */
    GAS_TYPE_C128,   /* two F64 */
    GAS_TYPE_OBJECT, /* the upper layer's: cannot be reduced here */
    GAS_TYPE_COUNT
} gas_type_t;

/* Bytes of one element; 1 for BYTES and OBJECT. */
size_t gas_type_size(gas_type_t type);

/* For messages; never NULL. */
const char *gas_type_name(gas_type_t type);
const char *gas_operator_name(gas_operator_t op);

/* True if gas_reduce() can do it. */
bool gas_operator_takes(gas_operator_t op, gas_type_t type);

/* out[i] = left[i] op right[i]. `out` may be one of the two. Aligned. gas_operator_takes() is true.
 */
void gas_reduce(gas_operator_t op, gas_type_t type, void *out, const void *left, const void *right,
                size_t count);

#endif
