/*
 * The head of a message of a collective operation as it travels.
 *
 * Design notes. A message of up to 28 bytes, the conduit's 9 among them, crosses shared memory in
 * one cache line (conduit/ucx/ucx_wire.h), and a second line costs half as long again. So what is
 * mostly 0 is left away, and small numbers take a byte: a barrier's head has 7 bytes, that of an
 * allreduce of one number 8. The whole struct is longer than any packed head; it is what the
 * messages of exchanges begin with, whose layer adds to it.
 */
#ifndef GAS_COLLECTIVES_WIRE_H
#define GAS_COLLECTIVES_WIRE_H

#include "../collective.h"

#define GAS_COLL_PACKED_MAX 38u

/* Packs `head`, and returns how many bytes that took; 0 if it cannot be packed. */
size_t gas_coll_head_pack(const gas_coll_head_t *head, unsigned char bytes[GAS_COLL_PACKED_MAX]);

/* Reads the head that a message begins with, packed or whole. False if there is none. */
bool gas_coll_head_get(const void *header, size_t length, gas_coll_head_t *head);

#endif
