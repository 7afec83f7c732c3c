/*
 * Arrays and scalars of NumPy in a stream.
 *
 * An array: type number (PG_ARRAY_OTHER: a dtype follows), flags, number of dimensions, the
 * dimensions (eight bytes each), the dtype as a value, then the items, or nothing if they are an
 * out-of-band buffer. A copy has the order of a contiguous original (C or Fortran), else C, and can
 * be written to if the original could. A scalar: type number, its bytes.
 *
 * Arrays of objects, of types that the program defines, and of subclasses go by their hooks.
 */
#ifndef PYGAS_BINDING_CODEC_ARRAY_H
#define PYGAS_BINDING_CODEC_ARRAY_H

#include "codec_read.h"
#include "codec_write.h"

#define PG_ARRAY_OTHER 0xFF

#define PG_ARRAY_WRITEABLE 0x01
#define PG_ARRAY_FORTRAN 0x02
#define PG_ARRAY_OUTSIDE 0x04

/* True for numpy.ndarray. Does not import it. */
bool pg_array_is_type(PyTypeObject *type);

/* The type number of a scalar type that pg_put_scalar() knows, else -1. */
int pg_scalar_code(PyTypeObject *type);

int pg_put_array(pg_writer_t *writer, PyObject *array, bool recurs);
int pg_put_scalar(pg_writer_t *writer, PyObject *scalar, int code, bool recurs);

/* After the tag. */
PyObject *pg_get_array(pg_reader_t *reader);
PyObject *pg_get_scalar(pg_reader_t *reader);

#endif
