/*
 * The stream: a value is a tag and what belongs to it.
 *
 * Sizes are one byte, or 255 and eight bytes. Numbers are in native order and unaligned.
 *
 * Objects that may occur twice are numbered in the order in which the decoder has them at hand: the
 * tag has PG_TAG_SHARED set. Mutable containers get their number before their items (they can
 * contain themselves), everything else after its parts. PG_TAG_AGAIN refers to a number. A tuple
 * that contains itself by way of a list is met again before it is complete; it is then sent twice,
 * as pickle does, and the tag that ends in _KNOWN says that the outer one is the numbered object
 * that follows it.
 */
#ifndef PYGAS_BINDING_CODEC_FORMAT_H
#define PYGAS_BINDING_CODEC_FORMAT_H

#define PG_TAG_SHARED 0x80

/* clang-format off */
typedef enum pg_tag {
    PG_TAG_AGAIN = 1,       /* size: the number */
    PG_TAG_NONE,
    PG_TAG_FALSE,
    PG_TAG_TRUE,
    PG_TAG_ELLIPSIS,
    PG_TAG_NOT_IMPLEMENTED,
    PG_TAG_NONE_TYPE,
    PG_TAG_ELLIPSIS_TYPE,
    PG_TAG_NOT_IMPLEMENTED_TYPE,
    PG_TAG_INT_8,           /* signed, that many bits */
    PG_TAG_INT_32,
    PG_TAG_INT_64,
    PG_TAG_INT_BIG,         /* size; two's complement, little endian */
    PG_TAG_FLOAT,
    PG_TAG_COMPLEX,
    PG_TAG_STR_ASCII,       /* size in characters; the characters */
    PG_TAG_STR_1,
    PG_TAG_STR_2,
    PG_TAG_STR_4,
    PG_TAG_BYTES,           /* size; bytes */
    PG_TAG_BYTEARRAY,
    PG_TAG_TUPLE,           /* size; items */
    PG_TAG_TUPLE_KNOWN,     /* the same; size: the number */
    PG_TAG_LIST,
    PG_TAG_LIST_OF_FLOATS,  /* size; doubles */
    PG_TAG_LIST_OF_INTS,    /* bytes of each (1, 2, 4, 8); size; signed integers */
    PG_TAG_DICT,            /* size; keys and values in turn */
    PG_TAG_SET,
    PG_TAG_FROZENSET,
    PG_TAG_FROZENSET_KNOWN,
    PG_TAG_SLICE,           /* three values */
    PG_TAG_RANGE,           /* three values */
    PG_TAG_GLOBAL,          /* module, qualified name: two values */
    PG_TAG_INSTANCE,        /* class; size; attributes: names and values in turn */
    PG_TAG_CALL,            /* callable, tuple of arguments; what follows a construction */
    PG_TAG_NEW,             /* class; size; arguments of its __new__; what follows */
    PG_TAG_NEW_KEYWORDS,    /* class, tuple, dict; what follows */
    PG_TAG_BUFFER,          /* a pickle.PickleBuffer: 1 if read-only; size; bytes */
    PG_TAG_BUFFER_OUTSIDE,  /* the same in the next out-of-band buffer: 1 if read-only */
    PG_TAG_BYTES_OUTSIDE,   /* the next out-of-band buffer */
    PG_TAG_BYTEARRAY_OUTSIDE,
    PG_TAG_ARRAY,           /* codec_array.c */
    PG_TAG_SCALAR,
    PG_TAG_PROXY,           /* codec_proxy.c */
    PG_TAG_PROXY_BESIDE,    /* size: its number in the list that comes with the stream */
} pg_tag_t;
/* clang-format on */

/* What follows a construction: one byte of these, then those that are set, in this order. */
#define PG_AFTER_KNOWN 0x01  /* size: the number of the object that it is; nothing else */
#define PG_AFTER_SHARED 0x02 /* it gets a number */
#define PG_AFTER_ITEMS 0x04  /* batches: two bytes of count, values; a count of 0 ends them */
#define PG_AFTER_PAIRS 0x08  /* the same with keys and values */
#define PG_AFTER_STATE 0x10  /* a value */
#define PG_AFTER_SETTER 0x20 /* a callable for (object, state), before the state */

/* Items of a batch: pickle's, as extend() is called once for each. */
#define PG_BATCH_MAX 1000

#define PG_SIZE_LONG 255 /* then eight bytes follow */

#endif
