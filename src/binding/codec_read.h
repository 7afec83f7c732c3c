/*
 * Reading a stream: what the decoder's files share.
 *
 * Functions that return an object give a new reference, or NULL with an exception. Nothing is
 * allocated for a length before it is known that the bytes for it are there.
 */
#ifndef PYGAS_BINDING_CODEC_READ_H
#define PYGAS_BINDING_CODEC_READ_H

#include "codec.h"
#include "codec_format.h"

#include <stdbool.h>
#include <string.h>

#define PG_READER_ROOM 24

typedef struct pg_reader {
    const uint8_t *at, *end;
    const Py_buffer *views;
    Py_ssize_t view_count, views_used;
    PyObject *proxies; /* a list, or NULL */
    struct pg_reference_table *references;
    bool adopts; /* the objects of `views` may become parts of the value */
    unsigned depth;
    size_t count, capacity; /* of the objects that have a number */
    PyObject **objects;
    PyObject *room[PG_READER_ROOM];
} pg_reader_t;

/* pg_malformed() if the exception that is set is one that a sound message cannot cause. Returns
 * NULL. */
PyObject *pg_malformed_unless_memory(const char *what);

PyObject *pg_get_value(pg_reader_t *reader);

/* The next `length` bytes, which stay in the stream; NULL with an exception if there are fewer. */
static inline const uint8_t *pg_get_bytes(pg_reader_t *reader, size_t length)
{
    const uint8_t *bytes = reader->at;

    if ((size_t)(reader->end - reader->at) < length) {
        pg_malformed("it ends too early");
        return NULL;
    }
    reader->at += length;
    return bytes;
}

int pg_get_size_long(pg_reader_t *reader, size_t each, size_t *size);

/* A size, of things that take at least `each` bytes of the stream (0: not in the stream). 0, or -1
 * with an exception. */
static inline int pg_get_size(pg_reader_t *reader, size_t each, size_t *size)
{
    size_t left = (size_t)(reader->end - reader->at);

    if (left > 0 && *reader->at < PG_SIZE_LONG && *reader->at * each < left) {
        *size = *reader->at++;
        return 0;
    }
    if (left > 0 && *reader->at < PG_SIZE_LONG) {
        pg_malformed("a size that is larger than it");
        return -1;
    }
    return pg_get_size_long(reader, each, size);
}

/* Gives `object` the next number. 0, or -1 with an exception. */
int pg_reader_number(pg_reader_t *reader, PyObject *object);

/* The object of a number that the stream has next. */
PyObject *pg_get_numbered(pg_reader_t *reader);

/* The next out-of-band buffer; NULL with an exception if there is none. */
const Py_buffer *pg_get_outside(pg_reader_t *reader);

/* ---- kinds of values, each in its file, after the tag. Those that are told whether they are
 * `shared` give the object its number; for the others pg_get_value() sees to it. ---- */

/* `known`: somebody else may have sent it before, as those do that occur more than once. */
PyObject *pg_get_text(pg_reader_t *reader, pg_tag_t tag, bool known);

PyObject *pg_get_tuple(pg_reader_t *reader, bool shared, bool known);
PyObject *pg_get_list(pg_reader_t *reader, bool shared);
PyObject *pg_get_floats(pg_reader_t *reader);
PyObject *pg_get_ints(pg_reader_t *reader);
PyObject *pg_get_dict(pg_reader_t *reader, bool shared);
PyObject *pg_get_set(pg_reader_t *reader, bool shared);
PyObject *pg_get_frozenset(pg_reader_t *reader, bool shared, bool known);
int pg_get_pairs(pg_reader_t *reader, PyObject *dict, size_t count); /* exactly a dict */

/* Appends to the list, as list.append() does. Takes over `item`, also on failure. */
int pg_list_append(PyObject *list, PyObject *item);

PyObject *pg_get_global(pg_reader_t *reader);
PyObject *pg_get_instance(pg_reader_t *reader, bool shared);
PyObject *pg_get_constructed(pg_reader_t *reader, pg_tag_t tag);
int pg_build_init(void);

#endif
