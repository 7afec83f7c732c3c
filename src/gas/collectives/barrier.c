#include "table.h"

/* Dissemination: in round k send to the member 2^k above, hear from the one 2^k below; ceil(log2 N)
 * rounds. D. Hensgen, R. Finkel, U. Manber, "Two algorithms for barrier synchronization",
 * International Journal of Parallel Programming 17 (1988). */
gas_coll_next_t gas_barrier_dissemination(gas_coll_t *coll)
{
    int64_t distance = (int64_t)1 << coll->round;
    int64_t size = coll->size;

    if (distance >= size)
        return GAS_COLL_DONE;
    gas_coll_send(coll, (int)((coll->rank + distance) % size), NULL, 0);
    gas_coll_recv(coll, (int)((coll->rank - distance + size) % size), NULL, 0);
    return GAS_COLL_MORE;
}

/* Up a binomial tree and down again: 2 ceil(log2 N) steps, but only 2 (N - 1) messages, which is
 * less where there are fewer processors than ranks. */
gas_coll_next_t gas_barrier_tree(gas_coll_t *coll)
{
    unsigned place = (unsigned)coll->rank, size = (unsigned)coll->size;
    unsigned span = gas_tree_span(place, size);
    int parent = (int)(place - span);

    for (unsigned bit = span >> 1; bit > 0 && coll->round != 1; bit >>= 1) {
        if (place + bit >= size)
            continue;
        if (coll->round == 0)
            gas_coll_recv(coll, (int)(place + bit), NULL, 0);
        else
            gas_coll_send(coll, (int)(place + bit), NULL, 0);
    }
    if (coll->round == 1 && place > 0) {
        gas_coll_send(coll, parent, NULL, 0);
        gas_coll_recv(coll, parent, NULL, 0);
    }
    return coll->round == 2 ? GAS_COLL_DONE : GAS_COLL_MORE;
}
