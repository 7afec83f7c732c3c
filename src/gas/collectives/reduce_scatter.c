#include "table.h"

/* Every block goes straight to the member that adds it up, which does so as they come: in step i
 * from the member i below. N - 1 rounds, each block travels once. */
gas_coll_next_t gas_reduce_scatter_pairwise(gas_coll_t *coll)
{
    const gas_coll_args_t *args = &coll->args;
    size_t size = (size_t)coll->size, rank = (size_t)coll->rank, step = coll->round + (size_t)1;
    const char *send = args->send;

    if (coll->round == 0) {
        if (!gas_coll_alloc(coll, &coll->scratch, coll->bytes))
            return GAS_COLL_DONE;
        gas_copy(args->recv, send + rank * coll->bytes, coll->bytes);
    } else {
        gas_reduce(args->op, args->type, args->recv, args->recv, coll->scratch, args->count);
    }
    if (step >= size)
        return GAS_COLL_DONE;
    gas_coll_send(coll, (int)((rank + step) % size), send + (rank + step) % size * coll->bytes,
                  coll->bytes);
    gas_coll_recv(coll, (int)((rank + size - step) % size), coll->scratch, coll->bytes);
    return GAS_COLL_MORE;
}

/* All blocks as one to the first member, by `reduce`, and from there to all. */
static gas_coll_next_t by_the_first(gas_coll_t *coll, gas_coll_round_fn reduce)
{
    uint64_t size = (uint64_t)coll->size;

    if (coll->round == 0) {
        if (coll->rank == 0 && !gas_coll_alloc(coll, &coll->whole, coll->bytes * size))
            return GAS_COLL_DONE;
        coll->target = coll->args.recv;
        coll->args.recv = coll->whole;
        coll->args.root = 0;
        coll->args.count *= size;
        coll->bytes *= size;
    }
    if (reduce(coll) == GAS_COLL_MORE)
        return GAS_COLL_MORE;
    coll->args.count /= size;
    coll->bytes /= size;
    coll->args.send = coll->whole;
    coll->args.recv = coll->target;
    return gas_coll_become(coll, gas_scatter_binomial);
}

/* Up a binomial tree and down again: 2 ceil(log2 N) steps, for short blocks. */
gas_coll_next_t gas_reduce_scatter_tree(gas_coll_t *coll)
{
    return by_the_first(coll, gas_reduce_binomial);
}

/* Along a chain of all members, in their order, then down a tree. */
gas_coll_next_t gas_reduce_scatter_chain(gas_coll_t *coll)
{
    return by_the_first(coll, gas_reduce_chain);
}
