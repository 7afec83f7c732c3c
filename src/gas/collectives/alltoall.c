#include "table.h"

#define AT_A_TIME 8u /* pairs in one round of the pairwise exchange */

/* Block i of the scratch goes to, or came from, the member i above. The blocks whose number has the
 * bit of this round, from the scratch to `second`, or back. */
static size_t pack(gas_coll_t *coll, size_t bit, bool back)
{
    size_t packed = 0;

    for (size_t i = bit; i < (size_t)coll->size; i = (i + 1) | bit) {
        char *block = coll->scratch + i * coll->bytes;
        char *place = coll->second + packed++ * coll->bytes;

        if (back)
            gas_copy(block, place, coll->bytes);
        else
            gas_copy(place, block, coll->bytes);
    }
    return packed * coll->bytes;
}

static size_t half(const gas_coll_t *coll)
{
    return ((size_t)coll->size + 1) / 2 * coll->bytes;
}

/* Bruck: a block whose way is i goes 2^k members up in round k if i has that bit. ceil(log2 N)
 * rounds of about half of the data each: for short blocks. (See allgather.c for the source.) */
gas_coll_next_t gas_alltoall_bruck(gas_coll_t *coll)
{
    size_t size = (size_t)coll->size, rank = (size_t)coll->rank;
    size_t bit = (size_t)1 << coll->round, length;
    const char *send = coll->args.send;
    char *recv = coll->args.recv, *incoming;

    if (coll->round == 0) {
        if (!gas_coll_alloc(coll, &coll->scratch, size * coll->bytes) ||
            !gas_coll_alloc(coll, &coll->second, 2 * half(coll)))
            return GAS_COLL_DONE;
        gas_copy(coll->scratch, send + rank * coll->bytes, (size - rank) * coll->bytes);
        gas_copy(coll->scratch + (size - rank) * coll->bytes, send, rank * coll->bytes);
    } else {
        incoming = coll->second + half(coll);
        gas_copy(coll->second, incoming, coll->state[0]);
        pack(coll, bit >> 1, true);
    }
    if (bit >= size) {
        for (size_t i = 0; i < size; i++)
            gas_copy(recv + (rank + size - i) % size * coll->bytes, coll->scratch + i * coll->bytes,
                     coll->bytes);
        return GAS_COLL_DONE;
    }
    length = pack(coll, bit, false);
    coll->state[0] = length;
    gas_coll_send(coll, (int)((rank + bit) % size), coll->second, length);
    gas_coll_recv(coll, (int)((rank + size - bit) % size), coll->second + half(coll), length);
    return GAS_COLL_MORE;
}

/* Every block goes straight to where it belongs, some at a time: in step i to the member i above,
 * from the one i below. For long blocks. */
gas_coll_next_t gas_alltoall_pairwise(gas_coll_t *coll)
{
    size_t size = (size_t)coll->size, rank = (size_t)coll->rank;
    size_t first = 1 + (size_t)coll->round * AT_A_TIME;
    const char *send = coll->args.send;
    char *recv = coll->args.recv;

    if (coll->round == 0)
        gas_copy(recv + rank * coll->bytes, send + rank * coll->bytes, coll->bytes);
    for (size_t i = first; i < first + AT_A_TIME && i < size; i++) {
        size_t above = (rank + i) % size, below = (rank + size - i) % size;

        gas_coll_recv(coll, (int)below, recv + below * coll->bytes, coll->bytes);
        gas_coll_send(coll, (int)above, send + above * coll->bytes, coll->bytes);
    }
    return first + AT_A_TIME < size ? GAS_COLL_MORE : GAS_COLL_DONE;
}
