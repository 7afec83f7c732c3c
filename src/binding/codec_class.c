/*
 * Design notes. Two tables with one place for each hash, in which the latest wins. A row is good
 * for a class at this address with this version tag; CPython gives every state of every class a tag
 * of its own and never the same twice, so neither a change of the class or of a base, nor a new
 * class at the address of a dead one, is taken for what was known before, and no reference to the
 * class is needed. A tag of 0 means that there is none: then nothing is remembered.
 *
 * Attached threads only; free-threaded builds do without the tables.
 */
#include "codec_class.h"

#include "codec_array.h"
#include "compat.h"
#include "state.h"

#define ROWS 256

typedef struct row {
    PyTypeObject *type;
    unsigned version;
    pg_class_t known;
} row_t;

typedef struct names_row {
    PyTypeObject *type;
    unsigned version;
    PyObject *module, *name;
} names_row_t;

static struct {
    PyObject *reduce_ex, *reduce, *getstate, *setstate, *getnewargs, *getnewargs_ex;
    PyObject *class, *getattribute, *dict, *module, *qualname, *plain_name;
    row_t rows[ROWS];
    names_row_t names[ROWS];
} classes;

#ifndef Py_GIL_DISABLED

static size_t row_of(PyTypeObject *type)
{
    return (size_t)(((uint64_t)(uintptr_t)type >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 56);
}

#endif

/* True if `type` takes `name` from `base`. */
static bool inherits(PyTypeObject *type, PyObject *name, PyTypeObject *base)
{
    PyObject *own = pg_type_find(type, name), *inherited = pg_type_find(base, name);

    pg_found_drop(own);
    pg_found_drop(inherited);
    return own == inherited;
}

static bool has(PyTypeObject *type, PyObject *name)
{
    PyObject *found = pg_type_find(type, name);

    pg_found_drop(found);
    return found != NULL;
}

/* True if pickling instances is left to `base`, and looks at nothing but the class. */
static bool pickles_as(PyTypeObject *type, PyTypeObject *base)
{
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
           inherits(type, classes.reduce_ex, &PyBaseObject_Type) &&
           inherits(type, classes.reduce, base) &&
           inherits(type, classes.class, &PyBaseObject_Type) &&
           inherits(type, classes.getattribute, base);
}

/* True if instances have a __dict__ in the usual way, and no further parts. */
static bool has_dict_only(PyTypeObject *type)
{
    PyObject *dict = pg_type_find(type, classes.dict);
    bool usual = dict != NULL && Py_IS_TYPE(dict, &PyGetSetDescr_Type);
    Py_ssize_t size = PyBaseObject_Type.tp_basicsize;

    if (type->tp_dictoffset > 0)
        size += (Py_ssize_t)sizeof(PyObject *);
    if (type->tp_weaklistoffset > 0)
        size += (Py_ssize_t)sizeof(PyObject *);
    pg_found_drop(dict);
    return usual && type->tp_dictoffset != 0 && type->tp_itemsize == 0 &&
           type->tp_basicsize == size;
}

static bool is_ordinary(PyTypeObject *type)
{
    return pickles_as(type, &PyBaseObject_Type) && has_dict_only(type) &&
           inherits(type, classes.getstate, &PyBaseObject_Type) && !has(type, classes.getnewargs) &&
           !has(type, classes.getnewargs_ex);
}

static bool is_exception(PyTypeObject *type)
{
    PyTypeObject *base = (PyTypeObject *)PyExc_BaseException;

    if (!PyType_IsSubtype(type, base) || !inherits(type, classes.reduce, base) ||
        !inherits(type, classes.reduce_ex, &PyBaseObject_Type))
        return false;
    return !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || pickles_as(type, base);
}

static bool is_sentinel(PyTypeObject *type)
{
    PyObject *module =
        PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ? pg_type_find(type, classes.module) : NULL;
    bool is = module != NULL && PyUnicode_CheckExact(module) &&
              strcmp(type->tp_name, "_FIELD_BASE") == 0 &&
              PyUnicode_CompareWithASCIIString(module, "dataclasses") == 0;

    pg_found_drop(module);
    return is;
}

static pg_class_t examine(PyTypeObject *type)
{
    pg_class_t known = {.kind = PG_CLASS_OTHER};

    if (is_sentinel(type)) {
        known.kind = PG_CLASS_UNIQUE;
    } else if (is_ordinary(type)) {
        known.kind = PG_CLASS_ORDINARY;
        known.sets_raw =
            !has(type, classes.setstate) && type->tp_getattro == PyObject_GenericGetAttr;
        known.makes_raw = type->tp_new == PyBaseObject_Type.tp_new;
    } else if (is_exception(type)) {
        known.kind = PG_CLASS_EXCEPTION;
    } else if (PyType_IsSubtype(type, &PyType_Type)) {
        known.kind = PG_CLASS_CLASS;
    } else if (type == &PyFunction_Type) {
        known.kind = PG_CLASS_FUNCTION;
    } else if (type == &PySlice_Type) {
        known.kind = PG_CLASS_SLICE;
    } else if (type == &PyRange_Type) {
        known.kind = PG_CLASS_RANGE;
    } else if (type == &PyPickleBuffer_Type) {
        known.kind = PG_CLASS_BUFFER;
    } else if (pg.proxy_type != NULL && PyType_IsSubtype(type, pg.proxy_type)) {
        known.kind = PG_CLASS_PROXY;
    } else if (pg_array_is_type(type)) {
        known.kind = PG_CLASS_ARRAY;
    } else {
        int code = pg_scalar_code(type);

        if (code >= 0) {
            known.kind = PG_CLASS_SCALAR;
            known.code = (uint8_t)code;
        }
    }
    return known;
}

pg_class_t pg_class_of(PyTypeObject *type)
{
#ifdef Py_GIL_DISABLED
    return examine(type);
#else
    row_t *row = &classes.rows[row_of(type)];
    pg_class_t known;

    if (row->type == type && row->version == type->tp_version_tag && row->version != 0)
        return row->known;
    known = examine(type); /* which also gives the class a tag */
    *row = (row_t){type, type->tp_version_tag, known};
    return known;
#endif
}

/* The attribute if it is a text: 1; 0: it is not; or -1. */
static int text_attribute(PyObject *object, PyObject *name, PyObject **text)
{
    int outcome = pg_attribute(object, name, text);

    if (outcome <= 0)
        *text = NULL;
    if (outcome > 0 && !PyUnicode_CheckExact(*text)) {
        Py_CLEAR(*text);
        return 0;
    }
    return outcome;
}

int pg_class_names(PyObject *object, PyObject **module, PyObject **name)
{
    int outcome = text_attribute(object, classes.qualname, name);

    *module = NULL;
    if (outcome == 0)
        outcome = text_attribute(object, classes.plain_name, name);
    if (outcome >= 0)
        outcome = text_attribute(object, classes.module, module);
    if (outcome < 0)
        Py_CLEAR(*name);
    return outcome < 0 ? -1 : 0;
}

bool pg_class_names_kept(PyTypeObject *type, PyObject **module, PyObject **name)
{
#ifdef Py_GIL_DISABLED
    (void)type, (void)module, (void)name;
    return false;
#else
    names_row_t *row = &classes.names[row_of(type)];

    if (row->type != type || row->version != type->tp_version_tag || row->version == 0)
        return false;
    *module = row->module;
    *name = row->name;
    return true;
#endif
}

void pg_class_names_keep(PyTypeObject *type, PyObject *module, PyObject *name)
{
#ifdef Py_GIL_DISABLED
    (void)type, (void)module, (void)name;
#else
    names_row_t *row = &classes.names[row_of(type)];

    row->type = type;
    row->version = type->tp_version_tag;
    Py_XSETREF(row->module, Py_NewRef(module));
    Py_XSETREF(row->name, Py_NewRef(name));
#endif
}

PyObject *pg_class_find_fast(PyObject *module, PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *holder =
        modules != NULL && PyDict_CheckExact(modules) ? pg_dict_find(modules, module) : NULL;
    PyObject *found = NULL;

    if (holder != NULL && PyModule_CheckExact(holder))
        found = pg_dict_find(PyModule_GetDict(holder), name);
    pg_found_drop(holder);
    if (found == NULL)
        PyErr_Clear();
    return found;
}

int pg_class_init(void)
{
    struct {
        PyObject **slot;
        const char *text;
    } names[] = {
        {&classes.reduce_ex, "__reduce_ex__"},
        {&classes.reduce, "__reduce__"},
        {&classes.getstate, "__getstate__"},
        {&classes.setstate, "__setstate__"},
        {&classes.getnewargs, "__getnewargs__"},
        {&classes.getnewargs_ex, "__getnewargs_ex__"},
        {&classes.class, "__class__"},
        {&classes.getattribute, "__getattribute__"},
        {&classes.dict, "__dict__"},
        {&classes.module, "__module__"},
        {&classes.qualname, "__qualname__"},
        {&classes.plain_name, "__name__"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        *names[i].slot = PyUnicode_InternFromString(names[i].text);
        if (*names[i].slot == NULL)
            return -1;
    }
    return 0;
}
