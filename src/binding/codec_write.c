/*
 * Design notes. The encoder writes into the caller's room first and into a block that doubles when
 * that is full, and keeps offsets where it has to patch.
 *
 * Items of a container are borrowed while they are plain. A value that has parts is kept alive by
 * pg_writer_enter(), since hooks and the collector's finalizers may take it out of its container
 * meanwhile.
 */
#include "codec_write.h"

#include "compat.h"

/* ---- bytes ---- */

int pg_writer_grow(pg_writer_t *writer, size_t length)
{
    size_t used = pg_writer_offset(writer);
    size_t capacity = (size_t)(writer->end - writer->start) * 2;
    uint8_t *block;

    if (length > (size_t)PY_SSIZE_T_MAX / 2 - used) {
        PyErr_NoMemory();
        return -1;
    }
    if (capacity < 1024)
        capacity = 1024;
    if (capacity < used + length)
        capacity = used + length + length / 8;
    if (writer->start != writer->encoding->room) {
        block = PyMem_Realloc(writer->start, capacity);
    } else {
        block = PyMem_Malloc(capacity);
        if (block != NULL)
            memcpy(block, writer->start, used);
    }
    if (block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    writer->start = block;
    writer->at = block + used;
    writer->end = block + capacity;
    return 0;
}

int pg_put_size(pg_writer_t *writer, size_t size)
{
    uint64_t wide = size;

    if (size < PG_SIZE_LONG)
        return pg_put_byte(writer, (unsigned)size);
    return pg_put_tagged(writer, PG_SIZE_LONG, &wide, sizeof(wide));
}

/* ---- objects that occur again ---- */

int pg_put_again(pg_writer_t *writer, PyObject *value)
{
    Py_ssize_t number = pg_memo_find(&writer->memo, value);

    if (number < 0)
        return 0;
    return pg_put_head(writer, PG_TAG_AGAIN, (size_t)number) < 0 ? -1 : 1;
}

int pg_number(pg_writer_t *writer, PyObject *value, size_t tag_at)
{
    writer->start[tag_at] |= PG_TAG_SHARED;
    return pg_memo_add(&writer->memo, value);
}

int pg_writer_enter(pg_writer_t *writer, PyObject *value)
{
    if (writer->depth >= PG_CODEC_DEPTH_MAX) {
        PyErr_Format(PyExc_RecursionError,
                     "a value that is nested more than %d levels deep cannot be copied",
                     PG_CODEC_DEPTH_MAX);
        return -1;
    }
    writer->depth++;
    Py_INCREF(value);
    return 0;
}

int pg_writer_leave(pg_writer_t *writer, PyObject *value, int outcome)
{
    writer->depth--;
    Py_DECREF(value);
    return outcome;
}

/* ---- out-of-band buffers ---- */

int pg_put_outside(pg_writer_t *writer, Py_buffer *view)
{
    pg_encoding_t *encoding = writer->encoding;

    if (encoding->count == writer->view_capacity) {
        Py_ssize_t capacity = writer->view_capacity > 0 ? writer->view_capacity * 4 : 4;
        Py_buffer *views = PyMem_Realloc(encoding->views, (size_t)capacity * sizeof(*views));

        if (views == NULL) {
            PyBuffer_Release(view);
            PyErr_NoMemory();
            return -1;
        }
        encoding->views = views;
        writer->view_capacity = capacity;
    }
    encoding->views[encoding->count++] = *view;
    return 0;
}

/* ---- numbers ---- */

static int put_int_64(pg_writer_t *writer, int64_t number)
{
    int8_t byte = (int8_t)number;
    int32_t word = (int32_t)number;

    if (byte == number)
        return pg_put_tagged(writer, PG_TAG_INT_8, &byte, sizeof(byte));
    if (word == number)
        return pg_put_tagged(writer, PG_TAG_INT_32, &word, sizeof(word));
    return pg_put_tagged(writer, PG_TAG_INT_64, &number, sizeof(number));
}

static int put_int_big(pg_writer_t *writer, PyObject *value)
{
    size_t size = pg_long_size(value);

    if (pg_put_head(writer, PG_TAG_INT_BIG, size) < 0 || pg_reserve(writer, size) < 0 ||
        pg_long_store(value, writer->at, size) < 0)
        return -1;
    writer->at += size;
    return 0;
}

static int put_int(pg_writer_t *writer, PyObject *value)
{
    int64_t number;
    int overflow;

    if (pg_long_small(value, &number))
        return put_int_64(writer, number);
    number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 ? put_int_64(writer, number) : put_int_big(writer, value);
}

static int put_float(pg_writer_t *writer, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value);

    return pg_put_tagged(writer, PG_TAG_FLOAT, &number, sizeof(number));
}

static int put_complex(pg_writer_t *writer, PyObject *value)
{
    Py_complex number = PyComplex_AsCComplex(value);

    return pg_put_tagged(writer, PG_TAG_COMPLEX, &number, sizeof(number));
}

/* ---- texts and bytes ---- */

static int put_text(pg_writer_t *writer, PyObject *value)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(value), width, tag_at;
    bool recurs = pg_may_recur(writer, value, 0) && length > 1;
    unsigned tag;

    if (recurs) {
        int again = pg_put_again(writer, value);

        if (again != 0)
            return again < 0 ? -1 : 0;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(value) < 0)
        return -1;
#endif
    width = PyUnicode_KIND(value);
    if (PyUnicode_IS_ASCII(value))
        tag = PG_TAG_STR_ASCII;
    else
        tag = width == 1 ? PG_TAG_STR_1 : width == 2 ? PG_TAG_STR_2 : PG_TAG_STR_4;
    tag_at = pg_writer_offset(writer);
    if (pg_put_head(writer, tag, length) < 0 ||
        pg_put_bytes(writer, PyUnicode_DATA(value), length * width) < 0)
        return -1;
    return recurs ? pg_number(writer, value, tag_at) : 0;
}

/* The contents of a bytes or bytearray object, which may stay where they are. */
static int put_contents(pg_writer_t *writer, PyObject *value, unsigned tag, unsigned tag_outside)
{
    size_t tag_at = pg_writer_offset(writer);
    bool recurs = pg_may_recur(writer, value, 0);
    Py_buffer view;
    int outcome;

    if (recurs) {
        int again = pg_put_again(writer, value);

        if (again != 0)
            return again < 0 ? -1 : 0;
    }
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    if (pg_stays_outside(writer, (size_t)view.len)) {
        outcome = pg_put_outside(writer, &view);
        if (outcome == 0)
            outcome = pg_put_byte(writer, tag_outside);
    } else {
        outcome = pg_put_head(writer, tag, (size_t)view.len);
        if (outcome == 0)
            outcome = pg_put_bytes(writer, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    return outcome == 0 && recurs ? pg_number(writer, value, tag_at) : outcome;
}

static int put_bytes(pg_writer_t *writer, PyObject *value)
{
    size_t length = (size_t)PyBytes_GET_SIZE(value);

    if (length > 1)
        return put_contents(writer, value, PG_TAG_BYTES, PG_TAG_BYTES_OUTSIDE);
    return pg_put_head(writer, PG_TAG_BYTES, length) < 0
               ? -1
               : pg_put_bytes(writer, PyBytes_AS_STRING(value), length);
}

/* ---- any value ---- */

/* The types that pickle knows, and few values are of. */
static int put_rare(pg_writer_t *writer, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);

    if (type == &PySet_Type || type == &PyFrozenSet_Type)
        return pg_put_set(writer, value);
    if (type == &PyComplex_Type)
        return put_complex(writer, value);
    if (type == &PyByteArray_Type)
        return put_contents(writer, value, PG_TAG_BYTEARRAY, PG_TAG_BYTEARRAY_OUTSIDE);
    if (value == Py_Ellipsis)
        return pg_put_byte(writer, PG_TAG_ELLIPSIS);
    if (value == Py_NotImplemented)
        return pg_put_byte(writer, PG_TAG_NOT_IMPLEMENTED);
    return pg_put_object(writer, value);
}

int pg_put_value(pg_writer_t *writer, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);

    if (type == &PyUnicode_Type)
        return put_text(writer, value);
    if (type == &PyLong_Type)
        return put_int(writer, value);
    if (type == &PyFloat_Type)
        return put_float(writer, value);
    if (value == Py_None)
        return pg_put_byte(writer, PG_TAG_NONE);
    if (type == &PyDict_Type)
        return pg_put_dict(writer, value);
    if (type == &PyList_Type || type == &PyTuple_Type)
        return pg_put_sequence(writer, value);
    if (type == &PyBool_Type)
        return pg_put_byte(writer, value == Py_True ? PG_TAG_TRUE : PG_TAG_FALSE);
    if (type == &PyBytes_Type)
        return put_bytes(writer, value);
    return put_rare(writer, value);
}

/* ---- a whole object ---- */

static void writer_init(pg_writer_t *writer, pg_encoding_t *encoding, pg_rigour_t rigour)
{
    writer->start = writer->at = encoding->room;
    writer->end = encoding->room + encoding->room_length;
    writer->encoding = encoding;
    writer->rigour = writer->needed = rigour;
    writer->depth = 0;
    writer->view_capacity = 0;
    writer->cloud = NULL;
    pg_memo_init(&writer->memo);
}

/* Finalizers may run, so the exception that is set is kept out of their way. */
static void writer_fini(pg_writer_t *writer)
{
    if (writer->memo.count == 0 && writer->cloud == NULL)
        return;
    if (PyErr_Occurred()) {
        PyObject *exception = PyErr_GetRaisedException();

        Py_XDECREF(writer->cloud);
        pg_memo_fini(&writer->memo);
        PyErr_SetRaisedException(exception);
        return;
    }
    Py_XDECREF(writer->cloud);
    pg_memo_fini(&writer->memo);
}

int pg_codec_encode(PyObject *object, pg_encoding_t *encoding)
{
    pg_rigour_t rigour = PG_RIGOUR_PLAIN;
    pg_writer_t writer;

    for (;;) {
        int outcome;

        writer_init(&writer, encoding, rigour);
        outcome = pg_put_value(&writer, object);
        encoding->bytes = writer.start;
        encoding->length = pg_writer_offset(&writer);
        writer_fini(&writer);
        if (outcome == 0)
            return 0;
        pg_encoding_fini(encoding);
        if (writer.needed == rigour)
            return -1;
        PyErr_Clear();
        rigour = writer.needed;
        if (encoding->proxies != NULL &&
            PyList_SetSlice(encoding->proxies, 0, PY_SSIZE_T_MAX, NULL) < 0)
            return -1;
    }
}

void pg_encoding_fini(pg_encoding_t *encoding)
{
    for (Py_ssize_t i = 0; i < encoding->count; i++)
        PyBuffer_Release(&encoding->views[i]);
    PyMem_Free(encoding->views);
    if (encoding->bytes != encoding->room)
        PyMem_Free(encoding->bytes);
    encoding->views = NULL;
    encoding->count = 0;
    encoding->bytes = NULL;
    encoding->length = 0;
}
