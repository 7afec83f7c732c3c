/*
 * Compact: small plain values in a few bytes, without pickle.
 *
 * Most requests and replies are a name, some numbers, a short text. For those pickle's set-up costs
 * more than everything else in a round trip together. What does not fit here goes by pickle.
 */
#ifndef PYGAS_BINDING_COMPACT_H
#define PYGAS_BINDING_COMPACT_H

#include <Python.h>

#include <stdint.h>

/* The most bytes of one value. */
#define PG_COMPACT_MAX 240

/*
 * Encodes None, bool, int (64 bits), float, str (ASCII), bytes, and tuples, lists and dicts of
 * these, of exactly these types, into `bytes`. Returns how many bytes; 0 if the value is not of
 * that kind, does not fit, or has a part that might occur in it twice (which a copy must preserve).
 * Runs no Python code and sets no exception.
 */
size_t pg_compact_encode(PyObject *value, uint8_t bytes[PG_COMPACT_MAX]);

/* The value again, a new reference; NULL with an exception, also for bytes that are malformed. */
PyObject *pg_compact_decode(const uint8_t *bytes, size_t length);

#endif
