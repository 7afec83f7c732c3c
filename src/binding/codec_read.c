/*
 * Design notes. The decoder goes through the stream once, by recursion, which PG_CODEC_DEPTH_MAX
 * bounds. A size is believed only if as many bytes are left as the things it counts take at least,
 * so what is allocated is bounded by a small multiple of the message.
 *
 * Code of the program runs under way (constructors, __setstate__, __hash__) and can reach objects
 * that are not complete: so a list shows no item before it is there, and a tuple gets its number
 * only when it is complete.
 */
#include "codec_read.h"

#include "codec_array.h"
#include "codec_proxy.h"
#include "compat.h"

PyObject *pg_malformed(const char *what)
{
    return PyErr_Format(pg.protocol_error, "a malformed message: %s", what);
}

PyObject *pg_malformed_unless_memory(const char *what)
{
    if (!PyErr_ExceptionMatches(PyExc_MemoryError))
        pg_malformed(what);
    return NULL;
}

int pg_get_size_long(pg_reader_t *reader, size_t each, size_t *size)
{
    const uint8_t *bytes = pg_get_bytes(reader, 1 + sizeof(uint64_t));
    uint64_t wide;

    if (bytes == NULL)
        return -1;
    memcpy(&wide, bytes + 1, sizeof(wide));
    if (wide > (each > 0 ? (size_t)(reader->end - reader->at) / each : (size_t)PY_SSIZE_T_MAX)) {
        pg_malformed("a size that is larger than it");
        return -1;
    }
    *size = (size_t)wide;
    return 0;
}

/* ---- objects that occur again ---- */

static int objects_grow(pg_reader_t *reader)
{
    size_t capacity = reader->capacity * 4;
    PyObject **objects = PyMem_Malloc(capacity * sizeof(*objects));

    if (objects == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(objects, reader->objects, reader->count * sizeof(*objects));
    if (reader->objects != reader->room)
        PyMem_Free(reader->objects);
    reader->objects = objects;
    reader->capacity = capacity;
    return 0;
}

int pg_reader_number(pg_reader_t *reader, PyObject *object)
{
    if (reader->count == reader->capacity && objects_grow(reader) < 0)
        return -1;
    reader->objects[reader->count++] = Py_NewRef(object);
    return 0;
}

PyObject *pg_get_numbered(pg_reader_t *reader)
{
    size_t number;

    if (pg_get_size(reader, 0, &number) < 0)
        return NULL;
    if (number >= reader->count)
        return pg_malformed("a reference to an object that is not there");
    return Py_NewRef(reader->objects[number]);
}

const Py_buffer *pg_get_outside(pg_reader_t *reader)
{
    if (reader->views_used < reader->view_count)
        return &reader->views[reader->views_used++];
    pg_malformed("it needs more buffers than came with it");
    return NULL;
}

/* ---- numbers ---- */

static inline PyObject *get_int(pg_reader_t *reader, pg_tag_t tag)
{
    size_t width = tag == PG_TAG_INT_8 ? 1 : tag == PG_TAG_INT_32 ? 4 : 8;
    const uint8_t *bytes = pg_get_bytes(reader, width);
    int64_t number;
    int32_t word;

    if (bytes == NULL)
        return NULL;
    if (tag == PG_TAG_INT_8)
        return PyLong_FromLong((int8_t)*bytes);
    if (tag == PG_TAG_INT_32) {
        memcpy(&word, bytes, sizeof(word));
        return PyLong_FromLong(word);
    }
    memcpy(&number, bytes, sizeof(number));
    return PyLong_FromLongLong(number);
}

static PyObject *get_int_big(pg_reader_t *reader)
{
    const uint8_t *bytes;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0 || (bytes = pg_get_bytes(reader, size)) == NULL)
        return NULL;
    return pg_long_load(bytes, size);
}

static inline PyObject *get_float(pg_reader_t *reader)
{
    const uint8_t *bytes = pg_get_bytes(reader, sizeof(double));
    double number;

    if (bytes == NULL)
        return NULL;
    memcpy(&number, bytes, sizeof(number));
    return PyFloat_FromDouble(number);
}

static PyObject *get_complex(pg_reader_t *reader)
{
    const uint8_t *bytes = pg_get_bytes(reader, sizeof(Py_complex));
    Py_complex number;

    if (bytes == NULL)
        return NULL;
    memcpy(&number, bytes, sizeof(number));
    return PyComplex_FromCComplex(number);
}

/* ---- bytes, slices, ranges, buffers ---- */

static PyObject *get_sized(pg_reader_t *reader, PyObject *(*make)(const char *, Py_ssize_t))
{
    const uint8_t *bytes;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0 || (bytes = pg_get_bytes(reader, size)) == NULL)
        return NULL;
    return make((const char *)bytes, (Py_ssize_t)size);
}

static PyObject *get_three(pg_reader_t *reader, PyTypeObject *type)
{
    PyObject *start = pg_get_value(reader);
    PyObject *stop = start != NULL ? pg_get_value(reader) : NULL;
    PyObject *step = stop != NULL ? pg_get_value(reader) : NULL;
    PyObject *result = NULL;

    if (step != NULL && type == &PySlice_Type)
        result = PySlice_New(start, stop, step);
    else if (step != NULL)
        result = PyObject_CallFunctionObjArgs((PyObject *)type, start, stop, step, NULL);
    Py_XDECREF(start);
    Py_XDECREF(stop);
    Py_XDECREF(step);
    return result;
}

static PyObject *get_buffer(pg_reader_t *reader)
{
    const uint8_t *frozen = pg_get_bytes(reader, 1);

    if (frozen == NULL)
        return NULL;
    return get_sized(reader, *frozen ? PyBytes_FromStringAndSize : PyByteArray_FromStringAndSize);
}

static PyObject *get_buffer_outside(pg_reader_t *reader)
{
    const uint8_t *frozen = pg_get_bytes(reader, 1);
    const Py_buffer *view = frozen != NULL ? pg_get_outside(reader) : NULL;
    PyObject *memory, *constant;

    if (view == NULL)
        return NULL;
    if (!*frozen || view->readonly)
        return Py_NewRef(view->obj);
    memory = PyMemoryView_FromObject(view->obj);
    if (memory == NULL)
        return NULL;
    constant = PyObject_CallMethod(memory, "toreadonly", NULL);
    Py_DECREF(memory);
    return constant;
}

/* ---- any value ---- */

static PyObject *get_bytes_outside(pg_reader_t *reader)
{
    const Py_buffer *view = pg_get_outside(reader);

    if (view == NULL)
        return NULL;
    if (PyBytes_CheckExact(view->obj) && PyBytes_GET_SIZE(view->obj) == view->len)
        return Py_NewRef(view->obj); /* it landed in the object itself, or never left */
    return PyBytes_FromStringAndSize(view->buf, view->len);
}

static PyObject *get_bytearray_outside(pg_reader_t *reader)
{
    const Py_buffer *view = pg_get_outside(reader);

    if (view == NULL)
        return NULL;
    if (reader->adopts && PyByteArray_CheckExact(view->obj) &&
        PyByteArray_GET_SIZE(view->obj) == view->len)
        return Py_NewRef(view->obj);
    return PyByteArray_FromStringAndSize(view->buf, view->len);
}

/* What few messages have. None of them has parts that could lead back to it. */
static PyObject *get_rare(pg_reader_t *reader, pg_tag_t tag)
{
    switch (tag) {
    case PG_TAG_INT_BIG:
        return get_int_big(reader);
    case PG_TAG_COMPLEX:
        return get_complex(reader);
    case PG_TAG_BYTEARRAY:
        return get_sized(reader, PyByteArray_FromStringAndSize);
    case PG_TAG_ELLIPSIS:
        return Py_NewRef(Py_Ellipsis);
    case PG_TAG_NOT_IMPLEMENTED:
        return Py_NewRef(Py_NotImplemented);
    case PG_TAG_NONE_TYPE:
        return Py_NewRef((PyObject *)Py_TYPE(Py_None));
    case PG_TAG_ELLIPSIS_TYPE:
        return Py_NewRef((PyObject *)Py_TYPE(Py_Ellipsis));
    case PG_TAG_NOT_IMPLEMENTED_TYPE:
        return Py_NewRef((PyObject *)Py_TYPE(Py_NotImplemented));
    case PG_TAG_SLICE:
        return get_three(reader, &PySlice_Type);
    case PG_TAG_RANGE:
        return get_three(reader, &PyRange_Type);
    case PG_TAG_GLOBAL:
        return pg_get_global(reader);
    case PG_TAG_BUFFER:
        return get_buffer(reader);
    case PG_TAG_BUFFER_OUTSIDE:
        return get_buffer_outside(reader);
    case PG_TAG_BYTES_OUTSIDE:
        return get_bytes_outside(reader);
    case PG_TAG_BYTEARRAY_OUTSIDE:
        return get_bytearray_outside(reader);
    case PG_TAG_SCALAR:
        return pg_get_scalar(reader);
    case PG_TAG_ARRAY:
        return pg_get_array(reader);
    case PG_TAG_PROXY:
        return pg_get_proxy(reader);
    case PG_TAG_PROXY_BESIDE:
        return pg_get_proxy_beside(reader);
    default:
        return pg_malformed("a value of no known kind");
    }
}

/* A value that may lead back to itself: it sees to its number itself. */
static PyObject *get_deep(pg_reader_t *reader, pg_tag_t tag, bool shared)
{
    switch (tag) {
    case PG_TAG_TUPLE:
        return pg_get_tuple(reader, shared, false);
    case PG_TAG_TUPLE_KNOWN:
        return pg_get_tuple(reader, false, true);
    case PG_TAG_LIST:
        return pg_get_list(reader, shared);
    case PG_TAG_DICT:
        return pg_get_dict(reader, shared);
    case PG_TAG_SET:
        return pg_get_set(reader, shared);
    case PG_TAG_FROZENSET:
        return pg_get_frozenset(reader, shared, false);
    case PG_TAG_FROZENSET_KNOWN:
        return pg_get_frozenset(reader, false, true);
    case PG_TAG_INSTANCE:
        return pg_get_instance(reader, shared);
    default:
        return pg_get_constructed(reader, tag);
    }
}

/* One level deeper. The encoder does not count the levels of a class or a dtype. */
#define DEPTH_MAX (PG_CODEC_DEPTH_MAX + 8)

static int enter(pg_reader_t *reader)
{
    if (reader->depth >= DEPTH_MAX) {
        pg_malformed("it is nested too deep");
        return -1;
    }
    reader->depth++;
    return 0;
}

PyObject *pg_get_value(pg_reader_t *reader)
{
    const uint8_t *byte = pg_get_bytes(reader, 1);
    PyObject *value;
    pg_tag_t tag;
    bool shared;

    if (byte == NULL)
        return NULL;
    tag = (pg_tag_t)(*byte & ~PG_TAG_SHARED);
    shared = (*byte & PG_TAG_SHARED) != 0;
    switch (tag) {
    case PG_TAG_AGAIN:
        return pg_get_numbered(reader);
    case PG_TAG_NONE:
        Py_RETURN_NONE;
    case PG_TAG_FALSE:
        Py_RETURN_FALSE;
    case PG_TAG_TRUE:
        Py_RETURN_TRUE;
    case PG_TAG_INT_8:
    case PG_TAG_INT_32:
    case PG_TAG_INT_64:
        return get_int(reader, tag);
    case PG_TAG_FLOAT:
        return get_float(reader);
    case PG_TAG_STR_ASCII:
    case PG_TAG_STR_1:
    case PG_TAG_STR_2:
    case PG_TAG_STR_4:
        value = pg_get_text(reader, tag, shared);
        break;
    case PG_TAG_BYTES:
        value = get_sized(reader, PyBytes_FromStringAndSize);
        break;
    case PG_TAG_LIST_OF_FLOATS:
        value = pg_get_floats(reader);
        break;
    case PG_TAG_LIST_OF_INTS:
        value = pg_get_ints(reader);
        break;
    case PG_TAG_TUPLE:
    case PG_TAG_TUPLE_KNOWN:
    case PG_TAG_LIST:
    case PG_TAG_DICT:
    case PG_TAG_SET:
    case PG_TAG_FROZENSET:
    case PG_TAG_FROZENSET_KNOWN:
    case PG_TAG_INSTANCE:
    case PG_TAG_CALL:
    case PG_TAG_NEW:
    case PG_TAG_NEW_KEYWORDS:
        if (enter(reader) < 0)
            return NULL;
        value = get_deep(reader, tag, shared);
        reader->depth--;
        return value;
    default:
        if (enter(reader) < 0)
            return NULL;
        value = get_rare(reader, tag);
        reader->depth--;
    }
    if (shared && value != NULL && pg_reader_number(reader, value) < 0)
        Py_CLEAR(value);
    return value;
}

/* ---- a whole object ---- */

static void reader_fini(pg_reader_t *reader)
{
    for (size_t i = 0; i < reader->count; i++)
        Py_DECREF(reader->objects[i]);
    if (reader->objects != reader->room)
        PyMem_Free(reader->objects);
}

PyObject *pg_codec_decode(const uint8_t *bytes, size_t length, const pg_beside_t *beside)
{
    pg_reader_t reader;
    PyObject *value;

    reader.at = bytes;
    reader.end = bytes + length;
    reader.views = beside->views;
    reader.view_count = beside->count;
    reader.views_used = 0;
    reader.adopts = beside->adopts;
    reader.proxies = beside->proxies;
    reader.references = beside->references;
    reader.depth = 0;
    reader.count = 0;
    reader.capacity = PG_READER_ROOM;
    reader.objects = reader.room;
    value = pg_get_value(&reader);
    if (value != NULL && (reader.at != reader.end || reader.views_used != beside->count)) {
        Py_CLEAR(value);
        pg_malformed("more comes than belongs to the value");
    }
    if (value != NULL) {
        reader_fini(&reader);
    } else { /* finalizers may run */
        PyObject *exception = PyErr_GetRaisedException();

        reader_fini(&reader);
        PyErr_SetRaisedException(exception);
    }
    return value;
}
