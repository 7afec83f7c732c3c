/*
 * Encoding objects: what pickle finds out by asking them. Instances of ordinary classes,
 * exceptions, arrays and the like need not be asked; the others are (codec_reduce.c).
 *
 * The order is that of pickle's save(): copyreg's table, then classes by name, then the hooks. All
 * parts are written by this codec, so that an object which is met again is the same object again,
 * however it was reached.
 */
#include "codec_object.h"

#include "codec_array.h"
#include "codec_class.h"
#include "codec_proxy.h"
#include "compat.h"

static struct {
    PyObject *dispatch_table; /* copyreg's */
    PyObject *pickling_error;
    PyObject *reduce_ex, *reduce, *getstate, *raw, *dot;
} names;

/* ---- references by name ---- */

static int put_names(pg_writer_t *writer, PyObject *object, PyObject *module, PyObject *name)
{
    size_t tag_at = pg_writer_offset(writer);

    if (pg_put_byte(writer, PG_TAG_GLOBAL) < 0 || pg_put_value(writer, module) < 0 ||
        pg_put_value(writer, name) < 0)
        return -1;
    return pg_number(writer, object, tag_at);
}

/* The object of a dotted name, a new reference. */
static PyObject *find(PyObject *object, PyObject *module, PyObject *dotted)
{
    PyObject *found = PyImport_Import(module), *parts = NULL;

    if (found != NULL)
        parts = PyUnicode_Split(dotted, names.dot, -1);
    for (Py_ssize_t i = 0; parts != NULL && found != NULL && i < PyList_GET_SIZE(parts); i++) {
        PyObject *part = PyList_GET_ITEM(parts, i);

        if (PyUnicode_CompareWithASCIIString(part, "<locals>") == 0) {
            PyErr_Format(names.pickling_error, "Can't pickle local object %R", object);
            Py_CLEAR(found);
        } else {
            Py_SETREF(found, PyObject_GetAttr(found, part));
        }
    }
    Py_XDECREF(parts);
    return found;
}

/* Which module has `object` under this name, for objects that do not say. A new reference. */
static PyObject *search_module(PyObject *object, PyObject *dotted)
{
    PyObject *modules = PyDict_Copy(PyImport_GetModuleDict()), *name, *module;
    Py_ssize_t position = 0;

    while (modules != NULL && PyDict_Next(modules, &position, &name, &module)) {
        PyObject *found = NULL;

        if (module == Py_None || PyUnicode_CompareWithASCIIString(name, "__main__") == 0 ||
            PyUnicode_CompareWithASCIIString(name, "__mp_main__") == 0)
            continue;
        if (pg_attribute(module, dotted, &found) < 0)
            PyErr_Clear();
        Py_XDECREF(found);
        if (found == object) {
            Py_INCREF(name);
            Py_DECREF(modules);
            return name;
        }
    }
    Py_XDECREF(modules);
    return modules != NULL ? PyUnicode_FromString("__main__") : NULL;
}

/* True if `object` is what the module has by this name, and no code had to run to see that. */
static bool is_found_fast(PyObject *object, PyObject *module, PyObject *name)
{
    PyObject *found = pg_class_find_fast(module, name);

    pg_found_drop(found);
    return found == object;
}

/* Fails unless `object` is what the receiver will find. */
static int verify(PyObject *object, PyObject *module, PyObject *name)
{
    PyObject *found, *error;

    if (is_found_fast(object, module, name))
        return 0;
    found = find(object, module, name);
    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError) &&
            !PyErr_ExceptionMatches(PyExc_ImportError))
            return -1;
        error = PyErr_GetRaisedException();
        PyErr_Format(names.pickling_error, "Can't pickle %R: it's not found as %S.%S (%S)", object,
                     module, name, error);
        Py_DECREF(error);
        return -1;
    }
    Py_DECREF(found);
    if (found == object)
        return 0;
    PyErr_Format(names.pickling_error, "Can't pickle %R: it's not the same object as %S.%S", object,
                 module, name);
    return -1;
}

int pg_put_global(pg_writer_t *writer, PyObject *object, PyObject *name)
{
    PyObject *module = NULL, *own_name = NULL;
    int outcome = -1;

    if (PyType_Check(object) && name == NULL &&
        pg_class_names_kept((PyTypeObject *)object, &module, &name)) {
        if (is_found_fast(object, module, name))
            return put_names(writer, object, module, name);
        name = module = NULL;
    }
#ifndef Py_GIL_DISABLED /* another thread may change these fields */
    if (PyFunction_Check(object) && name == NULL) {
        PyFunctionObject *function = (PyFunctionObject *)object;

        if (function->func_module != NULL && PyUnicode_CheckExact(function->func_module) &&
            is_found_fast(object, function->func_module, function->func_qualname))
            return put_names(writer, object, function->func_module, function->func_qualname);
    }
#endif
    if (pg_require_rigour(writer, PG_RIGOUR_HOOKS) < 0)
        return -1;
    if (pg_class_names(object, &module, &own_name) < 0)
        return -1;
    if (name == NULL)
        name = own_name;
    if (name == NULL) {
        PyErr_Format(names.pickling_error, "Can't pickle %R: it has no name", object);
        goto out;
    }
    if (module == NULL)
        module = search_module(object, name);
    if (module == NULL || verify(object, module, name) < 0)
        goto out;
    if (PyType_Check(object) && name == own_name)
        pg_class_names_keep((PyTypeObject *)object, module, name);
    outcome = put_names(writer, object, module, name);
out:
    Py_XDECREF(module);
    Py_XDECREF(own_name);
    return outcome;
}

static int put_named(pg_writer_t *writer, PyObject *object)
{
    size_t offset = pg_writer_offset(writer);

    if (pg_put_global(writer, object, NULL) == 0)
        return 0;
    if (writer->needed > writer->rigour || PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    writer->at = writer->start + offset;
    return pg_put_by_cloud(writer, object);
}

static int put_class(pg_writer_t *writer, PyObject *object)
{
    PyTypeObject *type = (PyTypeObject *)object;

    if (type == Py_TYPE(Py_None))
        return pg_put_byte(writer, PG_TAG_NONE_TYPE);
    if (type == Py_TYPE(Py_Ellipsis))
        return pg_put_byte(writer, PG_TAG_ELLIPSIS_TYPE);
    if (type == Py_TYPE(Py_NotImplemented))
        return pg_put_byte(writer, PG_TAG_NOT_IMPLEMENTED_TYPE);
    return put_named(writer, object);
}

/* ---- ordinary instances ---- */

/* True for an attribute that pickle would take for a hook. */
static bool is_hook(PyObject *name)
{
    if (!PyUnicode_CheckExact(name) || PyUnicode_GET_LENGTH(name) < 10 ||
        PyUnicode_READ_CHAR(name, 0) != '_' || PyUnicode_READ_CHAR(name, 1) != '_')
        return false;
    return PyUnicode_Compare(name, names.reduce_ex) == 0 ||
           PyUnicode_Compare(name, names.reduce) == 0 ||
           PyUnicode_Compare(name, names.getstate) == 0;
}

static int check_hooks(pg_writer_t *writer, PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *name, *value;

    while (PyDict_Next(dict, &position, &name, &value))
        if (is_hook(name))
            return pg_require_rigour(writer, PG_RIGOUR_ASK);
    return 0;
}

static int put_attributes(pg_writer_t *writer, PyObject *object, PyObject *dict, bool recurs,
                          size_t tag_at)
{
    if (pg_put_value(writer, (PyObject *)Py_TYPE(object)) < 0 ||
        pg_put_size(writer, (size_t)PyDict_GET_SIZE(dict)) < 0 ||
        (recurs && pg_number(writer, object, tag_at) < 0))
        return -1;
    return pg_put_pairs(writer, dict);
}

static int put_instance(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    size_t tag_at = pg_writer_offset(writer);
    int outcome = -1;

    if (dict == NULL)
        return -1;
#ifdef Py_GIL_DISABLED
    Py_SETREF(dict, PyDict_Copy(dict)); /* no other thread changes that one */
    if (dict == NULL)
        return -1;
#else
    /* Somebody else has the dict, by which its values may be met again. */
    if (Py_REFCNT(dict) > 2 && pg_require_rigour(writer, PG_RIGOUR_HOOKS) < 0)
        goto out;
#endif
    if (check_hooks(writer, dict) < 0 || pg_put_byte(writer, PG_TAG_INSTANCE) < 0 ||
        pg_writer_enter(writer, object) < 0)
        goto out;
    outcome = put_attributes(writer, object, dict, recurs, tag_at);
    outcome = pg_writer_leave(writer, object, outcome);
out:
    Py_DECREF(dict);
    return outcome;
}

/* ---- exceptions ---- */

static int put_parts_of_exception(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PyBaseExceptionObject *exception = (PyBaseExceptionObject *)object;
    pg_after_t after = {NULL, NULL, NULL, NULL};

    if (pg_put_byte(writer, PG_TAG_CALL) < 0 ||
        pg_put_value(writer, (PyObject *)Py_TYPE(object)) < 0 ||
        pg_put_value(writer, exception->args) < 0)
        return -1;
    after.state = exception->dict; /* not before: hooks of the arguments may replace it */
    return pg_put_after(writer, object, recurs, &after);
}

static int put_exception(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PyBaseExceptionObject *exception = (PyBaseExceptionObject *)object;

#ifdef Py_GIL_DISABLED /* another thread may change these fields */
    return pg_put_by_hooks(writer, object, NULL);
#endif
    if (exception->args == NULL)
        return pg_put_by_hooks(writer, object, NULL);
    if ((exception->dict != NULL && check_hooks(writer, exception->dict) < 0) ||
        pg_writer_enter(writer, object) < 0)
        return -1;
    return pg_writer_leave(writer, object, put_parts_of_exception(writer, object, recurs));
}

/* ---- slices, ranges ---- */

static bool is_simple(PyObject *value)
{
    return value == Py_None || PyLong_CheckExact(value);
}

static int put_three(pg_writer_t *writer, unsigned tag, PyObject *start, PyObject *stop,
                     PyObject *step)
{
    if (pg_put_byte(writer, tag) < 0 || pg_put_value(writer, start) < 0 ||
        pg_put_value(writer, stop) < 0)
        return -1;
    return pg_put_value(writer, step);
}

static int put_slice(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PySliceObject *slice = (PySliceObject *)object;
    size_t tag_at = pg_writer_offset(writer);

    if (!is_simple(slice->start) || !is_simple(slice->stop) || !is_simple(slice->step))
        return pg_put_by_hooks(writer, object, NULL); /* it may contain itself */
    if (put_three(writer, PG_TAG_SLICE, slice->start, slice->stop, slice->step) < 0)
        return -1;
    return recurs ? pg_number(writer, object, tag_at) : 0;
}

static int put_range(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PyObject *start = PyObject_GetAttrString(object, "start");
    PyObject *stop = PyObject_GetAttrString(object, "stop");
    PyObject *step = PyObject_GetAttrString(object, "step");
    size_t tag_at = pg_writer_offset(writer);
    int outcome = -1;

    if (start != NULL && stop != NULL && step != NULL)
        outcome = put_three(writer, PG_TAG_RANGE, start, stop, step);
    Py_XDECREF(start);
    Py_XDECREF(stop);
    Py_XDECREF(step);
    return outcome == 0 && recurs ? pg_number(writer, object, tag_at) : outcome;
}

/* ---- pickle.PickleBuffer ---- */

static int put_raw(pg_writer_t *writer, PyObject *raw)
{
    PyObject *owner = PyMemoryView_GET_BUFFER(raw)->obj;
    Py_buffer view;
    uint8_t frozen;

    /* Bytes and bytearrays as a whole land in their like. */
    if (owner != NULL && (PyBytes_CheckExact(owner) || PyByteArray_CheckExact(owner)) &&
        Py_SIZE(owner) == PyMemoryView_GET_BUFFER(raw)->len)
        raw = owner;
    if (PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE) < 0)
        return -1;
    frozen = view.readonly != 0;
    if (pg_stays_outside(writer, (size_t)view.len)) {
        if (pg_put_tagged(writer, PG_TAG_BUFFER_OUTSIDE, &frozen, 1) == 0)
            return pg_put_outside(writer, &view);
    } else if (pg_put_tagged(writer, PG_TAG_BUFFER, &frozen, 1) == 0 &&
               pg_put_size(writer, (size_t)view.len) == 0 &&
               pg_put_bytes(writer, view.buf, (size_t)view.len) == 0) {
        PyBuffer_Release(&view);
        return 0;
    }
    PyBuffer_Release(&view);
    return -1;
}

static int put_buffer(pg_writer_t *writer, PyObject *object, bool recurs)
{
    PyObject *raw = PyObject_CallMethodNoArgs(object, names.raw);
    size_t tag_at = pg_writer_offset(writer);
    int outcome;

    if (raw == NULL) {
        if (PyErr_ExceptionMatches(PyExc_BufferError))
            PyErr_SetString(names.pickling_error,
                            "PickleBuffer can not be pickled when pointing to a non-contiguous "
                            "buffer");
        return -1;
    }
    outcome = put_raw(writer, raw);
    Py_DECREF(raw);
    return outcome == 0 && recurs ? pg_number(writer, object, tag_at) : outcome;
}

/* ---- any object ---- */

/* The function of copyreg for objects of this type, or NULL; as pg_dict_find(). */
static PyObject *registered(PyTypeObject *type, pg_class_kind_t kind)
{
    if (kind == PG_CLASS_PROXY || kind == PG_CLASS_BUFFER || kind == PG_CLASS_FUNCTION ||
        type == &PyType_Type)
        return NULL;
    return pg_dict_find(names.dispatch_table, (PyObject *)type);
}

static int put_known(pg_writer_t *writer, PyObject *object, pg_class_t known, bool recurs)
{
    PyObject *reducer = registered(Py_TYPE(object), (pg_class_kind_t)known.kind);

    if (reducer != NULL) {
        int outcome = pg_put_by_hooks(writer, object, reducer);

        pg_found_drop(reducer);
        return outcome;
    }
    if (PyErr_Occurred())
        return -1;
    if (writer->rigour >= PG_RIGOUR_ASK &&
        (known.kind == PG_CLASS_ORDINARY || known.kind == PG_CLASS_EXCEPTION))
        return pg_put_by_hooks(writer, object, NULL);
    switch ((pg_class_kind_t)known.kind) {
    case PG_CLASS_ORDINARY:
        return put_instance(writer, object, recurs);
    case PG_CLASS_EXCEPTION:
        return put_exception(writer, object, recurs);
    case PG_CLASS_CLASS:
        return put_class(writer, object);
    case PG_CLASS_FUNCTION:
        return put_named(writer, object);
    case PG_CLASS_SLICE:
        return put_slice(writer, object, recurs);
    case PG_CLASS_RANGE:
        return put_range(writer, object, recurs);
    case PG_CLASS_BUFFER:
        return put_buffer(writer, object, recurs);
    case PG_CLASS_PROXY:
        return pg_put_proxy(writer, object, recurs);
    case PG_CLASS_ARRAY:
        return pg_put_array(writer, object, recurs);
    case PG_CLASS_SCALAR:
        return pg_put_scalar(writer, object, known.code, recurs);
    case PG_CLASS_UNIQUE:
        return pg_put_by_cloud_first(writer, object);
    case PG_CLASS_OTHER:
        break;
    }
    return pg_put_by_hooks(writer, object, NULL);
}

int pg_put_object(pg_writer_t *writer, PyObject *object)
{
    bool recurs = pg_may_recur(writer, object, 0);
    int outcome;

    if (recurs) {
        int again = pg_put_again(writer, object);

        if (again != 0)
            return again < 0 ? -1 : 0;
    }
    Py_INCREF(object); /* its hooks may take it from where it was found */
    outcome = put_known(writer, object, pg_class_of(Py_TYPE(object)), recurs);
    Py_DECREF(object);
    return outcome;
}

int pg_object_init(void)
{
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *pickle = PyImport_ImportModule("pickle");

    if (copyreg != NULL && pickle != NULL) {
        names.dispatch_table = PyObject_GetAttrString(copyreg, "dispatch_table");
        names.pickling_error = PyObject_GetAttrString(pickle, "PicklingError");
    }
    Py_XDECREF(copyreg);
    Py_XDECREF(pickle);
    names.reduce_ex = PyUnicode_InternFromString("__reduce_ex__");
    names.reduce = PyUnicode_InternFromString("__reduce__");
    names.getstate = PyUnicode_InternFromString("__getstate__");
    names.raw = PyUnicode_InternFromString("raw");
    names.dot = PyUnicode_InternFromString(".");
    return names.dispatch_table && names.pickling_error && names.reduce_ex && names.reduce &&
                   names.getstate && names.raw && names.dot
               ? 0
               : -1;
}
