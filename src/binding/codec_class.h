/*
 * What the codec knows of a class, found out once and forgotten when the class changes.
 */
#ifndef PYGAS_BINDING_CODEC_CLASS_H
#define PYGAS_BINDING_CODEC_CLASS_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

typedef enum pg_class_kind {
    PG_CLASS_OTHER,     /* its instances are asked how they are copied */
    PG_CLASS_ORDINARY,  /* pickled as object has it: the class and the contents of __dict__ */
    PG_CLASS_EXCEPTION, /* pickled as BaseException has it: the class, args and __dict__ */
    PG_CLASS_UNIQUE,    /* sentinels of the dataclasses module, which fields are compared to */
    PG_CLASS_CLASS,     /* its instances are classes */
    PG_CLASS_FUNCTION,
    PG_CLASS_SLICE,
    PG_CLASS_RANGE,
    PG_CLASS_BUFFER, /* pickle.PickleBuffer */
    PG_CLASS_PROXY,
    PG_CLASS_ARRAY,  /* numpy.ndarray itself */
    PG_CLASS_SCALAR, /* a scalar type of NumPy; `code` says which */
} pg_class_kind_t;

typedef struct pg_class {
    uint8_t kind;      /* a pg_class_kind_t */
    uint8_t code;      /* a type number of NumPy */
    uint8_t sets_raw;  /* unpickling sets attributes in __dict__, and asks nobody (ORDINARY) */
    uint8_t makes_raw; /* ... and __new__ is object's */
} pg_class_t;

int pg_class_init(void);

/* What is known of `type`. Runs no Python code. */
pg_class_t pg_class_of(PyTypeObject *type);

/* The names under which `object` says that it can be found: texts, new references, each NULL if it
 * does not say. `name` may be dotted. Runs Python code for odd objects. 0 or -1. */
int pg_class_names(PyObject *object, PyObject **module, PyObject **name);

/* The same from what was kept for the class `type`; borrowed. False if nothing is. */
bool pg_class_names_kept(PyTypeObject *type, PyObject **module, PyObject **name);
void pg_class_names_keep(PyTypeObject *type, PyObject *module, PyObject *name);

/* The object of this name (not dotted) in a module that has been imported; borrowed. NULL, without
 * an exception, if there is more to it. Runs no Python code. */
PyObject *pg_class_find_fast(PyObject *module, PyObject *name);

#endif
