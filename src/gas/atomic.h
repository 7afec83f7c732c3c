/*
 * Atomic operations on numbers in a segment, as a processor does them.
 *
 * Every atomic on a segment is done by a processor of its owner's host: by a peer on that host
 * through its own mapping, for the others by the owner, which a message asks. So all of them agree
 * with each other. Those of a network adapter would not: they are not atomic with a processor's.
 */
#ifndef GAS_ATOMIC_H
#define GAS_ATOMIC_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum gas_atomic_kind {
    GAS_ATOMIC_LOAD,
    GAS_ATOMIC_STORE,
    GAS_ATOMIC_ADD, /* modulo 2^32, 2^64, or rounded */
    GAS_ATOMIC_AND, /* and, or, xor: not of doubles */
    GAS_ATOMIC_OR,
    GAS_ATOMIC_XOR,
    GAS_ATOMIC_SWAP,
    GAS_ATOMIC_COMPARE_SWAP, /* doubles are compared by their bits */
    GAS_ATOMIC_KINDS
} gas_atomic_kind_t;

typedef enum gas_atomic_type {
    GAS_ATOMIC_U32, /* signed numbers are the same, in two's complement */
    GAS_ATOMIC_U64,
    GAS_ATOMIC_DOUBLE,
    GAS_ATOMIC_TYPES
} gas_atomic_type_t;

typedef union gas_number {
    uint64_t u64;
    uint32_t u32;
    double f64;
} gas_number_t;

typedef struct gas_atomic {
    gas_atomic_kind_t kind;
    gas_atomic_type_t type;
    gas_number_t operand; /* not for a load */
    gas_number_t compare; /* for a compare-and-swap: stores `operand` if the number equals this */
} gas_atomic_t;

/* Bytes of a number; its offset has to be a multiple of that. */
static inline size_t gas_atomic_width(gas_atomic_type_t type)
{
    return type == GAS_ATOMIC_U32 ? 4 : 8;
}

/* GAS_ERR_INVALID if there is no such operation. */
gas_status_t gas_atomic_check(const gas_atomic_t *atomic);

/* Does a checked operation on the aligned number `at`, sequentially consistent. Returns the number
 * as it was before. Any context. */
gas_number_t gas_atomic_apply(const gas_atomic_t *atomic, void *at);

#endif
