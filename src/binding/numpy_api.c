#include "numpy_api.h"

#include "compat.h"

#include <string.h>

/* Places in NumPy's table of functions, which never change. */
enum {
    AT_VERSION = 0,
    AT_ARRAY_TYPE = 2,
    AT_DTYPE_TYPE = 3,
    AT_DTYPE_FROM_TYPE = 45,
    AT_SCALAR_TYPE_FROM_TYPE = 46,
    AT_SCALAR = 60,
    AT_SCALAR_AS_C = 62,
    AT_NEW_COPY = 85,
    AT_NEW_FROM_DTYPE = 94,
    AT_SET_BASE = 282,
};

/* The version of the ABI: 1.x and 2.x. */
#define VERSION_1 0x01000009u
#define VERSION_2 0x02000000u

static pg_numpy_t numpy;
static pg_mutex_t filling; /* guards `numpy` until it is loaded */
static atomic_bool is_loaded, is_unknown;

/* A function of the table. ISO C has no other way from a pointer to data to one to a function. */
#define FUNCTION(slot, table, index) memcpy(&(slot), &(table)[index], sizeof(slot))

static bool is_numeric(int code)
{
    return code <= PG_NUMPY_CLONGDOUBLE || code == PG_NUMPY_HALF;
}

static int fill_types(void **table)
{
    PyObject *(*dtype_from_type)(int);
    PyObject *(*scalar_type_from_type)(int);

    FUNCTION(dtype_from_type, table, AT_DTYPE_FROM_TYPE);
    FUNCTION(scalar_type_from_type, table, AT_SCALAR_TYPE_FROM_TYPE);
    for (int code = 0; code < PG_NUMPY_TYPES; code++) {
        PyObject *size;

        if (!is_numeric(code))
            continue;
        numpy.dtypes[code] = dtype_from_type(code);
        numpy.scalars[code] = (PyTypeObject *)scalar_type_from_type(code);
        size = numpy.dtypes[code] != NULL ? PyObject_GetAttrString(numpy.dtypes[code], "itemsize")
                                          : NULL;
        if (size == NULL || numpy.scalars[code] == NULL) {
            Py_XDECREF(size);
            return -1;
        }
        numpy.item_sizes[code] = PyLong_AsSsize_t(size);
        Py_DECREF(size);
    }
    return 0;
}

static int fill(void **table)
{
    unsigned (*version)(void);

    FUNCTION(version, table, AT_VERSION);
    if (version() != VERSION_1 && version() != VERSION_2) {
        atomic_store(&is_unknown, true);
        return 0;
    }
    numpy.array_type = table[AT_ARRAY_TYPE];
    numpy.dtype_type = table[AT_DTYPE_TYPE];
    FUNCTION(numpy.new_from_dtype, table, AT_NEW_FROM_DTYPE);
    FUNCTION(numpy.set_base, table, AT_SET_BASE);
    FUNCTION(numpy.new_copy, table, AT_NEW_COPY);
    FUNCTION(numpy.scalar, table, AT_SCALAR);
    FUNCTION(numpy.scalar_as_c, table, AT_SCALAR_AS_C);
    if (fill_types(table) < 0)
        return -1;
    atomic_store(&is_loaded, true);
    return 0;
}

/* From the module that has the table, borrowed. 0, or -1 with an exception. */
static int fill_from(PyObject *module)
{
    PyObject *capsule = PyObject_GetAttrString(module, "_ARRAY_API");
    void **table = capsule != NULL ? PyCapsule_GetPointer(capsule, NULL) : NULL;
    int outcome = table != NULL ? fill(table) : -1;

    Py_XDECREF(capsule);
    return outcome;
}

static const char *const places[] = {"numpy._core._multiarray_umath",
                                     "numpy.core._multiarray_umath"};

static void look_for_numpy(void)
{
    PyObject *modules = PyImport_GetModuleDict();

    for (size_t i = 0; modules != NULL && i < 2; i++) {
        PyObject *name = PyUnicode_InternFromString(places[i]);
        PyObject *module = name != NULL ? pg_dict_find(modules, name) : NULL;

        Py_XDECREF(name);
        if (module == NULL)
            continue;
        pg_mutex_lock(&filling);
        if (!atomic_load(&is_loaded) && !atomic_load(&is_unknown) && fill_from(module) < 0)
            PyErr_Clear();
        pg_mutex_unlock(&filling);
        pg_found_drop(module);
    }
}

const pg_numpy_t *pg_numpy_if_loaded(void)
{
    if (!atomic_load(&is_loaded) && !atomic_load(&is_unknown))
        look_for_numpy();
    return atomic_load(&is_loaded) ? &numpy : NULL;
}

const pg_numpy_t *pg_numpy_load(void)
{
    const pg_numpy_t *loaded = pg_numpy_if_loaded();
    PyObject *module;

    if (loaded != NULL)
        return loaded;
    module = PyImport_ImportModule("numpy");
    if (module == NULL)
        return NULL;
    Py_DECREF(module);
    loaded = pg_numpy_if_loaded();
    if (loaded == NULL)
        PyErr_SetString(PyExc_ImportError, "this version of NumPy has an ABI that PyGAS does not "
                                           "know, and another rank sent an array of one it knows");
    return loaded;
}
