/*
 * Decoding objects: finding classes and functions by name, constructing, giving state. The order of
 * calls into the program is that of pickle's load().
 */
#include "codec_class.h"
#include "codec_read.h"
#include "compat.h"

static struct {
    PyObject *no_args;
    PyObject *setstate, *dict, *extend, *append, *dot;
} build;

/* ---- references by name ---- */

static PyObject *find_slow(PyObject *module, PyObject *name)
{
    PyObject *parts = PyUnicode_Split(name, build.dot, -1);
    PyObject *found = parts != NULL ? PyImport_Import(module) : NULL;

    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(parts); i++)
        Py_SETREF(found, PyObject_GetAttr(found, PyList_GET_ITEM(parts, i)));
    Py_XDECREF(parts);
    return found;
}

PyObject *pg_get_global(pg_reader_t *reader)
{
    PyObject *module = pg_get_value(reader);
    PyObject *name = module != NULL ? pg_get_value(reader) : NULL;
    PyObject *found = NULL;

    if (name == NULL)
        goto out;
    if (!PyUnicode_CheckExact(module) || !PyUnicode_CheckExact(name)) {
        pg_malformed("a name that is no text");
        goto out;
    }
    if (PySys_Audit("pickle.find_class", "OO", module, name) < 0)
        goto out;
    found = pg_class_find_fast(module, name);
    if (found != NULL) {
        Py_INCREF(found);
        pg_found_drop(found);
    } else {
        found = find_slow(module, name);
    }
out:
    Py_XDECREF(module);
    Py_XDECREF(name);
    return found;
}

/* ---- state ---- */

/* Sets attributes as pickle does: in the __dict__, with the names as the interpreter has them. */
static int update_dict(PyObject *object, PyObject *state)
{
    PyObject *dict = PyObject_GetAttr(object, build.dict), *name, *value;
    Py_ssize_t position = 0;
    int outcome = 0;

    if (dict == NULL)
        return -1;
    while (outcome == 0 && PyDict_Next(state, &position, &name, &value)) {
        Py_INCREF(name);
        Py_INCREF(value);
        if (PyUnicode_CheckExact(name))
            PyUnicode_InternInPlace(&name);
        outcome = PyObject_SetItem(dict, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
    }
    Py_DECREF(dict);
    return outcome;
}

static int set_slots(PyObject *object, PyObject *state)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    int outcome = 0;

    while (outcome == 0 && PyDict_Next(state, &position, &name, &value)) {
        Py_INCREF(name);
        Py_INCREF(value);
        outcome = PyObject_SetAttr(object, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
    }
    return outcome;
}

static int give_default(PyObject *object, PyObject *state)
{
    PyObject *slots = NULL;

    if (PyTuple_Check(state) && PyTuple_GET_SIZE(state) == 2) {
        slots = PyTuple_GET_ITEM(state, 1);
        state = PyTuple_GET_ITEM(state, 0);
    }
    if (state != Py_None && !PyDict_Check(state)) {
        pg_malformed("a state that is no dict");
        return -1;
    }
    if (state != Py_None && update_dict(object, state) < 0)
        return -1;
    if (slots != NULL && slots != Py_None && !PyDict_Check(slots)) {
        pg_malformed("a state of slots that is no dict");
        return -1;
    }
    return slots != NULL && slots != Py_None ? set_slots(object, slots) : 0;
}

/* `setter`: NULL for the object's own. */
static int give_state(PyObject *object, PyObject *setter, PyObject *state)
{
    PyObject *own, *result;

    if (setter != NULL) {
        result = PyObject_CallFunctionObjArgs(setter, object, state, NULL);
    } else {
        int has = pg_attribute(object, build.setstate, &own);

        if (has < 0)
            return -1;
        if (has == 0)
            return give_default(object, state);
        result = PyObject_CallOneArg(own, state);
        Py_DECREF(own);
    }
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* ---- instances of ordinary classes ---- */

/* Sets one attribute in the instance itself, as if in its __dict__. Takes over name and value. */
static int set_raw(PyObject *object, PyObject *name, PyObject *value)
{
    PyObject *found, *dict;
    int outcome = -1;
    bool has_say;

    if (PyUnicode_CheckExact(name)) {
        if (!PyUnicode_CHECK_INTERNED(name))
            PyUnicode_InternInPlace(&name);
        found = pg_type_find(Py_TYPE(object), name);
        has_say = found != NULL && Py_TYPE(found)->tp_descr_set != NULL;
        pg_found_drop(found);
        if (!has_say) {
            outcome = PyObject_GenericSetAttr(object, name, value);
            goto out;
        }
    }
    dict = PyObject_GenericGetDict(object, NULL); /* else a property would have its say */
    if (dict != NULL) {
        outcome = PyDict_SetItem(dict, name, value);
        Py_DECREF(dict);
    }
out:
    Py_DECREF(name);
    Py_DECREF(value);
    return outcome;
}

static int get_raw(pg_reader_t *reader, PyObject *object, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *name = pg_get_value(reader);
        PyObject *value = name != NULL ? pg_get_value(reader) : NULL;

        if (value == NULL) {
            Py_XDECREF(name);
            return -1;
        }
        if (set_raw(object, name, value) < 0)
            return -1;
    }
    return 0;
}

static int get_state(pg_reader_t *reader, PyObject *object, size_t count)
{
    PyObject *state = PyDict_New();
    int outcome = state != NULL ? pg_get_pairs(reader, state, count) : -1;

    if (outcome == 0)
        outcome = give_state(object, NULL, state);
    Py_XDECREF(state);
    return outcome;
}

/* The class that the stream has next. */
static PyObject *get_class(pg_reader_t *reader)
{
    PyObject *type = pg_get_value(reader);

    if (type == NULL || (PyType_Check(type) && ((PyTypeObject *)type)->tp_new != NULL))
        return type;
    Py_DECREF(type);
    return pg_malformed("an instance of something that is no class, or has no instances");
}

PyObject *pg_get_instance(pg_reader_t *reader, bool shared)
{
    PyObject *type = get_class(reader), *object;
    pg_class_t known;
    size_t count;
    int outcome = 0;

    if (type == NULL || pg_get_size(reader, 2, &count) < 0) {
        Py_XDECREF(type);
        return NULL;
    }
    object = ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, build.no_args, NULL);
    Py_DECREF(type);
    if (object == NULL)
        return NULL;
    known = pg_class_of(Py_TYPE(object));
    if (shared)
        outcome = pg_reader_number(reader, object);
    if (outcome == 0 && count > 0)
        outcome = known.kind == PG_CLASS_ORDINARY && known.sets_raw && known.makes_raw
                      ? get_raw(reader, object, count)
                      : get_state(reader, object, count);
    if (outcome < 0)
        Py_CLEAR(object);
    return object;
}

/* ---- other constructions ---- */

static PyObject *get_call(pg_reader_t *reader)
{
    PyObject *function = pg_get_value(reader);
    PyObject *args = function != NULL ? pg_get_value(reader) : NULL;
    PyObject *object = NULL;

    if (args != NULL && !PyTuple_CheckExact(args))
        pg_malformed("arguments that are no tuple");
    else if (args != NULL)
        object = PyObject_CallObject(function, args);
    Py_XDECREF(function);
    Py_XDECREF(args);
    return object;
}

static PyObject *get_new(pg_reader_t *reader)
{
    PyObject *type = get_class(reader), *args = NULL, *object = NULL;

    if (type != NULL)
        args = pg_get_tuple(reader, false, false);
    if (args != NULL)
        object = ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, args, NULL);
    Py_XDECREF(type);
    Py_XDECREF(args);
    return object;
}

static PyObject *get_new_keywords(pg_reader_t *reader)
{
    PyObject *type = get_class(reader);
    PyObject *args = type != NULL ? pg_get_value(reader) : NULL;
    PyObject *keywords = args != NULL ? pg_get_value(reader) : NULL;
    PyObject *object = NULL;

    if (keywords != NULL && (!PyTuple_Check(args) || !PyDict_Check(keywords)))
        pg_malformed("arguments that are no tuple and dict");
    else if (keywords != NULL)
        object = ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, args, keywords);
    Py_XDECREF(type);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return object;
}

/* ---- what follows a construction ---- */

/* Hands a batch of items to the object: one call of extend(), else of append() for each. */
static int extend(PyObject *object, PyObject *batch)
{
    PyObject *method, *result = NULL;

    if (PyList_CheckExact(object))
        return PyList_SetSlice(object, PyList_GET_SIZE(object), PyList_GET_SIZE(object), batch);
    if (pg_attribute(object, build.extend, &method) < 0)
        return -1;
    if (method != NULL) {
        result = PyObject_CallOneArg(method, batch);
        Py_DECREF(method);
        Py_XDECREF(result);
        return result != NULL ? 0 : -1;
    }
    method = PyObject_GetAttr(object, build.append);
    for (Py_ssize_t i = 0; method != NULL && i < PyList_GET_SIZE(batch); i++) {
        result = PyObject_CallOneArg(method, PyList_GET_ITEM(batch, i));
        if (result == NULL)
            break;
        Py_DECREF(result);
    }
    Py_XDECREF(method);
    return result != NULL ? 0 : -1;
}

static int get_count(pg_reader_t *reader, size_t each, uint16_t *count)
{
    const uint8_t *bytes = pg_get_bytes(reader, sizeof(*count));

    if (bytes == NULL)
        return -1;
    memcpy(count, bytes, sizeof(*count));
    if (*count <= (size_t)(reader->end - reader->at) / each)
        return 0;
    pg_malformed("a batch that is larger than it");
    return -1;
}

static int get_items(pg_reader_t *reader, PyObject *object)
{
    for (;;) {
        PyObject *batch;
        uint16_t count;
        int outcome = 0;

        if (get_count(reader, 1, &count) < 0)
            return -1;
        if (count == 0)
            return 0;
        batch = PyList_New(0);
        if (batch == NULL)
            return -1;
        for (uint16_t i = 0; outcome == 0 && i < count; i++) {
            PyObject *item = pg_get_value(reader);

            outcome = item != NULL ? pg_list_append(batch, item) : -1;
        }
        if (outcome == 0)
            outcome = extend(object, batch);
        Py_DECREF(batch);
        if (outcome < 0)
            return -1;
    }
}

static int set_item(PyObject *object, PyObject *key, PyObject *value)
{
    return PyDict_CheckExact(object) ? PyDict_SetItem(object, key, value)
                                     : PyObject_SetItem(object, key, value);
}

static int get_keyed(pg_reader_t *reader, PyObject *object)
{
    for (;;) {
        PyObject *batch;
        uint16_t count;
        int outcome = 0;

        if (get_count(reader, 2, &count) < 0)
            return -1;
        if (count == 0)
            return 0;
        batch = PyList_New(0); /* pickle, too, reads a batch before it sets anything */
        if (batch == NULL)
            return -1;
        for (uint32_t i = 0; outcome == 0 && i < 2u * count; i++) {
            PyObject *item = pg_get_value(reader);

            outcome = item != NULL ? pg_list_append(batch, item) : -1;
        }
        for (Py_ssize_t i = 0; outcome == 0 && i + 1 < PyList_GET_SIZE(batch); i += 2)
            outcome = set_item(object, PyList_GET_ITEM(batch, i), PyList_GET_ITEM(batch, i + 1));
        Py_DECREF(batch);
        if (outcome < 0)
            return -1;
    }
}

static int get_state_after(pg_reader_t *reader, PyObject *object, bool with_setter)
{
    PyObject *setter = with_setter ? pg_get_value(reader) : NULL, *state;
    int outcome;

    if (with_setter && setter == NULL)
        return -1;
    state = pg_get_value(reader);
    outcome = state != NULL ? give_state(object, setter, state) : -1;
    Py_XDECREF(setter);
    Py_XDECREF(state);
    return outcome;
}

/* Takes over `object`; returns it, or the one that it is. */
static PyObject *get_after(pg_reader_t *reader, PyObject *object)
{
    const uint8_t *byte = pg_get_bytes(reader, 1);
    uint8_t flags;

    if (byte == NULL) {
        Py_DECREF(object);
        return NULL;
    }
    flags = *byte;
    if ((flags & PG_AFTER_KNOWN) != 0) {
        Py_DECREF(object);
        return pg_get_numbered(reader);
    }
    if (((flags & PG_AFTER_SHARED) != 0 && pg_reader_number(reader, object) < 0) ||
        ((flags & PG_AFTER_ITEMS) != 0 && get_items(reader, object) < 0) ||
        ((flags & PG_AFTER_PAIRS) != 0 && get_keyed(reader, object) < 0) ||
        ((flags & PG_AFTER_STATE) != 0 &&
         get_state_after(reader, object, (flags & PG_AFTER_SETTER) != 0) < 0))
        Py_CLEAR(object);
    return object;
}

PyObject *pg_get_constructed(pg_reader_t *reader, pg_tag_t tag)
{
    PyObject *object;

    if (tag == PG_TAG_CALL)
        object = get_call(reader);
    else
        object = tag == PG_TAG_NEW ? get_new(reader) : get_new_keywords(reader);
    return object != NULL ? get_after(reader, object) : NULL;
}

int pg_build_init(void)
{
    build.no_args = PyTuple_New(0);
    build.setstate = PyUnicode_InternFromString("__setstate__");
    build.dict = PyUnicode_InternFromString("__dict__");
    build.extend = PyUnicode_InternFromString("extend");
    build.append = PyUnicode_InternFromString("append");
    build.dot = PyUnicode_InternFromString(".");
    return build.no_args && build.setstate && build.dict && build.extend && build.append &&
                   build.dot
               ? 0
               : -1;
}
