/*
 * Design notes. A table without chains: a text has one place, and whatever comes later takes it
 * over. An entry is only ever a string made from these bytes, or its interned twin, so a collision
 * costs time and nothing else. Attached threads only. Free-threaded builds do without, as every
 * look would have to take a lock.
 */
#include "texts.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#define PLACES 0u
#else
#define PLACES 512u
#endif

#if PLACES > 0

static PyObject *places[PLACES];

/* Up to eight bytes as a number. */
static uint64_t word_at(const char *bytes, size_t length)
{
    uint64_t word = 0;

    memcpy(&word, bytes, length < sizeof(word) ? length : sizeof(word));
    return word;
}

static PyObject **place_of(const char *bytes, size_t length)
{
    uint64_t hash = length;

    for (size_t at = 0; at < length; at += sizeof(hash))
        hash = (hash ^ word_at(bytes + at, length - at)) * UINT64_C(0x9E3779B97F4A7C15);
    return &places[hash >> 55];
}

static bool is_it(PyObject *text, const char *bytes, size_t length)
{
    return text != NULL && (size_t)PyUnicode_GET_LENGTH(text) == length &&
           memcmp(PyUnicode_DATA(text), bytes, length) == 0;
}

PyObject *pg_text_from(const char *bytes, size_t length)
{
    PyObject **place, *text;

    if (length == 0 || length > PG_TEXTS_LENGTH_MAX)
        return PyUnicode_DecodeASCII(bytes, (Py_ssize_t)length, NULL);
    place = place_of(bytes, length);
    if (is_it(*place, bytes, length))
        return Py_NewRef(*place);
    text = PyUnicode_DecodeASCII(bytes, (Py_ssize_t)length, NULL);
    if (text != NULL)
        Py_XSETREF(*place, Py_NewRef(text));
    return text;
}

/* The place of a text that is in the table itself; NULL: it is not there. */
static PyObject **place_held(PyObject *text)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    PyObject **place;

    if (!PyUnicode_IS_COMPACT_ASCII(text) || length == 0 || length > PG_TEXTS_LENGTH_MAX)
        return NULL;
    place = place_of(PyUnicode_DATA(text), length);
    return *place == text ? place : NULL;
}

#else

PyObject *pg_text_from(const char *bytes, size_t length)
{
    return PyUnicode_DecodeASCII(bytes, (Py_ssize_t)length, NULL);
}

static PyObject **place_held(PyObject *text)
{
    (void)text;
    return NULL;
}

#endif

PyObject *pg_text_as_name(PyObject *text)
{
    PyObject *name = Py_NewRef(text), **place;

    if (!PyUnicode_CheckExact(text) || PyUnicode_CHECK_INTERNED(text))
        return name;
    place = place_held(text);
    PyUnicode_InternInPlace(&name);
    if (place != NULL)
        Py_SETREF(*place, Py_NewRef(name)); /* next time it comes interned */
    return name;
}
