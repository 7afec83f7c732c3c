/*
 * The codec: a Python object as a stream of bytes and out-of-band buffers, and back.
 *
 * For now pickle, protocol 5, with cloudpickle for what pickle refuses (lambdas, nested functions).
 */
#ifndef PYGAS_BINDING_CODEC_H
#define PYGAS_BINDING_CODEC_H

#include "state.h"

int pg_codec_init(void);

/* *stream: bytes; *buffers: a list of contiguous buffer objects of at least buffer_min bytes, which
 * are parts of `object`, not copies. New references. 0, or -1 with an exception. */
int pg_codec_dump(PyObject *object, PyObject **stream, PyObject **buffers);

/* The object; a new reference, or NULL with an exception. `buffers` may be NULL. */
PyObject *pg_codec_load(PyObject *stream, PyObject *buffers);

#endif
