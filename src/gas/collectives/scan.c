/* Scan and exscan: what the members up to this one make together, with or without it. */
#include "table.h"

/*
 * Doubling: before round k a member has the sum of 2^k members, itself the last of them; it sends
 * that to the member 2^k above. ceil(log2 N) rounds. W. D. Hillis, G. L. Steele, "Data parallel
 * algorithms", Communications of the ACM 29 (1986). state: whether a sum has arrived; exscan:
 * whether recv has one.
 */
gas_coll_next_t gas_scan_doubling(gas_coll_t *coll)
{
    enum { ARRIVED, HAS };
    const gas_coll_args_t *args = &coll->args;
    bool exclusive = args->kind == GAS_COLL_EXSCAN;
    int64_t distance = (int64_t)1 << coll->round;
    char *sum;

    if (coll->round == 0) {
        if (!gas_coll_alloc(coll, &coll->scratch, coll->bytes) ||
            (exclusive && !gas_coll_alloc(coll, &coll->second, coll->bytes)))
            return GAS_COLL_DONE;
        gas_copy(exclusive ? coll->second : args->recv, args->send, coll->bytes);
    }
    sum = exclusive ? coll->second : args->recv;
    if (coll->state[ARRIVED] != 0) {
        if (exclusive && coll->state[HAS] != 0)
            gas_reduce(args->op, args->type, args->recv, coll->scratch, args->recv, args->count);
        else if (exclusive)
            gas_copy(args->recv, coll->scratch, coll->bytes);
        gas_reduce(args->op, args->type, sum, coll->scratch, sum, args->count);
        coll->state[HAS] = 1;
    }
    if (distance >= coll->size)
        return GAS_COLL_DONE;
    if (coll->rank + distance < coll->size)
        gas_coll_send(coll, (int)(coll->rank + distance), sum, coll->bytes);
    coll->state[ARRIVED] = coll->rank >= distance;
    if (coll->rank >= distance)
        gas_coll_recv(coll, (int)(coll->rank - distance), coll->scratch, coll->bytes);
    return GAS_COLL_MORE;
}

/* From member to member, in parts: N - 1 steps, but each block is sent once, and the sums are those
 * of a loop over the members, to the last bit. */
gas_coll_next_t gas_scan_chain(gas_coll_t *coll)
{
    const gas_coll_args_t *args = &coll->args;
    bool exclusive = args->kind == GAS_COLL_EXSCAN;
    uint64_t part = gas_pipeline_part(coll);
    uint64_t parts = (args->count + part - 1) / part;
    uint64_t receiving = coll->round, sending = coll->rank == 0 ? coll->round : coll->round - 1ull;

    if (coll->round == 0 && (!gas_coll_alloc(coll, &coll->second, part * coll->unit) ||
                             !gas_coll_alloc(coll, &coll->scratch, part * coll->unit)))
        return GAS_COLL_DONE;
    if (sending < parts) {
        uint64_t at = sending * part;
        uint64_t count = args->count - at < part ? args->count - at : part;
        const char *own = (const char *)args->send + at * coll->unit;
        char *recv = (char *)args->recv + at * coll->unit;
        char *sum = exclusive ? coll->scratch : recv;

        if (coll->rank == 0) {
            gas_copy(sum, own, count * coll->unit);
        } else {
            /* In this order: recv may be the same memory as send. */
            gas_reduce(args->op, args->type, sum, coll->second, own, count);
            if (exclusive)
                gas_copy(recv, coll->second, count * coll->unit);
        }
        if (coll->rank + 1 < coll->size)
            gas_coll_send(coll, coll->rank + 1, sum, count * coll->unit);
    }
    if (coll->rank > 0 && receiving < parts) {
        uint64_t at = receiving * part;
        uint64_t count = args->count - at < part ? args->count - at : part;

        gas_coll_recv(coll, coll->rank - 1, coll->second, count * coll->unit);
    }
    return coll->round < parts ? GAS_COLL_MORE : GAS_COLL_DONE;
}
