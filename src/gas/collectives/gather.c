/* Gather, and scatter, which is the same backwards. */
#include "table.h"

#define AT_A_TIME 16u /* members that a root exchanges with directly in one round */

/* Members are placed relative to the root, so that the subtree of a place is in one piece. */
typedef struct tree {
    unsigned place, size, span;
    size_t blocks; /* in the subtree */
} tree_t;

static tree_t tree_of(const gas_coll_t *coll)
{
    unsigned size = (unsigned)coll->size;
    tree_t tree = {.size = size};

    tree.place = ((unsigned)coll->rank + size - (unsigned)coll->args.root) % size;
    tree.span = gas_tree_span(tree.place, size);
    tree.blocks = tree.span < size - tree.place ? tree.span : size - tree.place;
    return tree;
}

static int member_at(const gas_coll_t *coll, unsigned place)
{
    return (int)(((int64_t)place + coll->args.root) % coll->size);
}

static size_t subtree_bytes(const gas_coll_t *coll, const tree_t *tree, unsigned bit)
{
    size_t left = tree->size - tree->place - bit;

    return (bit < left ? bit : left) * coll->bytes;
}

/* From the order of places to that of members, or back. */
static void unturn(const gas_coll_t *coll, char *members, const char *places)
{
    size_t turn = (size_t)coll->args.root * coll->bytes;
    size_t all = (size_t)coll->size * coll->bytes;

    gas_copy(members + turn, places, all - turn);
    gas_copy(members, places + (all - turn), turn);
}

static void turn(const gas_coll_t *coll, char *places, const char *members)
{
    size_t turn = (size_t)coll->args.root * coll->bytes;
    size_t all = (size_t)coll->size * coll->bytes;

    gas_copy(places, members + turn, all - turn);
    gas_copy(places + (all - turn), members, turn);
}

/* Up a binomial tree; inner members collect their subtree's blocks. For short blocks: ceil(log2 N)
 * steps, but a block travels once for each. */
gas_coll_next_t gas_gather_binomial(gas_coll_t *coll)
{
    tree_t tree = tree_of(coll);
    bool direct = coll->args.root == 0 && tree.place == 0;

    if (coll->round == 0) {
        if (!direct && tree.blocks > 1 &&
            !gas_coll_alloc(coll, &coll->scratch, tree.blocks * coll->bytes))
            return GAS_COLL_DONE;
        for (unsigned bit = 1; bit < tree.span && tree.place + bit < tree.size; bit <<= 1)
            gas_coll_recv(coll, member_at(coll, tree.place + bit),
                          (direct ? (char *)coll->args.recv : coll->scratch) + bit * coll->bytes,
                          subtree_bytes(coll, &tree, bit));
        if (direct || tree.blocks > 1)
            gas_copy(direct ? coll->args.recv : coll->scratch, coll->args.send, coll->bytes);
        return direct ? GAS_COLL_DONE : GAS_COLL_MORE;
    }
    if (tree.place == 0)
        unturn(coll, coll->args.recv, tree.blocks > 1 ? coll->scratch : coll->args.send);
    else
        gas_coll_send(coll, member_at(coll, tree.place - tree.span),
                      tree.blocks > 1 ? coll->scratch : coll->args.send, tree.blocks * coll->bytes);
    return GAS_COLL_DONE;
}

/* Everybody sends to the root, which lets some at a time in. Every block travels once. */
gas_coll_next_t gas_gather_linear(gas_coll_t *coll)
{
    unsigned size = (unsigned)coll->size, root = (unsigned)coll->args.root;
    unsigned first = 1 + coll->round * AT_A_TIME;

    if (coll->rank != coll->args.root) {
        gas_coll_send(coll, (int)root, coll->args.send, coll->bytes);
        return GAS_COLL_DONE;
    }
    if (coll->round == 0)
        gas_copy((char *)coll->args.recv + root * coll->bytes, coll->args.send, coll->bytes);
    for (unsigned i = first; i < first + AT_A_TIME && i < size; i++) {
        unsigned member = (root + i) % size;

        gas_coll_recv(coll, (int)member, (char *)coll->args.recv + member * coll->bytes,
                      coll->bytes);
    }
    return first + AT_A_TIME < size ? GAS_COLL_MORE : GAS_COLL_DONE;
}

/* Down a binomial tree, each subtree's blocks in one piece. */
gas_coll_next_t gas_scatter_binomial(gas_coll_t *coll)
{
    tree_t tree = tree_of(coll);
    bool turns = tree.place == 0 && coll->args.root != 0;
    bool collects = turns || (tree.place > 0 && tree.blocks > 1);
    const char *blocks;

    if (coll->round == 0) {
        if (collects && !gas_coll_alloc(coll, &coll->scratch, tree.blocks * coll->bytes))
            return GAS_COLL_DONE;
        if (turns)
            turn(coll, coll->scratch, coll->args.send);
        if (tree.place > 0)
            gas_coll_recv(coll, member_at(coll, tree.place - tree.span),
                          tree.blocks > 1 ? coll->scratch : coll->args.recv,
                          tree.blocks * coll->bytes);
        return GAS_COLL_MORE;
    }
    if (tree.place > 0 && tree.blocks == 1)
        return GAS_COLL_DONE;
    blocks = collects ? coll->scratch : coll->args.send;
    for (unsigned bit = tree.span >> 1; bit > 0; bit >>= 1)
        if (tree.place + bit < tree.size)
            gas_coll_send(coll, member_at(coll, tree.place + bit), blocks + bit * coll->bytes,
                          subtree_bytes(coll, &tree, bit));
    gas_copy(coll->args.recv, blocks, coll->bytes);
    return GAS_COLL_DONE;
}

/* The root sends to everybody, some at a time. */
gas_coll_next_t gas_scatter_linear(gas_coll_t *coll)
{
    unsigned size = (unsigned)coll->size, root = (unsigned)coll->args.root;
    unsigned first = 1 + coll->round * AT_A_TIME;
    const char *blocks = coll->args.send;

    if (coll->rank != coll->args.root) {
        gas_coll_recv(coll, (int)root, coll->args.recv, coll->bytes);
        return GAS_COLL_DONE;
    }
    for (unsigned i = first; i < first + AT_A_TIME && i < size; i++) {
        unsigned member = (root + i) % size;

        gas_coll_send(coll, (int)member, blocks + member * coll->bytes, coll->bytes);
    }
    if (first + AT_A_TIME < size)
        return GAS_COLL_MORE;
    gas_copy(coll->args.recv, blocks + root * coll->bytes, coll->bytes);
    return GAS_COLL_DONE;
}
