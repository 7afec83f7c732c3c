#include "table.h"

/* Bruck: in round k send the 2^k blocks held to the member 2^k below, get as many from the one 2^k
 * above; ceil(log2 N) rounds for any N. For short blocks. J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal,
 * D. Weathersby, "Efficient algorithms for all-to-all communications in multiport message-passing
 * systems", IEEE Transactions on Parallel and Distributed Systems 8 (1997). */
gas_coll_next_t gas_allgather_bruck(gas_coll_t *coll)
{
    size_t size = (size_t)coll->size, rank = (size_t)coll->rank;
    size_t distance = (size_t)1 << coll->round;
    size_t blocks, own = size - rank;
    char *recv = coll->args.recv;

    if (coll->round == 0) {
        if (!gas_coll_alloc(coll, &coll->scratch, size * coll->bytes))
            return GAS_COLL_DONE;
        gas_copy(coll->scratch, coll->args.send, coll->bytes);
    }
    if (distance >= size) {
        /* Block i of the scratch is that of the member i above. */
        gas_copy(recv + rank * coll->bytes, coll->scratch, own * coll->bytes);
        gas_copy(recv, coll->scratch + own * coll->bytes, rank * coll->bytes);
        return GAS_COLL_DONE;
    }
    blocks = distance < size - distance ? distance : size - distance;
    gas_coll_send(coll, (int)((rank + size - distance) % size), coll->scratch,
                  blocks * coll->bytes);
    gas_coll_recv(coll, (int)((rank + distance) % size), coll->scratch + distance * coll->bytes,
                  blocks * coll->bytes);
    return GAS_COLL_MORE;
}

/* Round a ring: N - 1 rounds, in each of which every member passes on the block that it got in the
 * last one. Every block lands where it stays. For long blocks. */
gas_coll_next_t gas_allgather_ring(gas_coll_t *coll)
{
    size_t size = (size_t)coll->size, rank = (size_t)coll->rank;
    char *recv = coll->args.recv;
    size_t sending, receiving;

    if (coll->round == 0)
        gas_copy(recv + rank * coll->bytes, coll->args.send, coll->bytes);
    if (coll->round + 1 >= size)
        return GAS_COLL_DONE;
    sending = (rank + size - coll->round) % size;
    receiving = (rank + size - coll->round - 1) % size;
    gas_coll_send(coll, (int)((rank + 1) % size), recv + sending * coll->bytes, coll->bytes);
    gas_coll_recv(coll, (int)((rank + size - 1) % size), recv + receiving * coll->bytes,
                  coll->bytes);
    return GAS_COLL_MORE;
}
