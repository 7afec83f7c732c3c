/*
 * NumPy's C interface without NumPy's headers: what the codec needs of it, found at run time.
 *
 * PyGAS neither needs NumPy to be built nor imports it of its own accord. The table of functions
 * and the beginning of an array's struct are NumPy's stable ABI, the same in NumPy 1 and 2; with
 * another one arrays are copied by their hooks.
 */
#ifndef PYGAS_BINDING_NUMPY_API_H
#define PYGAS_BINDING_NUMPY_API_H

#include <Python.h>

#include <stdbool.h>

/* Flags of an array. */
#define PG_NUMPY_C_CONTIGUOUS 0x0001
#define PG_NUMPY_F_CONTIGUOUS 0x0002
#define PG_NUMPY_WRITEABLE 0x0400

/* Type numbers of the numeric types below this one, and of half. */
#define PG_NUMPY_TYPES 24
#define PG_NUMPY_CLONGDOUBLE 16
#define PG_NUMPY_HALF 23

/* More dimensions than any NumPy knows. */
#define PG_NUMPY_DIMENSIONS_MAX 64

/* The beginning of an ndarray. */
typedef struct pg_ndarray {
    PyObject_HEAD char *data;
    int dimension_count;
    Py_ssize_t *dimensions;
    Py_ssize_t *strides;
    PyObject *base;
    PyObject *dtype;
    int flags;
} pg_ndarray_t;

typedef struct pg_numpy {
    PyTypeObject *array_type, *dtype_type;
    PyObject *dtypes[PG_NUMPY_TYPES];      /* in native order; NULL: not one of the numeric ones */
    PyTypeObject *scalars[PG_NUMPY_TYPES]; /* their scalar types */
    Py_ssize_t item_sizes[PG_NUMPY_TYPES];
    /* Steals `dtype`. Without `data` it makes memory of its own. */
    PyObject *(*new_from_dtype)(PyTypeObject *type, PyObject *dtype, int dimension_count,
                                const Py_ssize_t *dimensions, const Py_ssize_t *strides, void *data,
                                int flags, PyObject *object);
    int (*set_base)(PyObject *array, PyObject *base);  /* steals `base` */
    PyObject *(*new_copy)(PyObject *array, int order); /* order 0: C */
    PyObject *(*scalar)(void *data, PyObject *dtype, PyObject *base);
    void (*scalar_as_c)(PyObject *scalar, void *data);
} pg_numpy_t;

/* NULL, without an exception, if the program has not imported NumPy, or an unknown one. */
const pg_numpy_t *pg_numpy_if_loaded(void);

/* Imports it. NULL with an exception. */
const pg_numpy_t *pg_numpy_load(void);

#endif
