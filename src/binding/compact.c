/*
 * Design notes. A value is a tag, then its bytes: integers and floats in native order, texts and
 * containers with a length of one byte. Lengths are checked against what is left, and every item
 * takes at least a byte, so a malformed message can neither read past its end nor ask for much
 * memory.
 *
 * Aliases: two references to one list must arrive as two references to one list. A container that
 * only its parent refers to cannot occur twice, so a reference count above one sends the whole
 * value to pickle. The first level is exempt: it can only occur again inside itself, by a cycle,
 * which ends at DEPTH_MAX.
 */
#include "compact.h"

#include "texts.h"

#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 12
#define EXEMPT_LEVELS 1

enum tag {
    TAG_NONE = 'N',
    TAG_TRUE = 'T',
    TAG_FALSE = 'F',
    TAG_BYTE = 'b', /* an int of 8 bits, signed */
    TAG_INT = 'i',  /* of 64 bits */
    TAG_FLOAT = 'd',
    TAG_STR = 's',
    TAG_BYTES = 'y',
    TAG_TUPLE = '(',
    TAG_LIST = '[',
    TAG_DICT = '{',
};

/* ---- encoding ---- */

typedef struct writer {
    uint8_t *at, *end;
} writer_t;

static bool put(writer_t *writer, uint8_t tag, const void *bytes, size_t length)
{
    if ((size_t)(writer->end - writer->at) < length + 1)
        return false;
    *writer->at++ = tag;
    if (length > 0)
        memcpy(writer->at, bytes, length);
    writer->at += length;
    return true;
}

static bool put_sized(writer_t *writer, uint8_t tag, const void *bytes, Py_ssize_t length)
{
    uint8_t size = (uint8_t)length;

    if (length > PG_COMPACT_MAX || !put(writer, tag, &size, 1) || writer->end - writer->at < length)
        return false;
    memcpy(writer->at, bytes, (size_t)length);
    writer->at += length;
    return true;
}

static bool put_count(writer_t *writer, uint8_t tag, Py_ssize_t count)
{
    uint8_t size = (uint8_t)count;

    return count <= PG_COMPACT_MAX && put(writer, tag, &size, 1);
}

static bool put_int(writer_t *writer, PyObject *value)
{
    int overflow;
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow != 0)
        return false;
    if (number >= INT8_MIN && number <= INT8_MAX) {
        int8_t byte = (int8_t)number;

        return put(writer, TAG_BYTE, &byte, 1);
    }
    return put(writer, TAG_INT, &number, sizeof(number));
}

static bool put_value(writer_t *writer, PyObject *value, int level);

static bool put_dict(writer_t *writer, PyObject *dict, int level)
{
    Py_ssize_t position = 0;
    PyObject *key, *value;

    if (!put_count(writer, TAG_DICT, PyDict_GET_SIZE(dict)))
        return false;
    while (PyDict_Next(dict, &position, &key, &value))
        if (!put_value(writer, key, level + 1) || !put_value(writer, value, level + 1))
            return false;
    return true;
}

static bool put_container(writer_t *writer, PyObject *value, int level)
{
    bool is_tuple = PyTuple_CheckExact(value);

    if (level >= DEPTH_MAX || (level >= EXEMPT_LEVELS && Py_REFCNT(value) > 1))
        return false;
    if (PyDict_CheckExact(value))
        return put_dict(writer, value, level);
    if (!is_tuple && !PyList_CheckExact(value))
        return false;
    if (!put_count(writer, is_tuple ? TAG_TUPLE : TAG_LIST, PySequence_Fast_GET_SIZE(value)))
        return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++)
        if (!put_value(writer, PySequence_Fast_GET_ITEM(value, i), level + 1))
            return false;
    return true;
}

static bool put_value(writer_t *writer, PyObject *value, int level)
{
    if (PyLong_CheckExact(value))
        return put_int(writer, value);
    if (PyUnicode_CheckExact(value))
        return PyUnicode_IS_COMPACT_ASCII(value) &&
               put_sized(writer, TAG_STR, PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value));
    if (value == Py_None)
        return put(writer, TAG_NONE, NULL, 0);
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);

        return put(writer, TAG_FLOAT, &number, sizeof(number));
    }
    if (PyBool_Check(value))
        return put(writer, value == Py_True ? TAG_TRUE : TAG_FALSE, NULL, 0);
    if (PyBytes_CheckExact(value))
        return put_sized(writer, TAG_BYTES, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    return put_container(writer, value, level);
}

size_t pg_compact_encode(PyObject *value, uint8_t bytes[PG_COMPACT_MAX])
{
    writer_t writer = {bytes, bytes + PG_COMPACT_MAX};

    return put_value(&writer, value, 0) ? (size_t)(writer.at - bytes) : 0;
}

/* ---- decoding ---- */

typedef struct reader {
    const uint8_t *at, *end;
} reader_t;

static PyObject *malformed(void)
{
    PyErr_SetString(PyExc_RuntimeError, "a malformed message arrived");
    return NULL;
}

/* The next `length` bytes, or NULL (without an exception) if there are fewer. */
static const uint8_t *get(reader_t *reader, size_t length)
{
    const uint8_t *bytes = reader->at;

    if ((size_t)(reader->end - reader->at) < length)
        return NULL;
    reader->at += length;
    return bytes;
}

static PyObject *get_value(reader_t *reader, int level);

static PyObject *get_dict(reader_t *reader, Py_ssize_t count, int level)
{
    PyObject *dict = PyDict_New();

    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        PyObject *key = get_value(reader, level + 1);
        PyObject *value = key != NULL ? get_value(reader, level + 1) : NULL;

        if (value == NULL || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *get_container(reader_t *reader, uint8_t tag, int level)
{
    const uint8_t *size = get(reader, 1);
    PyObject *container;

    if (size == NULL || level >= DEPTH_MAX || reader->end - reader->at < *size)
        return malformed();
    if (tag == TAG_DICT)
        return get_dict(reader, *size, level);
    container = tag == TAG_TUPLE ? PyTuple_New(*size) : PyList_New(*size);
    for (Py_ssize_t i = 0; container != NULL && i < *size; i++) {
        PyObject *item = get_value(reader, level + 1);

        if (item == NULL)
            Py_CLEAR(container);
        else if (tag == TAG_TUPLE)
            PyTuple_SET_ITEM(container, i, item);
        else
            PyList_SET_ITEM(container, i, item);
    }
    return container;
}

static PyObject *get_text(reader_t *reader, uint8_t tag)
{
    const uint8_t *size = get(reader, 1);
    const uint8_t *bytes = size != NULL ? get(reader, *size) : NULL;

    if (bytes == NULL)
        return malformed();
    if (tag == TAG_BYTES)
        return PyBytes_FromStringAndSize((const char *)bytes, *size);
    return pg_text_from((const char *)bytes, *size);
}

static PyObject *get_number(reader_t *reader, uint8_t tag)
{
    const uint8_t *bytes = get(reader, tag == TAG_BYTE ? 1 : 8);
    int64_t integer;
    double number;

    if (bytes == NULL)
        return malformed();
    if (tag == TAG_BYTE)
        return PyLong_FromLong((int8_t)*bytes);
    if (tag == TAG_INT) {
        memcpy(&integer, bytes, sizeof(integer));
        return PyLong_FromLongLong(integer);
    }
    memcpy(&number, bytes, sizeof(number));
    return PyFloat_FromDouble(number);
}

static PyObject *get_value(reader_t *reader, int level)
{
    const uint8_t *tag = get(reader, 1);

    if (tag == NULL)
        return malformed();
    switch (*tag) {
    case TAG_NONE:
        Py_RETURN_NONE;
    case TAG_TRUE:
        Py_RETURN_TRUE;
    case TAG_FALSE:
        Py_RETURN_FALSE;
    case TAG_BYTE:
    case TAG_INT:
    case TAG_FLOAT:
        return get_number(reader, *tag);
    case TAG_STR:
    case TAG_BYTES:
        return get_text(reader, *tag);
    case TAG_TUPLE:
    case TAG_LIST:
    case TAG_DICT:
        return get_container(reader, *tag, level);
    default:
        return malformed();
    }
}

PyObject *pg_compact_decode(const uint8_t *bytes, size_t length)
{
    reader_t reader = {bytes, bytes + length};
    PyObject *value = get_value(&reader, 0);

    if (value != NULL && reader.at != reader.end) {
        Py_DECREF(value);
        return malformed();
    }
    return value;
}
