/* Encoding tuples, lists, dicts and sets, and what comes out of the iterators of a reduction. */
#include "codec_write.h"
#include "compat.h"

/* Fewer items are not worth a look at whether they are all of one kind. */
#define UNIFORM_MIN 5

/* An immutable container is complete: it gets its number, unless it was met again within itself and
 * has one. `known` is the tag that says so. */
static int number_late(pg_writer_t *writer, PyObject *value, size_t tag_at, unsigned known)
{
    Py_ssize_t number = pg_memo_find(&writer->memo, value);

    if (number < 0)
        return pg_number(writer, value, tag_at);
    writer->start[tag_at] = (uint8_t)known;
    return pg_put_size(writer, (size_t)number);
}

/* A container had `size` items when its head was written, at `tag_at`, and turned out to have
 * `count`, since hooks changed it. */
static int patch_size(pg_writer_t *writer, size_t tag_at, size_t size, size_t count)
{
    uint64_t wide = count;

    if (size >= PG_SIZE_LONG) {
        memcpy(writer->start + tag_at + 2, &wide, sizeof(wide));
        return 0;
    }
    if (count < PG_SIZE_LONG) {
        writer->start[tag_at + 1] = (uint8_t)count;
        return 0;
    }
    if (pg_reserve(writer, sizeof(wide)) < 0)
        return -1;
    memmove(writer->start + tag_at + 2 + sizeof(wide), writer->start + tag_at + 2,
            pg_writer_offset(writer) - tag_at - 2);
    writer->start[tag_at + 1] = PG_SIZE_LONG;
    memcpy(writer->start + tag_at + 2, &wide, sizeof(wide));
    writer->at += sizeof(wide);
    return 0;
}

/* ---- lists of one kind ---- */

/* In these two: 1: written; 0: the items are of other kinds, and nothing is written; -1. No code of
 * anybody runs in them. */

static int put_floats(pg_writer_t *writer, PyObject *list)
{
    size_t count = (size_t)PyList_GET_SIZE(list);
    uint8_t *at;

    if (pg_put_head(writer, PG_TAG_LIST_OF_FLOATS, count) < 0 ||
        pg_reserve(writer, count * sizeof(double)) < 0)
        return -1;
    at = writer->at;
    for (size_t i = 0; i < count; i++, at += sizeof(double)) {
        PyObject *item = PyList_GET_ITEM(list, (Py_ssize_t)i);
        double number;

        if (!PyFloat_CheckExact(item))
            return 0;
        number = PyFloat_AS_DOUBLE(item);
        memcpy(at, &number, sizeof(number));
    }
    writer->at = at;
    return 1;
}

/* Makes `count` integers of eight bytes in place into some of `width` bytes. */
static void narrow(uint8_t *at, size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++) {
        int64_t number;
        int32_t word;
        int16_t half;

        memcpy(&number, at + i * sizeof(number), sizeof(number));
        word = (int32_t)number;
        half = (int16_t)number;
        if (width == 1)
            at[i] = (uint8_t)number;
        else if (width == 2)
            memcpy(at + i * sizeof(half), &half, sizeof(half));
        else
            memcpy(at + i * sizeof(word), &word, sizeof(word));
    }
}

static int put_ints(pg_writer_t *writer, PyObject *list)
{
    size_t count = (size_t)PyList_GET_SIZE(list), width_at, width = 8;
    uint64_t bits = 0; /* the ones that a number or its complement has, in any of them */
    uint8_t *at;

    if (pg_put_byte(writer, PG_TAG_LIST_OF_INTS) < 0)
        return -1;
    width_at = pg_writer_offset(writer);
    if (pg_put_byte(writer, 0) < 0 || pg_put_size(writer, count) < 0 ||
        pg_reserve(writer, count * sizeof(int64_t)) < 0)
        return -1;
    at = writer->at;
    for (size_t i = 0; i < count; i++) {
        PyObject *item = PyList_GET_ITEM(list, (Py_ssize_t)i);
        int64_t number;
        int overflow = 0;

        if (!PyLong_CheckExact(item))
            return 0;
        if (!pg_long_small(item, &number))
            number = PyLong_AsLongLongAndOverflow(item, &overflow);
        if (overflow != 0)
            return 0;
        bits |= (uint64_t)(number ^ (number >> 63));
        memcpy(at + i * sizeof(number), &number, sizeof(number));
    }
    if (bits < 0x80)
        width = 1;
    else if (bits < 0x8000)
        width = 2;
    else if (bits < 0x80000000)
        width = 4;
    if (width < 8)
        narrow(at, count, width);
    writer->start[width_at] = (uint8_t)width;
    writer->at = at + count * width;
    return 1;
}

/* A list of at least UNIFORM_MIN items that are all floats, or all small integers: 1; 0: it is not,
 * and nothing was written; or -1. Runs no Python code, so the list can be held meanwhile. */
static int put_uniform_locked(pg_writer_t *writer, PyObject *list)
{
    Py_ssize_t last = PyList_GET_SIZE(list) - 1;
    size_t offset = pg_writer_offset(writer);
    PyTypeObject *type;
    int written;

    if (last + 1 < UNIFORM_MIN)
        return 0;
    type = Py_TYPE(PyList_GET_ITEM(list, 0));
    if (Py_TYPE(PyList_GET_ITEM(list, last)) != type)
        return 0;
    if (type == &PyFloat_Type)
        written = put_floats(writer, list);
    else if (type == &PyLong_Type)
        written = put_ints(writer, list);
    else
        return 0;
    if (written == 0)
        writer->at = writer->start + offset;
    return written;
}

/* ---- sequences ---- */

static int put_list_items(pg_writer_t *writer, PyObject *list, size_t tag_at, size_t size)
{
    size_t count = 0;

    /* Hooks may change the list; it is asked for its size every time. */
    for (; count < (size_t)PyList_GET_SIZE(list); count++) {
#ifdef Py_GIL_DISABLED
        PyObject *item = PyList_GetItemRef(list, (Py_ssize_t)count);
        int outcome;

        if (item == NULL) {
            PyErr_Clear();
            break;
        }
        outcome = pg_put_value(writer, item);
        Py_DECREF(item);
        if (outcome < 0)
            return -1;
#else
        if (pg_put_value(writer, PyList_GET_ITEM(list, (Py_ssize_t)count)) < 0)
            return -1;
#endif
    }
    return count == size ? 0 : patch_size(writer, tag_at, size, count);
}

static int put_list(pg_writer_t *writer, PyObject *list, bool recurs)
{
    size_t size = (size_t)PyList_GET_SIZE(list), tag_at = pg_writer_offset(writer);
    int uniform;

    Py_BEGIN_CRITICAL_SECTION(list);
    uniform = put_uniform_locked(writer, list);
    Py_END_CRITICAL_SECTION();
    if (uniform < 0)
        return -1;
    if (uniform > 0)
        return recurs ? pg_number(writer, list, tag_at) : 0;
    if (pg_put_head(writer, PG_TAG_LIST, size) < 0 ||
        (recurs && pg_number(writer, list, tag_at) < 0) || pg_writer_enter(writer, list) < 0)
        return -1;
    return pg_writer_leave(writer, list, put_list_items(writer, list, tag_at, size));
}

static int put_tuple_items(pg_writer_t *writer, PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++)
        if (pg_put_value(writer, PyTuple_GET_ITEM(tuple, i)) < 0)
            return -1;
    return 0;
}

static int put_tuple(pg_writer_t *writer, PyObject *tuple, bool recurs)
{
    size_t size = (size_t)PyTuple_GET_SIZE(tuple), tag_at = pg_writer_offset(writer);

    if (pg_put_head(writer, PG_TAG_TUPLE, size) < 0)
        return -1;
    if (size == 0)
        return 0;
    if (pg_writer_enter(writer, tuple) < 0)
        return -1;
    if (pg_writer_leave(writer, tuple, put_tuple_items(writer, tuple)) < 0)
        return -1;
    return recurs ? number_late(writer, tuple, tag_at, PG_TAG_TUPLE_KNOWN) : 0;
}

int pg_put_sequence(pg_writer_t *writer, PyObject *value)
{
    bool recurs = pg_may_recur(writer, value, 0);

    if (recurs) {
        int again = pg_put_again(writer, value);

        if (again != 0)
            return again < 0 ? -1 : 0;
    }
    return PyTuple_CheckExact(value) ? put_tuple(writer, value, recurs)
                                     : put_list(writer, value, recurs);
}

/* ---- dicts and sets ---- */

static int changed(const char *what)
{
    PyErr_Format(PyExc_RuntimeError, "%s changed size during iteration", what);
    return -1;
}

static bool is_plain(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyFloat_CheckExact(key);
}

static int put_pair(pg_writer_t *writer, PyObject *key, PyObject *value)
{
    int outcome;

    if (is_plain(key))
        return pg_put_value(writer, key) < 0 ? -1 : pg_put_value(writer, value);
    Py_INCREF(value); /* writing the key may run hooks */
    outcome = pg_put_value(writer, key) < 0 ? -1 : pg_put_value(writer, value);
    Py_DECREF(value);
    return outcome;
}

int pg_put_pairs(pg_writer_t *writer, PyObject *dict)
{
    Py_ssize_t size = PyDict_GET_SIZE(dict), position = 0, count = 0;
    PyObject *key, *value;

    while (count < size && PyDict_Next(dict, &position, &key, &value)) {
        if (put_pair(writer, key, value) < 0)
            return -1;
        if (PyDict_GET_SIZE(dict) != size)
            return changed("dictionary");
        count++;
    }
    return count == size ? 0 : changed("dictionary");
}

static int put_dict(pg_writer_t *writer, PyObject *dict, PyObject *twin, bool recurs)
{
    size_t tag_at = pg_writer_offset(writer);

    if (pg_put_head(writer, PG_TAG_DICT, (size_t)PyDict_GET_SIZE(twin)) < 0 ||
        (recurs && pg_number(writer, dict, tag_at) < 0) || pg_writer_enter(writer, dict) < 0)
        return -1;
    return pg_writer_leave(writer, dict, pg_put_pairs(writer, twin));
}

static int put_members(pg_writer_t *writer, PyObject *set, Py_ssize_t size)
{
    PyObject *iterator = PyObject_GetIter(set), *item = NULL;
    Py_ssize_t count = 0;

    if (iterator == NULL)
        return -1;
    while (count <= size && (item = PyIter_Next(iterator)) != NULL) {
        int outcome;

        if (is_plain(item)) { /* the set has it, and nothing takes it out meanwhile */
            Py_DECREF(item);
            outcome = pg_put_value(writer, item);
        } else {
            outcome = pg_put_value(writer, item);
            Py_DECREF(item);
        }
        if (outcome < 0) {
            Py_DECREF(iterator);
            return -1;
        }
        count++;
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred())
        return -1;
    return count == size ? 0 : changed("set");
}

static int put_set(pg_writer_t *writer, PyObject *set, PyObject *twin, bool recurs)
{
    bool frozen = PyFrozenSet_CheckExact(set);
    size_t tag_at = pg_writer_offset(writer);
    Py_ssize_t size = PySet_GET_SIZE(twin);

    if (pg_put_head(writer, frozen ? PG_TAG_FROZENSET : PG_TAG_SET, (size_t)size) < 0 ||
        (recurs && !frozen && pg_number(writer, set, tag_at) < 0) ||
        pg_writer_enter(writer, set) < 0)
        return -1;
    if (pg_writer_leave(writer, set, put_members(writer, twin, size)) < 0)
        return -1;
    return recurs && frozen ? number_late(writer, set, tag_at, PG_TAG_FROZENSET_KNOWN) : 0;
}

typedef int (*put_fn)(pg_writer_t *writer, PyObject *table, PyObject *twin, bool recurs);

/* A dict or a set, if it was not met before. `put` writes the contents of its twin, which no other
 * thread changes: itself or, without an interpreter lock, a copy. */
static inline int put_table(pg_writer_t *writer, PyObject *table, put_fn put,
                            PyObject *(*copy)(PyObject *table))
{
    bool recurs = pg_may_recur(writer, table, 0);

    if (recurs) {
        int again = pg_put_again(writer, table);

        if (again != 0)
            return again < 0 ? -1 : 0;
    }
#ifdef Py_GIL_DISABLED
    PyObject *twin = copy(table);
    int outcome = twin != NULL ? put(writer, table, twin, recurs) : -1;

    Py_XDECREF(twin);
    return outcome;
#else
    (void)copy;
    return put(writer, table, table, recurs);
#endif
}

int pg_put_dict(pg_writer_t *writer, PyObject *dict)
{
    return put_table(writer, dict, put_dict, PyDict_Copy);
}

int pg_put_set(pg_writer_t *writer, PyObject *set)
{
    return put_table(writer, set, put_set, PyFrozenSet_New); /* a frozenset is its own copy */
}

/* ---- iterators of a reduction ---- */

/* Writes what the iterator gives, at most a batch. How many, or -1. */
static int put_batch(pg_writer_t *writer, PyObject *iterator, bool pairs)
{
    PyObject *item;
    int count = 0;

    while (count < PG_BATCH_MAX && (item = PyIter_Next(iterator)) != NULL) {
        int outcome;

        if (!pairs) {
            outcome = pg_put_value(writer, item);
        } else if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "dict items iterator must return 2-tuples");
            outcome = -1;
        } else {
            outcome = pg_put_value(writer, PyTuple_GET_ITEM(item, 0));
            if (outcome == 0)
                outcome = pg_put_value(writer, PyTuple_GET_ITEM(item, 1));
        }
        Py_DECREF(item);
        if (outcome < 0)
            return -1;
        count++;
    }
    return PyErr_Occurred() ? -1 : count;
}

int pg_put_items(pg_writer_t *writer, PyObject *iterator, bool pairs)
{
    for (;;) {
        size_t count_at = pg_writer_offset(writer);
        uint16_t wide = 0;
        int count;

        if (pg_put_bytes(writer, &wide, sizeof(wide)) < 0)
            return -1;
        count = put_batch(writer, iterator, pairs);
        if (count < 0)
            return -1;
        wide = (uint16_t)count;
        memcpy(writer->start + count_at, &wide, sizeof(wide));
        if (count == 0)
            return 0;
    }
}
