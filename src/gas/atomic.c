#include "atomic.h"

gas_status_t gas_atomic_check(const gas_atomic_t *atomic)
{
    if ((unsigned)atomic->type >= GAS_ATOMIC_TYPES || (unsigned)atomic->kind >= GAS_ATOMIC_KINDS)
        return gas_error(GAS_ERR_INVALID, "there is no atomic operation %d of type %d",
                         (int)atomic->kind, (int)atomic->type);
    if (atomic->type == GAS_ATOMIC_DOUBLE &&
        (atomic->kind == GAS_ATOMIC_AND || atomic->kind == GAS_ATOMIC_OR ||
         atomic->kind == GAS_ATOMIC_XOR))
        return gas_error(GAS_ERR_INVALID, "and, or and xor are for whole numbers, not for doubles");
    return GAS_OK;
}

#define APPLY_INTEGER(name, type)                                                                  \
    static type name(gas_atomic_kind_t kind, type *at, type operand, type compare)                 \
    {                                                                                              \
        switch (kind) {                                                                            \
        case GAS_ATOMIC_STORE:                                                                     \
        case GAS_ATOMIC_SWAP:                                                                      \
            return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);                             \
        case GAS_ATOMIC_ADD:                                                                       \
            return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);                              \
        case GAS_ATOMIC_AND:                                                                       \
            return __atomic_fetch_and(at, operand, __ATOMIC_SEQ_CST);                              \
        case GAS_ATOMIC_OR:                                                                        \
            return __atomic_fetch_or(at, operand, __ATOMIC_SEQ_CST);                               \
        case GAS_ATOMIC_XOR:                                                                       \
            return __atomic_fetch_xor(at, operand, __ATOMIC_SEQ_CST);                              \
        case GAS_ATOMIC_COMPARE_SWAP:                                                              \
            __atomic_compare_exchange_n(at, &compare, operand, 0, __ATOMIC_SEQ_CST,                \
                                        __ATOMIC_SEQ_CST);                                         \
            return compare;                                                                        \
        default:                                                                                   \
            return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                          \
        }                                                                                          \
    }

APPLY_INTEGER(apply_u32, uint32_t)
APPLY_INTEGER(apply_u64, uint64_t)

static gas_number_t add_double(uint64_t *at, double operand)
{
    gas_number_t before, after;

    before.u64 = __atomic_load_n(at, __ATOMIC_RELAXED);
    do
        after.f64 = before.f64 + operand;
    while (!__atomic_compare_exchange_n(at, &before.u64, after.u64, 1, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED));
    return before;
}

gas_number_t gas_atomic_apply(const gas_atomic_t *atomic, void *at)
{
    gas_number_t before = {0};

    if (atomic->type == GAS_ATOMIC_U32)
        before.u32 = apply_u32(atomic->kind, at, atomic->operand.u32, atomic->compare.u32);
    else if (atomic->type == GAS_ATOMIC_DOUBLE && atomic->kind == GAS_ATOMIC_ADD)
        before = add_double(at, atomic->operand.f64);
    else
        before.u64 = apply_u64(atomic->kind, at, atomic->operand.u64, atomic->compare.u64);
    return before;
}
