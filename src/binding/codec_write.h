/* Writing a stream: what the encoder's files share. */
#ifndef PYGAS_BINDING_CODEC_WRITE_H
#define PYGAS_BINDING_CODEC_WRITE_H

#include "codec.h"
#include "codec_format.h"
#include "codec_memo.h"

#include <stdbool.h>
#include <string.h>

/*
 * In which way to encode. An attempt that finds out that it needs a stronger one sets it in
 * `needed` and fails without an exception; encoding then starts over with that.
 */
typedef enum pg_rigour {
    /* No Python code runs under way. So an object with one reference, the one by which it was
     * reached, cannot be met again and needs no number. */
    PG_RIGOUR_PLAIN,
    /* Hooks may run, and bring up any object: all get numbers. */
    PG_RIGOUR_HOOKS,
    /* Instances have hooks in their own attributes: all are asked. */
    PG_RIGOUR_ASK,
} pg_rigour_t;

typedef struct pg_writer {
    uint8_t *at, *end, *start;
    pg_encoding_t *encoding;
    pg_rigour_t rigour, needed;
    unsigned depth;
    Py_ssize_t view_capacity;
    PyObject *cloud; /* what reduces objects that pickle refuses; NULL until one is met */
    pg_memo_t memo;
} pg_writer_t;

/* Functions that return an int: 0, or -1 with an exception or with `needed` raised. */

int pg_put_value(pg_writer_t *writer, PyObject *value);

/* Makes the writer start over with `rigour` if it is not that strict yet: -1 then. */
static inline int pg_require_rigour(pg_writer_t *writer, pg_rigour_t rigour)
{
    if (writer->rigour >= rigour)
        return 0;
    writer->needed = rigour;
    return -1;
}

/* ---- bytes ---- */

int pg_writer_grow(pg_writer_t *writer, size_t length);

/* Room for `length` bytes. */
static inline int pg_reserve(pg_writer_t *writer, size_t length)
{
    return (size_t)(writer->end - writer->at) >= length ? 0 : pg_writer_grow(writer, length);
}

static inline int pg_put_byte(pg_writer_t *writer, unsigned byte)
{
    if (pg_reserve(writer, 1) < 0)
        return -1;
    *writer->at++ = (uint8_t)byte;
    return 0;
}

static inline int pg_put_bytes(pg_writer_t *writer, const void *bytes, size_t length)
{
    if (pg_reserve(writer, length) < 0)
        return -1;
    if (length > 0)
        memcpy(writer->at, bytes, length);
    writer->at += length;
    return 0;
}

/* A tag and `length` bytes. */
static inline int pg_put_tagged(pg_writer_t *writer, unsigned tag, const void *bytes, size_t length)
{
    if (pg_reserve(writer, length + 1) < 0)
        return -1;
    *writer->at = (uint8_t)tag;
    memcpy(writer->at + 1, bytes, length);
    writer->at += length + 1;
    return 0;
}

int pg_put_size(pg_writer_t *writer, size_t size);

/* A tag and a size. */
static inline int pg_put_head(pg_writer_t *writer, unsigned tag, size_t size)
{
    if (size < PG_SIZE_LONG && (size_t)(writer->end - writer->at) >= 2) {
        writer->at[0] = (uint8_t)tag;
        writer->at[1] = (uint8_t)size;
        writer->at += 2;
        return 0;
    }
    return pg_put_byte(writer, tag) < 0 ? -1 : pg_put_size(writer, size);
}

/* Where the stream is now, for patching: it may move. */
static inline size_t pg_writer_offset(const pg_writer_t *writer)
{
    return (size_t)(writer->at - writer->start);
}

/* ---- objects that occur again ---- */

/* True if `value`, with `held` references that are the encoder's own and not part of what is
 * encoded, can be met twice. */
static inline bool pg_may_recur(const pg_writer_t *writer, PyObject *value, Py_ssize_t held)
{
#ifdef Py_GIL_DISABLED
    (void)writer, (void)value, (void)held;
    return true;
#else
    return writer->rigour > PG_RIGOUR_PLAIN || Py_REFCNT(value) > 1 + held;
#endif
}

/* 1 if `value` has a number, which is written then; 0: it has none; -1. */
int pg_put_again(pg_writer_t *writer, PyObject *value);

/* Numbers `value` and sets PG_TAG_SHARED in the tag at `tag_at`. */
int pg_number(pg_writer_t *writer, PyObject *value, size_t tag_at);

/* Every value with parts goes one level deeper. pg_writer_enter() also keeps `value` alive. */
int pg_writer_enter(pg_writer_t *writer, PyObject *value);
int pg_writer_leave(pg_writer_t *writer, PyObject *value, int outcome); /* returns `outcome` */

/* ---- buffers ---- */

/* Whether a buffer of this length stays out of the stream. */
static inline bool pg_stays_outside(const pg_writer_t *writer, size_t length)
{
    return writer->encoding->buffer_min > 0 && length >= writer->encoding->buffer_min;
}

/* Adds an out-of-band buffer. Takes over `view`, also on failure. */
int pg_put_outside(pg_writer_t *writer, Py_buffer *view);

/* ---- kinds of values, each in its file; all with `value` alive until they return ---- */

int pg_put_sequence(pg_writer_t *writer, PyObject *value); /* exactly tuple or list */
int pg_put_dict(pg_writer_t *writer, PyObject *value);     /* exactly dict */
int pg_put_set(pg_writer_t *writer, PyObject *value);      /* exactly set or frozenset */
int pg_put_pairs(pg_writer_t *writer, PyObject *dict);     /* without a head */

/* In batches, until the iterator is exhausted. */
int pg_put_items(pg_writer_t *writer, PyObject *iterator, bool pairs);

/* Anything that pickle does not know by its exact type. */
int pg_put_object(pg_writer_t *writer, PyObject *value);

/* A reference by name; `name`: the qualified one, NULL for its own. With an exception if the object
 * cannot be found by it. */
int pg_put_global(pg_writer_t *writer, PyObject *object, PyObject *name);

#endif
