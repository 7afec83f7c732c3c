/*
 * Shapes in a stream: which bytes of the slots are not 0, a small number (numbers.h) with one bit
 * for each; those bytes, the lowest first, as most classes have few; the length of the class's
 * name, a small number; the name.
 */
#ifndef PYGAS_BINDING_SHAPE_WIRE_H
#define PYGAS_BINDING_SHAPE_WIRE_H

#include "shape.h"

/* The most bytes that a shape with that name takes, and what it takes, written to `wire`. */
size_t pg_shape_wire_room(const char *name);
size_t pg_shape_wire_put(uint8_t *wire, const char *name, const uint64_t slots[PG_SHAPE_WORDS]);

/* The shape that stands at *at, before `end`, held; *at: what is behind it. NULL with an exception.
 * Attached. */
pg_shape_t *pg_shape_wire_get(const uint8_t **at, const uint8_t *end);

#endif
