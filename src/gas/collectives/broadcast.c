#include "table.h"

static unsigned place_of(const gas_coll_t *coll)
{
    unsigned size = (unsigned)coll->size;

    return ((unsigned)coll->rank + size - (unsigned)coll->args.root) % size;
}

static int member_at(const gas_coll_t *coll, unsigned place)
{
    return (int)(((int64_t)place + coll->args.root) % coll->size);
}

/* The block: the root's send, everybody else's recv. */
static char *block_of(gas_coll_t *coll)
{
    return coll->rank == coll->args.root ? (char *)coll->args.send : coll->args.recv;
}

/* Down a binomial tree, the deepest subtree first: ceil(log2 N) steps. */
gas_coll_next_t gas_broadcast_binomial(gas_coll_t *coll)
{
    unsigned place = place_of(coll), size = (unsigned)coll->size;
    unsigned span = gas_tree_span(place, size);

    if (coll->round == 0 && place > 0) {
        gas_coll_recv(coll, member_at(coll, place - span), block_of(coll), coll->bytes);
        return GAS_COLL_MORE;
    }
    for (unsigned bit = span >> 1; bit > 0; bit >>= 1)
        if (place + bit < size)
            gas_coll_send(coll, member_at(coll, place + bit), block_of(coll), coll->bytes);
    return GAS_COLL_DONE;
}

/*
 * Down a tree in parts: a member passes a part on to `arity` others while it receives the next one.
 * Place p hands on to the places arity * p + 1 and following.
 */
static gas_coll_next_t pipeline(gas_coll_t *coll, unsigned arity)
{
    uint64_t part = gas_pipeline_part(coll) * coll->unit;
    uint64_t parts = (coll->bytes + part - 1) / part;
    uint64_t place = place_of(coll), size = (uint64_t)coll->size;
    uint64_t receiving = coll->round;
    uint64_t sending = place == 0 ? coll->round : coll->round - 1ull;
    char *block = block_of(coll);

    if (place > 0 && receiving < parts) {
        uint64_t at = receiving * part;

        gas_coll_recv(coll, member_at(coll, (unsigned)((place - 1) / arity)), block + at,
                      coll->bytes - at < part ? coll->bytes - at : part);
    }
    for (uint64_t child = place * arity + 1;
         sending < parts && child <= place * arity + arity && child < size; child++) {
        uint64_t at = sending * part;

        gas_coll_send(coll, member_at(coll, (unsigned)child), block + at,
                      coll->bytes - at < part ? coll->bytes - at : part);
    }
    return coll->round < parts ? GAS_COLL_MORE : GAS_COLL_DONE;
}

/* Down a binary tree: about log2 N steps until all are busy, and then half as fast as one copy, as
 * each member sends everything twice. */
gas_coll_next_t gas_broadcast_binary(gas_coll_t *coll)
{
    return pipeline(coll, 2);
}

/* Down a chain: N - 2 steps until all are busy, and then as fast as one copy. */
gas_coll_next_t gas_broadcast_chain(gas_coll_t *coll)
{
    return pipeline(coll, 1);
}
