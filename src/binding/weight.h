/*
 * Weights: how references to shared objects are counted.
 *
 * The owner of an object mints weight when it sends a reference to another rank. Each rank keeps
 * the weight that it has received for an object (imports.h) and gives a part of it away with every
 * reference that it passes on, without telling the owner; what is left is sent home when the last
 * Proxy of the rank has gone. The owner (exports.h) knows the sum of all that is out, at ranks and
 * in messages: when it has come back, nobody refers to the object any more.
 *
 *   sum held by ranks + sum in messages = weight of the entry      (see tests/refcount_model.py)
 *
 * Weighted reference counting: Bevan (1987), Watson and Watson (1987). Their two weak points are
 * met so: the weight is 64 bits of which a sender gives away a small part, and a rank that is
 * running low asks its owner for more before it has none (Dickman's and Piquer's schemes of 1991
 * avoid the question, but cannot tell when an object whose weight ran out is garbage, or keep
 * ranks that no longer use an object as stations on the way to it).
 */
#ifndef PYGAS_BINDING_WEIGHT_H
#define PYGAS_BINDING_WEIGHT_H

#include <stdint.h>

/* What the owner mints for one reference that it sends. */
#define PG_WEIGHT_MINT ((uint64_t)1 << 32)

/* The most that a rank keeps for one object: what comes on top is sent home. With all of 500,000
 * ranks at it an entry's sum is still below 2^63. */
#define PG_WEIGHT_MOST ((uint64_t)1 << 44)

/* A rank that has less asks for more. */
#define PG_WEIGHT_LOW ((uint64_t)1 << 16)

/* With more than this a rank gives away one part in 256, so that it can pass on thousands of
 * references; with less, one half. But always a power of two, the next one that is not more: so the
 * weight of a reference is one byte in its message (references.h). */
#define PG_WEIGHT_FINE ((uint64_t)1 << 24)

/* What to give away of `weight`, a power of two; 0: it cannot be split. */
static inline uint64_t pg_weight_portion(uint64_t weight)
{
    uint64_t most = weight > PG_WEIGHT_FINE ? weight >> 8 : weight >> 1;

    return most > 0 ? (uint64_t)1 << (63u - (unsigned)__builtin_clzll(most)) : 0;
}

#endif
