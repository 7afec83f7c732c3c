/*
 * Design notes. `lock` guards the table, for free-threaded builds and for callers that may switch
 * threads; no Python code runs while it is held. `ids` maps an object's address to its index, for
 * as long as the entry keeps the object alive.
 */
#include "exports.h"

#include <pthread.h>

typedef struct entry {
    PyObject *object; /* NULL: free */
    uint32_t generation;
} entry_t;

static struct {
    pthread_mutex_t lock;
    entry_t *entries;
    uint32_t used, capacity;
    PyObject *ids; /* dict: address -> index */
} exports = {.lock = PTHREAD_MUTEX_INITIALIZER};

int pg_exports_init(void)
{
    exports.ids = PyDict_New();
    return exports.ids != NULL ? 0 : -1;
}

void pg_exports_clear(void)
{
    entry_t *entries;
    uint32_t used;

    pthread_mutex_lock(&exports.lock);
    entries = exports.entries;
    used = exports.used;
    exports.entries = NULL;
    exports.used = exports.capacity = 0;
    pthread_mutex_unlock(&exports.lock);
    PyDict_Clear(exports.ids);
    for (uint32_t i = 0; i < used; i++)
        Py_XDECREF(entries[i].object);
    free(entries);
}

static int entries_grow(void)
{
    uint32_t capacity = exports.capacity > 0 ? exports.capacity * 2 : 64;
    entry_t *entries;

    if (capacity < exports.capacity)
        return -1;
    entries = realloc(exports.entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return -1;
    exports.entries = entries;
    exports.capacity = capacity;
    return 0;
}

static uint64_t make_id(uint32_t index)
{
    return (uint64_t)exports.entries[index].generation << 32 | index;
}

int pg_exports_add(PyObject *object, uint64_t *id)
{
    PyObject *address = PyLong_FromVoidPtr(object);
    PyObject *index = address != NULL ? PyDict_GetItemWithError(exports.ids, address) : NULL;
    int failed = 0;

    if (index != NULL) {
        *id = make_id((uint32_t)PyLong_AsUnsignedLong(index));
        Py_DECREF(address);
        return 0;
    }
    if (address == NULL || PyErr_Occurred()) {
        Py_XDECREF(address);
        return -1;
    }
    pthread_mutex_lock(&exports.lock);
    if (exports.used < exports.capacity || entries_grow() == 0) {
        exports.entries[exports.used] = (entry_t){Py_NewRef(object), 1};
        *id = make_id(exports.used++);
    } else {
        failed = 1;
    }
    pthread_mutex_unlock(&exports.lock);
    if (failed) {
        PyErr_NoMemory();
    } else {
        index = PyLong_FromUnsignedLong((uint32_t)*id);
        failed = index == NULL || PyDict_SetItem(exports.ids, address, index) < 0;
        Py_XDECREF(index);
    }
    Py_DECREF(address);
    return failed ? -1 : 0;
}

PyObject *pg_exports_get(uint64_t id)
{
    uint32_t index = (uint32_t)id, generation = (uint32_t)(id >> 32);
    PyObject *object = NULL;

    pthread_mutex_lock(&exports.lock);
    if (index < exports.used && exports.entries[index].generation == generation)
        object = Py_XNewRef(exports.entries[index].object);
    pthread_mutex_unlock(&exports.lock);
    if (object == NULL)
        PyErr_Format(PyExc_ReferenceError, "rank %d has no shared object %u.%u (any more)", pg.rank,
                     index, generation);
    return object;
}
