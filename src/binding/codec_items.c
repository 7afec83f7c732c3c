/* Decoding tuples, lists, dicts and sets. */
#include "codec_read.h"
#include "compat.h"

/* Dicts of more keys than the first number are made with room for them, but not for more than the
 * second, as keys in the stream may be two bytes. */
#define DICT_SMALL 5
#define DICT_LARGE 4096

/* ---- tuples and lists ---- */

/* What pg_get_tuple() and the like return for an object that was met again within itself: the one
 * that has the number which comes next. Takes over `twin`. */
static PyObject *known_instead(pg_reader_t *reader, PyObject *twin)
{
    Py_DECREF(twin);
    return pg_get_numbered(reader);
}

PyObject *pg_get_tuple(pg_reader_t *reader, bool shared, bool known)
{
    PyObject *tuple;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0)
        return NULL;
    tuple = PyTuple_New((Py_ssize_t)size);
    for (size_t i = 0; tuple != NULL && i < size; i++) {
        PyObject *item = pg_get_value(reader);

        if (item != NULL)
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
        else
            Py_CLEAR(tuple);
    }
    if (tuple != NULL && known)
        return known_instead(reader, tuple);
    if (tuple != NULL && shared && pg_reader_number(reader, tuple) < 0)
        Py_CLEAR(tuple);
    return tuple;
}

int pg_list_append(PyObject *list, PyObject *item)
{
    int outcome;

#ifndef Py_GIL_DISABLED
    PyListObject *self = (PyListObject *)list;

    if (Py_SIZE(self) < self->allocated) { /* the room that new_list() made */
        Py_ssize_t size = Py_SIZE(self);

        self->ob_item[size] = item;
        Py_SET_SIZE(self, size + 1);
        return 0;
    }
#endif
    outcome = PyList_Append(list, item);
    Py_DECREF(item);
    return outcome;
}

/* An empty list with room for `size` items: none of them shows before it is there. */
static PyObject *new_list(size_t size)
{
#ifdef Py_GIL_DISABLED
    (void)size;
    return PyList_New(0);
#else
    PyObject *list = PyList_New((Py_ssize_t)size);

    if (list != NULL)
        Py_SET_SIZE((PyVarObject *)list, 0);
    return list;
#endif
}

PyObject *pg_get_list(pg_reader_t *reader, bool shared)
{
    PyObject *list;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0)
        return NULL;
    list = new_list(size);
    if (list != NULL && shared && pg_reader_number(reader, list) < 0)
        Py_CLEAR(list);
    for (size_t i = 0; list != NULL && i < size; i++) {
        PyObject *item = pg_get_value(reader);

        if (item == NULL || pg_list_append(list, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

PyObject *pg_get_floats(pg_reader_t *reader)
{
    const uint8_t *bytes;
    PyObject *list;
    size_t size;

    if (pg_get_size(reader, sizeof(double), &size) < 0 ||
        (bytes = pg_get_bytes(reader, size * sizeof(double))) == NULL)
        return NULL;
    list = PyList_New((Py_ssize_t)size);
    for (size_t i = 0; list != NULL && i < size; i++) {
        PyObject *item;
        double number;

        memcpy(&number, bytes + i * sizeof(number), sizeof(number));
        item = PyFloat_FromDouble(number);
        if (item != NULL)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* The signed integer of `width` bytes. */
static int64_t int_at(const uint8_t *bytes, size_t width)
{
    int64_t number;
    int32_t word;
    int16_t half;

    switch (width) {
    case 1:
        return (int8_t)*bytes;
    case 2:
        memcpy(&half, bytes, sizeof(half));
        return half;
    case 4:
        memcpy(&word, bytes, sizeof(word));
        return word;
    default:
        memcpy(&number, bytes, sizeof(number));
        return number;
    }
}

PyObject *pg_get_ints(pg_reader_t *reader)
{
    const uint8_t *bytes = pg_get_bytes(reader, 1);
    size_t width, size;
    PyObject *list;

    if (bytes == NULL)
        return NULL;
    width = *bytes;
    if (width != 1 && width != 2 && width != 4 && width != 8)
        return pg_malformed("integers of an odd width");
    if (pg_get_size(reader, width, &size) < 0 ||
        (bytes = pg_get_bytes(reader, size * width)) == NULL)
        return NULL;
    list = PyList_New((Py_ssize_t)size);
    for (size_t i = 0; list != NULL && i < size; i++) {
        PyObject *item = PyLong_FromLongLong(int_at(bytes + i * width, width));

        if (item != NULL)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* ---- dicts and sets ---- */

int pg_get_pairs(pg_reader_t *reader, PyObject *dict, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *key = pg_get_value(reader);
        PyObject *value = key != NULL ? pg_get_value(reader) : NULL;
        int outcome = value != NULL ? PyDict_SetItem(dict, key, value) : -1;

        Py_XDECREF(key);
        Py_XDECREF(value);
        if (outcome < 0)
            return -1;
    }
    return 0;
}

PyObject *pg_get_dict(pg_reader_t *reader, bool shared)
{
    PyObject *dict;
    size_t size;

    if (pg_get_size(reader, 2, &size) < 0)
        return NULL;
    dict = PyDict_New();
    if (dict != NULL &&
        ((shared && pg_reader_number(reader, dict) < 0) || pg_get_pairs(reader, dict, size) < 0))
        Py_CLEAR(dict);
    return dict;
}

static int get_members(pg_reader_t *reader, PyObject *set, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        PyObject *item = pg_get_value(reader);
        int outcome = item != NULL ? PySet_Add(set, item) : -1;

        Py_XDECREF(item);
        if (outcome < 0)
            return -1;
    }
    return 0;
}

PyObject *pg_get_set(pg_reader_t *reader, bool shared)
{
    PyObject *set;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0)
        return NULL;
    set = PySet_New(NULL);
    if (set != NULL &&
        ((shared && pg_reader_number(reader, set) < 0) || get_members(reader, set, size) < 0))
        Py_CLEAR(set);
    return set;
}

PyObject *pg_get_frozenset(pg_reader_t *reader, bool shared, bool known)
{
    PyObject *set, *frozen;
    size_t size;

    if (pg_get_size(reader, 1, &size) < 0)
        return NULL;
    set = PySet_New(NULL);
    if (set != NULL && get_members(reader, set, size) < 0)
        Py_CLEAR(set);
    if (set == NULL)
        return NULL;
    frozen = PyFrozenSet_New(set);
    Py_DECREF(set);
    if (frozen != NULL && known)
        return known_instead(reader, frozen);
    if (frozen != NULL && shared && pg_reader_number(reader, frozen) < 0)
        Py_CLEAR(frozen);
    return frozen;
}
