#include "codec_memo.h"

#include <string.h>

void pg_memo_init(pg_memo_t *memo)
{
    memo->objects = memo->room;
    memo->count = 0;
    memo->capacity = PG_MEMO_ROOM;
    memo->table = NULL;
    memo->mask = 0;
}

void pg_memo_fini(pg_memo_t *memo)
{
    for (size_t i = 0; i < memo->count; i++)
        Py_DECREF(memo->objects[i]);
    if (memo->objects != memo->room)
        PyMem_Free(memo->objects);
    PyMem_Free(memo->table);
}

static size_t hash_of(const pg_memo_t *memo, PyObject *object)
{
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 4) * UINT64_C(0x9E3779B97F4A7C15);

    return (size_t)(hash >> 32) & memo->mask;
}

static size_t place_of(const pg_memo_t *memo, PyObject *object)
{
    size_t place = hash_of(memo, object);

    while (memo->table[place] != 0 && memo->objects[memo->table[place] - 1] != object)
        place = (place + 1) & memo->mask;
    return place;
}

Py_ssize_t pg_memo_find(const pg_memo_t *memo, PyObject *object)
{
    if (memo->table != NULL)
        return (Py_ssize_t)memo->table[place_of(memo, object)] - 1;
    for (size_t i = memo->count; i-- > 0;)
        if (memo->objects[i] == object)
            return (Py_ssize_t)i;
    return -1;
}

/* A table four times as large as the objects there will be room for. */
static int table_grow(pg_memo_t *memo, size_t capacity)
{
    size_t places = 64;

    while (places < 2 * capacity)
        places *= 2;
    PyMem_Free(memo->table);
    memo->table = PyMem_Calloc(places, sizeof(*memo->table));
    if (memo->table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memo->mask = places - 1;
    for (size_t i = 0; i < memo->count; i++)
        memo->table[place_of(memo, memo->objects[i])] = (uint32_t)i + 1;
    return 0;
}

static int memo_grow(pg_memo_t *memo)
{
    size_t capacity = memo->capacity * 4;
    PyObject **objects;

    if (capacity >= UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a value of too many objects for one message");
        return -1;
    }
    objects = PyMem_Malloc(capacity * sizeof(*objects));
    if (objects == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(objects, memo->objects, memo->count * sizeof(*objects));
    if (memo->objects != memo->room)
        PyMem_Free(memo->objects);
    memo->objects = objects;
    memo->capacity = capacity;
    return table_grow(memo, capacity);
}

int pg_memo_add(pg_memo_t *memo, PyObject *object)
{
    if (memo->count == memo->capacity && memo_grow(memo) < 0)
        return -1;
    if (memo->table != NULL)
        memo->table[place_of(memo, object)] = (uint32_t)memo->count + 1;
    memo->objects[memo->count++] = Py_NewRef(object);
    return 0;
}
