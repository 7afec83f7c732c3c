/*
 * The codec: a Python object as a stream of bytes and out-of-band buffers, and back.
 *
 * What pickle can copy is copied as pickle would: the same aliases and cycles, the same hooks in
 * the same order; what it refuses and cloudpickle knows (lambdas, local classes) too. Native byte
 * order, one build of PyGAS on both sides. The decoder trusts no length, number or order in the
 * stream: bytes that the encoder cannot have made are a pygas.ProtocolError. It does, as pickle
 * does, call what the stream names.
 */
#ifndef PYGAS_BINDING_CODEC_H
#define PYGAS_BINDING_CODEC_H

#include "state.h"

#include <stdbool.h>

/* How deep values may be nested. */
#define PG_CODEC_DEPTH_MAX 1000

/* An encoded object. Zero it, set `room` and `buffer_min`; pg_encoding_fini() frees what it holds.
 */
typedef struct pg_encoding {
    uint8_t *room; /* the caller's, where a small stream goes */
    size_t room_length;
    PyObject *proxies; /* a list: Proxies go there, and not into the message; or NULL */
    size_t buffer_min; /* buffers of so many bytes and more stay out of the stream; 0: none do */
    uint8_t *bytes;    /* the stream: `room`, or a block of PyMem_Malloc() */
    size_t length;
    Py_buffer *views; /* the out-of-band buffers: contiguous parts of the object, not copies */
    Py_ssize_t count;
} pg_encoding_t;

int pg_codec_init(void);

/*
 * Encodes `object`. 0, or -1 with an exception: what a hook raised, what pickle raises for what it
 * cannot copy, RecursionError for a value that is nested too deep. Runs the object's hooks, so
 * anything may happen meanwhile; an object that changes under way arrives in a state that it had,
 * or is a RuntimeError.
 */
int pg_codec_encode(PyObject *object, pg_encoding_t *encoding);
void pg_encoding_fini(pg_encoding_t *encoding);

/* What belongs to a stream and is not in it. All zero: nothing. */
typedef struct pg_beside {
    const Py_buffer *views; /* the out-of-band buffers, each kept alive by its `obj` */
    Py_ssize_t count;
    bool adopts;       /* they belong to nobody else: a bytearray may become a part of the object */
    PyObject *proxies; /* a list, or NULL */
    struct pg_reference_table *references; /* that came with it (references.h), or NULL */
} pg_beside_t;

/* The object; a new reference, or NULL with an exception: ProtocolError, or what a hook raised.
 * Arrays share the memory of the buffers. */
PyObject *pg_codec_decode(const uint8_t *bytes, size_t length, const pg_beside_t *beside);

/* Sets ProtocolError: `what` is wrong with a message. Returns NULL. */
PyObject *pg_malformed(const char *what);

/* For Python: dumps(object, proxies=None), an object as bytes, its Proxies in the list; and
 * loads(data, proxies=None, *buffers). */
PyObject *pg_dumps(PyObject *module, PyObject *args);
PyObject *pg_loads(PyObject *module, PyObject *args);

#endif
