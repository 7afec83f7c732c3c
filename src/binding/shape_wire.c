#include "shape_wire.h"

#include "codec.h"
#include "numbers.h"

#include <string.h>

#define SLOT_BYTES (PG_SHAPE_WORDS * 8)

/* The longest name of a class that is believed. */
#define NAME_BITS 12
#define NAME_MAX_LENGTH ((1u << NAME_BITS) - 1)

size_t pg_shape_wire_room(const char *name)
{
    return PG_NUMBER_ROOM(SLOT_BYTES) + SLOT_BYTES + PG_NUMBER_ROOM(64) + strlen(name);
}

size_t pg_shape_wire_put(uint8_t *wire, const char *name, const uint64_t slots[PG_SHAPE_WORDS])
{
    uint8_t bytes[SLOT_BYTES], *at;
    size_t used = 0, length = strlen(name);
    uint32_t which = 0;

    for (int i = 0; i < SLOT_BYTES; i++) {
        uint8_t byte = (uint8_t)(slots[i / 8] >> (i % 8 * 8));

        if (byte == 0)
            continue;
        bytes[used++] = byte;
        which |= 1u << i;
    }
    at = pg_number_put(wire, which);
    memcpy(at, bytes, used);
    at = pg_number_put(at + used, length);
    memcpy(at, name, length);
    return (size_t)(at + length - wire);
}

/* Its parts, in the stream. */
typedef struct parts {
    uint64_t which;
    const uint8_t *bytes;
    const char *name;
    size_t length;
} parts_t;

/* True if `length` bytes are there; *at: what is behind them. */
static bool skip(const uint8_t **at, const uint8_t *end, size_t length)
{
    if ((size_t)(end - *at) < length)
        return false;
    *at += length;
    return true;
}

static bool get_parts(const uint8_t **at, const uint8_t *end, parts_t *parts)
{
    uint64_t length;

    if (!pg_number_get(at, end, SLOT_BYTES, &parts->which))
        return false;
    parts->bytes = *at;
    if (!skip(at, end, (size_t)__builtin_popcountll(parts->which)) ||
        !pg_number_get(at, end, NAME_BITS, &length))
        return false;
    parts->name = (const char *)*at;
    parts->length = (size_t)length;
    return skip(at, end, parts->length);
}

/* False if there are bytes that need not have been sent. */
static bool get_slots(const parts_t *parts, uint64_t *slots)
{
    const uint8_t *byte = parts->bytes;

    memset(slots, 0, PG_SHAPE_WORDS * sizeof(*slots));
    for (int i = 0; i < SLOT_BYTES; i++) {
        if ((parts->which >> i & 1) == 0)
            continue;
        if (*byte == 0)
            return false;
        slots[i / 8] |= (uint64_t)*byte++ << (i % 8 * 8);
    }
    return true;
}

/* A new reference; NULL if it is not one that a class can have. */
static PyObject *get_name(const parts_t *parts)
{
    PyObject *name = NULL;

    if (memchr(parts->name, '\0', parts->length) == NULL)
        name = PyUnicode_DecodeUTF8(parts->name, (Py_ssize_t)parts->length, NULL);
    PyErr_Clear();
    return name;
}

pg_shape_t *pg_shape_wire_get(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = *at;
    uint64_t slots[PG_SHAPE_WORDS];
    PyObject *name = NULL;
    pg_shape_t *shape;
    const char *text;
    parts_t parts;

    if (get_parts(at, end, &parts)) {
        shape = pg_shape_known(start, (size_t)(*at - start));
        if (shape != NULL)
            return shape;
        if (get_slots(&parts, slots))
            name = get_name(&parts);
    }
    text = name != NULL ? PyUnicode_AsUTF8(name) : NULL;
    if (text != NULL)
        shape = pg_shape_get(text, slots);
    else
        shape = (pg_shape_t *)pg_malformed("the class of a shared object");
    Py_XDECREF(name);
    return shape;
}
