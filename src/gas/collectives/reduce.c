#include "table.h"

/* Up a binomial tree, in parts: a member adds up what its children send, one after the other, and
 * passes the sum on while the children work on the next part. Commutative operators only, as the
 * tree begins at the root. ceil(log2 N) steps, and memory for two parts. state: the part; the bit
 * of the next child; whether a child's part has arrived; whether there is a sum. */
gas_coll_next_t gas_reduce_binomial(gas_coll_t *coll)
{
    enum { PART, BIT, ARRIVED, SUMMED };
    const gas_coll_args_t *args = &coll->args;
    unsigned size = (unsigned)coll->size;
    unsigned place = ((unsigned)coll->rank + size - (unsigned)args->root) % size;
    unsigned span = gas_tree_span(place, size);
    uint64_t part = gas_pipeline_part(coll);
    uint64_t at = coll->state[PART] * part;
    uint64_t count = args->count - at < part ? args->count - at : part;
    const char *own = (const char *)args->send + at * coll->unit;
    bool has_children = span > 1 && place + 1 < size;
    unsigned bit;
    char *sum;

    if (coll->round == 0 && has_children &&
        (!gas_coll_alloc(coll, &coll->second, part * coll->unit) ||
         (place > 0 && !gas_coll_alloc(coll, &coll->scratch, part * coll->unit))))
        return GAS_COLL_DONE;
    if (coll->state[BIT] == 0)
        coll->state[BIT] = 1;
    sum = place == 0 ? (char *)args->recv + at * coll->unit : coll->scratch;
    if (coll->state[ARRIVED] != 0) {
        gas_reduce(args->op, args->type, sum, coll->state[SUMMED] != 0 ? sum : own, coll->second,
                   count);
        coll->state[ARRIVED] = 0;
        coll->state[SUMMED] = 1;
    }
    bit = (unsigned)coll->state[BIT];
    if (bit < span && place + bit < size) {
        coll->state[BIT] = bit << 1;
        coll->state[ARRIVED] = 1;
        gas_coll_recv(coll, (int)(((int64_t)place + bit + args->root) % size), coll->second,
                      count * coll->unit);
        return GAS_COLL_MORE;
    }
    if (place > 0)
        gas_coll_send(coll, (int)(((int64_t)place - span + args->root) % size),
                      coll->state[SUMMED] != 0 ? sum : own, count * coll->unit);
    else if (coll->state[SUMMED] == 0)
        gas_copy(sum, own, count * coll->unit);
    coll->state[PART]++;
    coll->state[BIT] = 0;
    coll->state[SUMMED] = 0;
    return at + count < args->count ? GAS_COLL_MORE : GAS_COLL_DONE;
}

/* From the first member to the last, in parts, each adding its own on the right; from the last one
 * to the root in one piece. The result is that of a loop over the members, to the last bit. */
gas_coll_next_t gas_reduce_chain(gas_coll_t *coll)
{
    const gas_coll_args_t *args = &coll->args;
    int last = coll->size - 1;
    bool is_last = coll->rank == last, is_root = coll->rank == args->root;
    uint64_t part = gas_pipeline_part(coll);
    uint64_t parts = (args->count + part - 1) / part;
    uint64_t receiving = coll->round, sending = coll->rank == 0 ? coll->round : coll->round - 1ull;
    char *whole = is_root ? args->recv : coll->scratch;

    if (coll->round == 0) {
        if (!gas_coll_alloc(coll, &coll->second, part * coll->unit) ||
            !gas_coll_alloc(coll, &coll->scratch,
                            is_last && !is_root ? coll->bytes : part * coll->unit))
            return GAS_COLL_DONE;
        if (coll->size == 1)
            gas_copy(args->recv, args->send, coll->bytes);
    }
    if (coll->size == 1)
        return GAS_COLL_DONE;
    if (coll->round > parts) {
        if (is_last && !is_root)
            gas_coll_send(coll, args->root, coll->scratch, coll->bytes);
        if (is_root && !is_last)
            gas_coll_recv(coll, last, args->recv, coll->bytes);
        return GAS_COLL_DONE;
    }
    if (sending < parts) {
        uint64_t at = sending * part;
        uint64_t count = args->count - at < part ? args->count - at : part;
        const char *own = (const char *)args->send + at * coll->unit;
        char *sum = is_last ? whole + at * coll->unit : coll->scratch;

        if (coll->rank > 0)
            gas_reduce(args->op, args->type, sum, coll->second, own, count);
        if (!is_last)
            gas_coll_send(coll, coll->rank + 1, coll->rank > 0 ? sum : own, count * coll->unit);
    }
    if (coll->rank > 0 && receiving < parts) {
        uint64_t at = receiving * part;
        uint64_t count = args->count - at < part ? args->count - at : part;

        gas_coll_recv(coll, coll->rank - 1, coll->second, count * coll->unit);
    }
    return GAS_COLL_MORE;
}
