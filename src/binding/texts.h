/*
 * Short texts that came in messages lately: names of methods, keys of dicts.
 *
 * The same few come again and again. Making a string, and above all interning a name, costs several
 * times what finding it here does.
 */
#ifndef PYGAS_BINDING_TEXTS_H
#define PYGAS_BINDING_TEXTS_H

#include <Python.h>

/* Texts of up to so many bytes are worth a look here. */
#define PG_TEXTS_LENGTH_MAX 32

/* The string of `length` ASCII bytes. A new reference, or NULL with an exception, also for bytes
 * that are not ASCII. */
PyObject *pg_text_from(const char *bytes, size_t length);

/* The same text as the interpreter has it for names: types find those faster. A new reference. */
PyObject *pg_text_as_name(PyObject *text);

#endif
