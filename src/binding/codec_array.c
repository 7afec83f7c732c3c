#include "codec_array.h"

#include "codec_object.h"
#include "numpy_api.h"

/* The largest scalar: two long doubles. */
#define SCALAR_MAX 32

/* What is to be known of a dtype. */
typedef struct layout {
    int code;             /* PG_ARRAY_OTHER: the dtype itself travels */
    Py_ssize_t item_size; /* 0: items are not plain bytes */
} layout_t;

bool pg_array_is_type(PyTypeObject *type)
{
    const pg_numpy_t *numpy = pg_numpy_if_loaded();

    return numpy != NULL && type == numpy->array_type;
}

int pg_scalar_code(PyTypeObject *type)
{
    const pg_numpy_t *numpy = pg_numpy_if_loaded();

    for (int code = 0; numpy != NULL && code < PG_NUMPY_TYPES; code++)
        if (numpy->scalars[code] == type)
            return code;
    return -1;
}

/* An attribute that is an int, or -1 with an exception. */
static Py_ssize_t int_attribute(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    Py_ssize_t number = value != NULL ? PyLong_AsSsize_t(value) : -1;

    Py_XDECREF(value);
    return number;
}

/* 0, or -1 with an exception. */
static int read_layout(const pg_numpy_t *numpy, PyObject *dtype, layout_t *layout)
{
    Py_ssize_t number, has_objects;

    for (int code = 0; code < PG_NUMPY_TYPES; code++) {
        if (numpy->dtypes[code] == dtype) {
            *layout = (layout_t){code, numpy->item_sizes[code]};
            return 0;
        }
    }
    *layout = (layout_t){PG_ARRAY_OTHER, 0};
    number = int_attribute(dtype, "num");
    has_objects = int_attribute(dtype, "hasobject");
    if (PyErr_Occurred())
        return -1;
    if (has_objects || number >= PG_NUMPY_TYPES) /* those beyond are types of the program */
        return 0;
    layout->item_size = int_attribute(dtype, "itemsize");
    return PyErr_Occurred() ? -1 : 0;
}

/* ---- encoding ---- */

static size_t item_count(const pg_ndarray_t *array)
{
    size_t count = 1;

    for (int i = 0; i < array->dimension_count; i++)
        count *= (size_t)array->dimensions[i];
    return count;
}

static int put_items(pg_writer_t *writer, pg_ndarray_t *array, size_t length, bool outside)
{
    /* The array keeps the memory; nobody can export it and then resize it. */
    Py_buffer view = {.buf = array->data, .len = (Py_ssize_t)length, .readonly = 1};

    if (!outside)
        return pg_put_bytes(writer, array->data, length);
    view.obj = Py_NewRef((PyObject *)array);
    view.readonly = (array->flags & PG_NUMPY_WRITEABLE) == 0;
    return pg_put_outside(writer, &view);
}

/* `array` is contiguous; `original` is what it was made from, or itself. */
static int put_contiguous(pg_writer_t *writer, pg_ndarray_t *array, const pg_ndarray_t *original,
                          const layout_t *layout)
{
    size_t length = item_count(array) * (size_t)layout->item_size;
    bool outside = pg_stays_outside(writer, length);
    bool fortran = (array->flags & PG_NUMPY_C_CONTIGUOUS) == 0;
    uint8_t head[3] = {(uint8_t)layout->code, 0, (uint8_t)array->dimension_count};

    if ((original->flags & PG_NUMPY_WRITEABLE) != 0)
        head[1] |= PG_ARRAY_WRITEABLE;
    head[1] |= (fortran ? PG_ARRAY_FORTRAN : 0) | (outside ? PG_ARRAY_OUTSIDE : 0);
    if (pg_put_tagged(writer, PG_TAG_ARRAY, head, sizeof(head)) < 0 ||
        pg_put_bytes(writer, array->dimensions,
                     (size_t)array->dimension_count * sizeof(Py_ssize_t)) < 0 ||
        (layout->code == PG_ARRAY_OTHER && pg_put_value(writer, array->dtype) < 0))
        return -1;
    return put_items(writer, array, length, outside);
}

int pg_put_array(pg_writer_t *writer, PyObject *object, bool recurs)
{
    const pg_numpy_t *numpy = pg_numpy_if_loaded();
    pg_ndarray_t *array = (pg_ndarray_t *)object;
    size_t tag_at = pg_writer_offset(writer);
    PyObject *copy = NULL;
    layout_t layout;
    int outcome;

    if (read_layout(numpy, array->dtype, &layout) < 0)
        return -1;
    if (layout.item_size == 0)
        return pg_put_by_hooks(writer, object, NULL);
    if ((array->flags & (PG_NUMPY_C_CONTIGUOUS | PG_NUMPY_F_CONTIGUOUS)) == 0) {
        copy = numpy->new_copy(object, 0);
        if (copy == NULL)
            return -1;
    }
    Py_INCREF(object);
    outcome = put_contiguous(writer, copy != NULL ? (pg_ndarray_t *)copy : array, array, &layout);
    Py_XDECREF(copy);
    Py_DECREF(object);
    return outcome == 0 && recurs ? pg_number(writer, object, tag_at) : outcome;
}

int pg_put_scalar(pg_writer_t *writer, PyObject *scalar, int code, bool recurs)
{
    const pg_numpy_t *numpy = pg_numpy_if_loaded();
    size_t tag_at = pg_writer_offset(writer);
    _Alignas(16) uint8_t bytes[SCALAR_MAX];
    uint8_t number = (uint8_t)code;

    numpy->scalar_as_c(scalar, bytes);
    if (pg_put_tagged(writer, PG_TAG_SCALAR, &number, 1) < 0 ||
        pg_put_bytes(writer, bytes, (size_t)numpy->item_sizes[code]) < 0)
        return -1;
    return recurs ? pg_number(writer, scalar, tag_at) : 0;
}

/* ---- decoding ---- */

typedef struct head {
    int code;
    uint8_t flags;
    int dimension_count;
    Py_ssize_t dimensions[PG_NUMPY_DIMENSIONS_MAX];
} head_t;

static int get_head(pg_reader_t *reader, head_t *head)
{
    const uint8_t *bytes = pg_get_bytes(reader, 3), *dimensions;

    if (bytes == NULL)
        return -1;
    head->code = bytes[0];
    head->flags = bytes[1];
    head->dimension_count = bytes[2];
    if (head->dimension_count > PG_NUMPY_DIMENSIONS_MAX) {
        pg_malformed("an array of too many dimensions");
        return -1;
    }
    dimensions = pg_get_bytes(reader, (size_t)head->dimension_count * sizeof(Py_ssize_t));
    if (dimensions == NULL)
        return -1;
    if (head->dimension_count > 0)
        memcpy(head->dimensions, dimensions, (size_t)head->dimension_count * sizeof(Py_ssize_t));
    return 0;
}

/* The dtype of the array, a new reference, and the size of its items. */
static PyObject *get_dtype(pg_reader_t *reader, const pg_numpy_t *numpy, int code, layout_t *layout)
{
    PyObject *dtype;

    if (code < PG_NUMPY_TYPES && numpy->dtypes[code] != NULL) {
        *layout = (layout_t){code, numpy->item_sizes[code]};
        return Py_NewRef(numpy->dtypes[code]);
    }
    if (code != PG_ARRAY_OTHER)
        return pg_malformed("an array of no known type");
    dtype = pg_get_value(reader);
    if (dtype == NULL)
        return NULL;
    if (!PyObject_TypeCheck(dtype, numpy->dtype_type)) {
        Py_DECREF(dtype);
        return pg_malformed("an array of something that is no dtype");
    }
    if (read_layout(numpy, dtype, layout) < 0 || layout->item_size <= 0) {
        Py_DECREF(dtype);
        return pg_malformed("an array of items that are not plain bytes");
    }
    return dtype;
}

/* The bytes of all items, or -1 with an exception. */
static Py_ssize_t length_of(const head_t *head, Py_ssize_t item_size)
{
    Py_ssize_t length = item_size;

    for (int i = 0; i < head->dimension_count; i++) {
        if (head->dimensions[i] < 0 ||
            __builtin_mul_overflow(length, head->dimensions[i], &length)) {
            pg_malformed("an array of impossible dimensions");
            return -1;
        }
    }
    return length;
}

/* Steals `dtype`. */
static PyObject *get_inside(pg_reader_t *reader, const pg_numpy_t *numpy, const head_t *head,
                            PyObject *dtype, Py_ssize_t length)
{
    const uint8_t *bytes = pg_get_bytes(reader, (size_t)length);
    PyObject *array;

    if (bytes == NULL) {
        Py_DECREF(dtype);
        return NULL;
    }
    array = numpy->new_from_dtype(numpy->array_type, dtype, head->dimension_count, head->dimensions,
                                  NULL, NULL, (head->flags & PG_ARRAY_FORTRAN) != 0, NULL);
    if (array == NULL)
        return pg_malformed_unless_memory("an array that NumPy does not accept");
    memcpy(((pg_ndarray_t *)array)->data, bytes, (size_t)length);
    if ((head->flags & PG_ARRAY_WRITEABLE) == 0)
        ((pg_ndarray_t *)array)->flags &= ~PG_NUMPY_WRITEABLE;
    return array;
}

/* What keeps the memory of a buffer: a new reference. A bytearray could be resized by whoever looks
 * at the array's base, unless somebody has exported it. */
static PyObject *base_of(const Py_buffer *view)
{
    return PyByteArray_Check(view->obj) ? PyMemoryView_FromObject(view->obj) : Py_NewRef(view->obj);
}

/* Steals `dtype`. */
static PyObject *get_outside(pg_reader_t *reader, const pg_numpy_t *numpy, const head_t *head,
                             PyObject *dtype, Py_ssize_t length)
{
    const Py_buffer *view = pg_get_outside(reader);
    PyObject *array, *base;
    int flags = 0;

    if (view != NULL && view->len != length)
        pg_malformed("a buffer that does not fit its array");
    if (view == NULL || view->len != length) {
        Py_DECREF(dtype);
        return NULL;
    }
    if ((head->flags & PG_ARRAY_WRITEABLE) != 0 && !view->readonly)
        flags |= PG_NUMPY_WRITEABLE;
    if ((head->flags & PG_ARRAY_FORTRAN) != 0)
        flags |= PG_NUMPY_F_CONTIGUOUS;
    array = numpy->new_from_dtype(numpy->array_type, dtype, head->dimension_count, head->dimensions,
                                  NULL, view->buf, flags, NULL);
    if (array == NULL)
        return pg_malformed_unless_memory("an array that NumPy does not accept");
    base = base_of(view);
    if (base == NULL || numpy->set_base(array, base) < 0)
        Py_CLEAR(array);
    return array;
}

PyObject *pg_get_array(pg_reader_t *reader)
{
    const pg_numpy_t *numpy = pg_numpy_load();
    Py_ssize_t length;
    PyObject *dtype;
    layout_t layout = {0};
    head_t head;

    if (numpy == NULL || get_head(reader, &head) < 0)
        return NULL;
    dtype = get_dtype(reader, numpy, head.code, &layout);
    if (dtype == NULL)
        return NULL;
    length = length_of(&head, layout.item_size);
    if (length < 0) {
        Py_DECREF(dtype);
        return NULL;
    }
    if ((head.flags & PG_ARRAY_OUTSIDE) != 0)
        return get_outside(reader, numpy, &head, dtype, length);
    return get_inside(reader, numpy, &head, dtype, length);
}

PyObject *pg_get_scalar(pg_reader_t *reader)
{
    const pg_numpy_t *numpy = pg_numpy_load();
    const uint8_t *code = numpy != NULL ? pg_get_bytes(reader, 1) : NULL, *bytes;
    _Alignas(16) uint8_t room[SCALAR_MAX];

    if (code == NULL)
        return NULL;
    if (*code >= PG_NUMPY_TYPES || numpy->scalars[*code] == NULL)
        return pg_malformed("a scalar of no known type");
    bytes = pg_get_bytes(reader, (size_t)numpy->item_sizes[*code]);
    if (bytes == NULL)
        return NULL;
    memcpy(room, bytes, (size_t)numpy->item_sizes[*code]);
    return numpy->scalar(room, numpy->dtypes[*code], NULL);
}
