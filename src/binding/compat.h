/* What newer CPython offers and older versions lack. */
#ifndef PYGAS_BINDING_COMPAT_H
#define PYGAS_BINDING_COMPAT_H

#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if PY_VERSION_HEX < 0x030C0000

/* The exception that is set, as one object with its traceback, which is no longer set then. */
static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

/* Sets `exception` and takes over the reference. */
static inline void PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exception));

    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}

#endif

/* Integers: the bytes of two's complement, little endian. */
#if PY_VERSION_HEX >= 0x030D0000

static inline size_t pg_long_size(PyObject *value)
{
    return (size_t)PyLong_AsNativeBytes(value, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

static inline int pg_long_store(PyObject *value, uint8_t *bytes, size_t size)
{
    return PyLong_AsNativeBytes(value, bytes, (Py_ssize_t)size, Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0
               ? -1
               : 0;
}

static inline PyObject *pg_long_load(const uint8_t *bytes, size_t size)
{
    return PyLong_FromNativeBytes(bytes, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

#else

static inline size_t pg_long_size(PyObject *value)
{
    return _PyLong_NumBits(value) / 8 + 1;
}

static inline int pg_long_store(PyObject *value, uint8_t *bytes, size_t size)
{
    return _PyLong_AsByteArray((PyLongObject *)value, bytes, size, 1, 1);
}

static inline PyObject *pg_long_load(const uint8_t *bytes, size_t size)
{
    return _PyLong_FromByteArray(bytes, size, 1, 1);
}

#endif

/* True, and *number set, if the int `value` is a small one that needs no function to tell. */
static inline bool pg_long_small(PyObject *value, int64_t *number)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)value))
        return false;
    *number = PyUnstable_Long_CompactValue((PyLongObject *)value);
#else
    if (Py_SIZE(value) < -1 || Py_SIZE(value) > 1)
        return false;
    *number = Py_SIZE(value) * (int64_t)((PyLongObject *)value)->ob_digit[0];
#endif
    return true;
}

/* The attribute `name`, a new reference, in *attribute: 1; NULL if there is none: 0; or -1. */
static inline int pg_attribute(PyObject *object, PyObject *name, PyObject **attribute)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(object, name, attribute);
#else
    return _PyObject_LookupAttr(object, name, attribute);
#endif
}

#if PY_VERSION_HEX < 0x030D0000

/* What a weak reference refers to, a new reference: 1, or 0 and NULL if that has gone. */
static inline int PyWeakref_GetRef(PyObject *reference, PyObject **object)
{
    PyObject *found = PyWeakref_GetObject(reference);

    *object = found != Py_None ? Py_NewRef(found) : NULL;
    return *object != NULL;
}

/* These builds have one interpreter lock, under which such a section is. No Python code may run in
 * it. */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }

/* Hands the exception that is set to sys.unraisablehook, with the text "Exception ignored <where>".
 */
static inline void pg_unraisable(const char *where)
{
    _PyErr_WriteUnraisableMsg(where, NULL);
}

#else

static inline void pg_unraisable(const char *where)
{
    PyErr_FormatUnraisable("Exception ignored %s", where);
}

#endif

/*
 * Free-threaded builds have no interpreter lock (if nobody switches it on). What attached threads
 * share needs one of these there; on other builds they are nothing.
 *
 * What pg_type_find() and pg_dict_find() find is good until pg_found_drop(): borrowed where nobody
 * can take it away meanwhile, else a reference. NULL: not there; pg_dict_find() may have set an
 * exception then.
 *
 * pg_mutex_t is a mutex for attached threads: who waits for it is detached meanwhile. No code of
 * anybody may run under it, as that could come for it again.
 */
#ifdef Py_GIL_DISABLED

static inline PyObject *pg_type_find(PyTypeObject *type, PyObject *name)
{
    return _PyType_LookupRef(type, name);
}

static inline PyObject *pg_dict_find(PyObject *dict, PyObject *key)
{
    PyObject *found;

    return PyDict_GetItemRef(dict, key, &found) > 0 ? found : NULL;
}

static inline void pg_found_drop(PyObject *found)
{
    Py_XDECREF(found);
}

typedef PyMutex pg_mutex_t;

static inline void pg_mutex_lock(pg_mutex_t *mutex)
{
    PyMutex_Lock(mutex);
}

static inline void pg_mutex_unlock(pg_mutex_t *mutex)
{
    PyMutex_Unlock(mutex);
}

/* A count of references that attached threads have. */
typedef atomic_size_t pg_count_t;

static inline void pg_count_add(pg_count_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/* True if that was the last one. */
static inline bool pg_count_drop(pg_count_t *count)
{
    return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}

#else

static inline PyObject *pg_type_find(PyTypeObject *type, PyObject *name)
{
    return _PyType_Lookup(type, name);
}

static inline PyObject *pg_dict_find(PyObject *dict, PyObject *key)
{
    return PyDict_GetItemWithError(dict, key);
}

static inline void pg_found_drop(PyObject *found)
{
    (void)found;
}

typedef struct pg_mutex {
    char none;
} pg_mutex_t;

static inline void pg_mutex_lock(pg_mutex_t *mutex)
{
    (void)mutex;
}

static inline void pg_mutex_unlock(pg_mutex_t *mutex)
{
    (void)mutex;
}

typedef size_t pg_count_t;

static inline void pg_count_add(pg_count_t *count)
{
    ++*count;
}

static inline bool pg_count_drop(pg_count_t *count)
{
    return --*count == 0;
}

#endif

/* An object that is made at its first use and kept: the one in `place`, borrowed, or NULL. */
static inline PyObject *pg_kept(_Atomic(PyObject *) *place)
{
    return atomic_load_explicit(place, memory_order_acquire);
}

/* Keeps `object`, whose reference it takes over, unless another thread has been faster. The one
 * that is kept, borrowed; NULL if `object` is. */
static inline PyObject *pg_keep(_Atomic(PyObject *) *place, PyObject *object)
{
    PyObject *first = NULL;

    if (object == NULL || atomic_compare_exchange_strong(place, &first, object))
        return object;
    Py_DECREF(object);
    return first;
}

#endif
