/*
 * Sources: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication
 * operations in MPICH", International Journal of High Performance Computing Applications 19 (2005);
 * P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations",
 * Journal of Parallel and Distributed Computing 69 (2009).
 *
 * Every result is made by the same operations on all members, so it is the same on all, to the last
 * bit, and the same in every run with as many members and elements.
 */
#include "table.h"

#define RING_PART 262144u /* bytes that go round the ring at a time, for each member */

enum { NOTHING, FROM_BELOW, FROM_ABOVE };

/*
 * Hypercube algorithms want a power of 2. So of the first 2 * `extra` members each even one hands
 * its block to the odd one above, which stands for both, and gets the result at the end. `place`
 * counts those that take part; -1: this member does not.
 */
typedef struct cube {
    int size; /* a power of 2 */
    int extra;
    int place;
} cube_t;

static cube_t cube_of(const gas_coll_t *coll)
{
    cube_t cube = {.size = 1};

    while (cube.size <= coll->size / 2)
        cube.size *= 2;
    cube.extra = coll->size - cube.size;
    if (coll->rank >= 2 * cube.extra)
        cube.place = coll->rank - cube.extra;
    else
        cube.place = coll->rank % 2 == 0 ? -1 : coll->rank / 2;
    return cube;
}

static int member_at(const cube_t *cube, int place)
{
    return place < cube->extra ? 2 * place + 1 : place + cube->extra;
}

/* Round 0 of all: own block into recv, and those too many hand theirs over. */
static gas_coll_next_t fold(gas_coll_t *coll, const cube_t *cube, uint64_t *arrived)
{
    if (cube->place >= 0 && !gas_coll_alloc(coll, &coll->scratch, coll->bytes))
        return GAS_COLL_DONE;
    gas_copy(coll->args.recv, coll->args.send, coll->bytes);
    if (coll->rank < 2 * cube->extra) {
        if (cube->place < 0) {
            gas_coll_send(coll, coll->rank + 1, coll->args.recv, coll->bytes);
        } else {
            gas_coll_recv(coll, coll->rank - 1, coll->scratch, coll->bytes);
            *arrived = FROM_BELOW;
        }
    }
    return GAS_COLL_MORE;
}

/* The last round: those too many get the result. */
static gas_coll_next_t unfold(gas_coll_t *coll, const cube_t *cube)
{
    if (cube->place < 0)
        gas_coll_recv(coll, coll->rank + 1, coll->args.recv, coll->bytes);
    else if (coll->rank < 2 * cube->extra)
        gas_coll_send(coll, coll->rank - 1, coll->args.recv, coll->bytes);
    return GAS_COLL_DONE;
}

/* recv, from element `begin` to `end`, with what arrived at the same place of scratch. */
static void accumulate(gas_coll_t *coll, uint64_t arrived, uint64_t begin, uint64_t end)
{
    char *own = (char *)coll->args.recv + begin * coll->unit;
    char *other = coll->scratch + begin * coll->unit;
    bool below = arrived == FROM_BELOW;

    if (arrived != NOTHING)
        gas_reduce(coll->args.op, coll->args.type, own, below ? other : own, below ? own : other,
                   end - begin);
}

/* Recursive doubling: in round k exchange all with the member whose place differs in bit k.
 * ceil(log2 N) rounds of the whole block: for short ones. state: what arrived in the last round. */
gas_coll_next_t gas_allreduce_doubling(gas_coll_t *coll)
{
    cube_t cube = cube_of(coll);
    uint64_t bit = coll->round > 0 ? UINT64_C(1) << (coll->round - 1) : 0;
    int partner;

    if (coll->round == 0)
        return fold(coll, &cube, &coll->state[0]);
    accumulate(coll, coll->state[0], 0, coll->args.count);
    coll->state[0] = NOTHING;
    if (cube.place < 0 || bit >= (uint64_t)cube.size)
        return unfold(coll, &cube);
    partner = cube.place ^ (int)bit;
    gas_coll_send(coll, member_at(&cube, partner), coll->args.recv, coll->bytes);
    gas_coll_recv(coll, member_at(&cube, partner), coll->scratch, coll->bytes);
    coll->state[0] = partner < cube.place ? FROM_BELOW : FROM_ABOVE;
    return GAS_COLL_MORE;
}

/* Where part `index` of `count` elements begins. */
static uint64_t part_at(uint64_t count, unsigned parts, uint64_t index)
{
    uint64_t each = count / parts, more = count % parts;

    return index * each + (index < more ? index : more);
}

static void exchange(gas_coll_t *coll, int peer, uint64_t send_begin, uint64_t send_end, char *to,
                     uint64_t recv_begin, uint64_t recv_end)
{
    const char *from = coll->args.recv;

    gas_coll_send(coll, peer, from + send_begin * coll->unit, (send_end - send_begin) * coll->unit);
    gas_coll_recv(coll, peer, to + recv_begin * coll->unit, (recv_end - recv_begin) * coll->unit);
}

/* Rabenseifner: reduce and scatter by recursive halving, gather by recursive doubling. 2 log2 N
 * rounds that move 2 blocks in all: for middling ones. state: what arrived in the last round, and
 * the elements of it. */
gas_coll_next_t gas_allreduce_rabenseifner(gas_coll_t *coll)
{
    enum { ARRIVED, BEGIN, END };
    cube_t cube = cube_of(coll);
    unsigned levels = 0, step = coll->round - 1;
    uint64_t place, base, middle, end;
    int partner, peer, span;

    while (1 << levels < cube.size)
        levels++;
    if (coll->round == 0) {
        coll->state[END] = coll->args.count;
        return fold(coll, &cube, &coll->state[ARRIVED]);
    }
    accumulate(coll, coll->state[ARRIVED], coll->state[BEGIN], coll->state[END]);
    coll->state[ARRIVED] = NOTHING;
    if (cube.place < 0 || step >= 2 * levels)
        return unfold(coll, &cube);
    place = (uint64_t)cube.place;
    span = step < levels ? cube.size >> (step + 1) : 1 << (step - levels);
    partner = cube.place ^ span;
    peer = member_at(&cube, partner);
    /* Of 2 * span places, which begin at base, one half is this member's. */
    base = place & ~(2 * (uint64_t)span - 1);
    middle = part_at(coll->args.count, (unsigned)cube.size, base + (uint64_t)span);
    end = part_at(coll->args.count, (unsigned)cube.size, base + 2 * (uint64_t)span);
    base = part_at(coll->args.count, (unsigned)cube.size, base);
    if (step < levels) {
        bool lower = partner > cube.place;

        coll->state[ARRIVED] = lower ? FROM_ABOVE : FROM_BELOW;
        coll->state[BEGIN] = lower ? base : middle;
        coll->state[END] = lower ? middle : end;
        exchange(coll, peer, lower ? middle : base, lower ? end : middle, coll->scratch,
                 coll->state[BEGIN], coll->state[END]);
    } else if (partner > cube.place) {
        exchange(coll, peer, base, middle, coll->args.recv, middle, end);
    } else {
        exchange(coll, peer, middle, end, coll->args.recv, base, middle);
    }
    return GAS_COLL_MORE;
}

/*
 * Round a ring, a part for each member: in N - 1 rounds the parts are added up on their way round,
 * in N - 1 more the sums go round. Moves 2 blocks in all, between neighbours only: for long blocks,
 * which are worked off in slices, so that a part is still in the cache when it is added to, and
 * memory for one part is enough. state: the slice; the round in it.
 */
gas_coll_next_t gas_allreduce_ring(gas_coll_t *coll)
{
    enum { SLICE, ROUND };
    const gas_coll_args_t *args = &coll->args;
    unsigned size = (unsigned)coll->size, rank = (unsigned)coll->rank;
    unsigned round = (unsigned)coll->state[ROUND];
    uint64_t slice = RING_PART / coll->unit * size;
    uint64_t at = coll->state[SLICE] * slice;
    uint64_t count = args->count - at < slice ? args->count - at : slice;
    char *recv = (char *)args->recv + at * coll->unit;
    const char *own = (const char *)args->send + at * coll->unit;
    unsigned sending = (rank + 2 * size - round) % size; /* the same in both halves of the rounds */
    unsigned receiving = (sending + size - 1) % size;
    uint64_t begin = part_at(count, size, sending), end = part_at(count, size, sending + 1);
    uint64_t into = part_at(count, size, receiving), until = part_at(count, size, receiving + 1);

    if (size == 1) {
        gas_copy(args->recv, args->send, coll->bytes);
        return GAS_COLL_DONE;
    }
    if (coll->round == 0 && !gas_coll_alloc(coll, &coll->scratch, (count / size + 1) * coll->unit))
        return GAS_COLL_DONE;
    /* What arrived in the last round is sent in this one, with the own part added to it. */
    if (round > 0 && round < size)
        gas_reduce(args->op, args->type, recv + begin * coll->unit, coll->scratch,
                   own + begin * coll->unit, end - begin);
    gas_coll_send(coll, (int)((rank + 1) % size), (round == 0 ? own : recv) + begin * coll->unit,
                  (end - begin) * coll->unit);
    gas_coll_recv(coll, (int)((rank + size - 1) % size),
                  round < size - 1 ? coll->scratch : recv + into * coll->unit,
                  (until - into) * coll->unit);
    if (++coll->state[ROUND] < 2 * size - 2)
        return GAS_COLL_MORE;
    coll->state[ROUND] = 0;
    coll->state[SLICE]++;
    return at + count < args->count ? GAS_COLL_MORE : GAS_COLL_DONE;
}

/* A chain from the first member to the last, which has the result of a loop over the members, and
 * a chain from there to all. */
gas_coll_next_t gas_allreduce_chain(gas_coll_t *coll)
{
    coll->args.root = coll->size - 1;
    if (gas_reduce_chain(coll) == GAS_COLL_MORE)
        return GAS_COLL_MORE;
    coll->args.send = coll->args.recv;
    return gas_coll_become(coll, gas_broadcast_chain);
}
