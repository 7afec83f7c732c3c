/*
 * The head of a message of a collective operation as it travels.
 *
 * Design notes. A message of up to 60 bytes, the conduit's 9 among them, crosses shared memory in
 * one cache line (conduit/ucx/ucx_wire.h), and each further line takes longer. So what is
 * mostly 0 is left away, and small numbers take a byte: a barrier's head has 7 bytes, that of an
 * allreduce of one number 8. What the layer above adds to that of an exchange stands behind it.
 */
#ifndef GAS_COLLECTIVES_WIRE_H
#define GAS_COLLECTIVES_WIRE_H

#include "../collective.h"

typedef struct gas_coll_head {
    uint64_t team;
    uint32_t number;
    uint32_t reserved; /* 0 */
    gas_coll_signature_t signature;
} gas_coll_head_t;

/* Packs `head`, and returns how many bytes that took. What has an enumeration, and the algorithm,
 * must be below 16. */
size_t gas_coll_head_pack(const gas_coll_head_t *head, unsigned char bytes[GAS_COLL_HEAD_MAX]);

/* Reads the head that a header begins with, and returns its length. 0 if there is none, or if more
 * follows it in a message that is not of an exchange. */
size_t gas_coll_head_get(const void *header, size_t length, gas_coll_head_t *head);

/* False if it is no message of an exchange: a look at one byte, for those who see all messages. */
bool gas_coll_head_may_be_longer(const void *header, size_t length);

#endif
