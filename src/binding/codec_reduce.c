/* Encoding by hooks: __reduce_ex__(), copyreg, cloudpickle, and what their answers mean. */
#include "codec_object.h"
#include "compat.h"

static struct {
    PyObject *pickling_error;
    PyObject *reduce_ex, *reduce, *name, *class;
    PyObject *protocol;
} hooks;

/* True if the exception that is set means that pickle does not know how to copy the object. */
static bool is_refusal(const pg_writer_t *writer)
{
    return writer->needed == writer->rigour && PyErr_ExceptionMatches(PyExc_Exception) &&
           !PyErr_ExceptionMatches(PyExc_MemoryError) &&
           !PyErr_ExceptionMatches(PyExc_RecursionError);
}

static int refuse(const char *text)
{
    PyErr_SetString(hooks.pickling_error, text);
    return -1;
}

int pg_put_after(pg_writer_t *writer, PyObject *object, bool recurs, const pg_after_t *after)
{
    Py_ssize_t known = recurs ? pg_memo_find(&writer->memo, object) : -1;
    unsigned flags = recurs ? PG_AFTER_SHARED : 0;

    if (known >= 0) /* it contains itself */
        return pg_put_byte(writer, PG_AFTER_KNOWN) < 0 ? -1 : pg_put_size(writer, (size_t)known);
    flags |= after->items != NULL ? PG_AFTER_ITEMS : 0;
    flags |= after->pairs != NULL ? PG_AFTER_PAIRS : 0;
    flags |= after->state != NULL ? PG_AFTER_STATE : 0;
    flags |= after->state != NULL && after->setter != NULL ? PG_AFTER_SETTER : 0;
    if (pg_put_byte(writer, flags) < 0 || (recurs && pg_memo_add(&writer->memo, object) < 0) ||
        (after->items != NULL && pg_put_items(writer, after->items, false) < 0) ||
        (after->pairs != NULL && pg_put_items(writer, after->pairs, true) < 0) ||
        ((flags & PG_AFTER_SETTER) != 0 && pg_put_value(writer, after->setter) < 0))
        return -1;
    return after->state != NULL ? pg_put_value(writer, after->state) : 0;
}

/* ---- constructions ---- */

/* copyreg.__newobj__(cls, *args): `object` = cls.__new__(cls, *args). */
static int put_new(pg_writer_t *writer, PyObject *object, PyObject *args)
{
    PyObject *cls, *own_class;
    bool same;

    if (PyTuple_GET_SIZE(args) < 1)
        return refuse("__newobj__ arglist is empty");
    cls = PyTuple_GET_ITEM(args, 0);
    if (!PyType_Check(cls))
        return refuse("args[0] from __newobj__ args is not a type");
    own_class = PyObject_GetAttr(object, hooks.class);
    if (own_class == NULL)
        return -1;
    same = own_class == cls;
    Py_DECREF(own_class);
    if (!same)
        return refuse("args[0] from __newobj__ args has the wrong class");
    if (pg_put_byte(writer, PG_TAG_NEW) < 0 || pg_put_value(writer, cls) < 0 ||
        pg_put_size(writer, (size_t)PyTuple_GET_SIZE(args) - 1) < 0)
        return -1;
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(args); i++)
        if (pg_put_value(writer, PyTuple_GET_ITEM(args, i)) < 0)
            return -1;
    return 0;
}

/* copyreg.__newobj_ex__(cls, args, kwargs). */
static int put_new_keywords(pg_writer_t *writer, PyObject *args)
{
    if (PyTuple_GET_SIZE(args) != 3 || !PyType_Check(PyTuple_GET_ITEM(args, 0)) ||
        !PyTuple_Check(PyTuple_GET_ITEM(args, 1)) || !PyDict_Check(PyTuple_GET_ITEM(args, 2)))
        return refuse("the arguments of __newobj_ex__ must be a type, a tuple and a dict");
    if (pg_put_byte(writer, PG_TAG_NEW_KEYWORDS) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < 3; i++)
        if (pg_put_value(writer, PyTuple_GET_ITEM(args, i)) < 0)
            return -1;
    return 0;
}

static int put_construction(pg_writer_t *writer, PyObject *object, PyObject *function,
                            PyObject *args)
{
    PyObject *name = NULL;
    bool is_new, is_new_keywords;

    if (pg_attribute(function, hooks.name, &name) < 0)
        return -1;
    is_new = name != NULL && PyUnicode_Check(name) &&
             PyUnicode_CompareWithASCIIString(name, "__newobj__") == 0;
    is_new_keywords = name != NULL && PyUnicode_Check(name) &&
                      PyUnicode_CompareWithASCIIString(name, "__newobj_ex__") == 0;
    Py_XDECREF(name);
    if (is_new)
        return put_new(writer, object, args);
    if (is_new_keywords)
        return put_new_keywords(writer, args);
    if (pg_put_byte(writer, PG_TAG_CALL) < 0 || pg_put_value(writer, function) < 0)
        return -1;
    return pg_put_value(writer, args);
}

/* ---- reductions ---- */

static PyObject *unless_none(PyObject *reduction, Py_ssize_t index)
{
    PyObject *item;

    if (index >= PyTuple_GET_SIZE(reduction))
        return NULL;
    item = PyTuple_GET_ITEM(reduction, index);
    return item != Py_None ? item : NULL;
}

/* What __reduce__() returned, a tuple. */
static int put_reduction(pg_writer_t *writer, PyObject *object, PyObject *reduction)
{
    PyObject *function, *args;
    pg_after_t after;

    if (PyTuple_GET_SIZE(reduction) < 2 || PyTuple_GET_SIZE(reduction) > 6)
        return refuse("tuple returned by __reduce__ must contain 2 through 6 elements");
    function = PyTuple_GET_ITEM(reduction, 0);
    args = PyTuple_GET_ITEM(reduction, 1);
    after.state = unless_none(reduction, 2);
    after.items = unless_none(reduction, 3);
    after.pairs = unless_none(reduction, 4);
    after.setter = unless_none(reduction, 5);
    if (!PyCallable_Check(function))
        return refuse("first item of the tuple returned by __reduce__ must be callable");
    if (!PyTuple_Check(args))
        return refuse("second item of the tuple returned by __reduce__ must be a tuple");
    if (after.items != NULL && !PyIter_Check(after.items))
        return refuse("fourth element of the tuple returned by __reduce__ must be an iterator");
    if (after.pairs != NULL && !PyIter_Check(after.pairs))
        return refuse("fifth element of the tuple returned by __reduce__ must be an iterator");
    if (after.setter != NULL && !PyCallable_Check(after.setter))
        return refuse("sixth element of the tuple returned by __reduce__ must be a function");
    if (put_construction(writer, object, function, args) < 0)
        return -1;
    return pg_put_after(writer, object, true, &after);
}

static int put_answer(pg_writer_t *writer, PyObject *object, PyObject *answer)
{
    int outcome;

    if (PyUnicode_Check(answer))
        return pg_put_global(writer, object, answer);
    if (!PyTuple_Check(answer))
        return refuse("__reduce__ must return a string or tuple");
    if (pg_writer_enter(writer, object) < 0)
        return -1;
    outcome = put_reduction(writer, object, answer);
    return pg_writer_leave(writer, object, outcome);
}

/* What the object's hooks say. A new reference. */
static PyObject *ask(PyObject *object, PyObject *reducer)
{
    PyObject *hook = NULL, *answer;

    if (reducer != NULL)
        return PyObject_CallOneArg(reducer, object);
    if (pg_attribute(object, hooks.reduce_ex, &hook) < 0)
        return NULL;
    if (hook != NULL) {
        answer = PyObject_CallOneArg(hook, hooks.protocol);
    } else {
        if (pg_attribute(object, hooks.reduce, &hook) < 0)
            return NULL;
        if (hook == NULL)
            return PyErr_Format(hooks.pickling_error, "can't pickle '%.200s' object: %R",
                                Py_TYPE(object)->tp_name, object);
        answer = PyObject_CallNoArgs(hook);
    }
    Py_DECREF(hook);
    return answer;
}

static PyObject *ask_cloud(pg_writer_t *writer, PyObject *object)
{
    if (writer->cloud == NULL) {
        PyObject *module = PyImport_ImportModule("pygas._cloud");

        if (module == NULL)
            return NULL;
        writer->cloud = PyObject_CallMethod(module, "Reducer", NULL);
        Py_DECREF(module);
        if (writer->cloud == NULL)
            return NULL;
    }
    return PyObject_CallOneArg(writer->cloud, object);
}

int pg_put_by_cloud(pg_writer_t *writer, PyObject *object)
{
    PyObject *refusal, *answer;
    int outcome;

    if (!is_refusal(writer))
        return -1;
    refusal = PyErr_GetRaisedException();
    answer = ask_cloud(writer, object);
    if (answer == NULL || answer == Py_None) {
        if (answer == NULL && !is_refusal(writer)) {
            Py_DECREF(refusal);
            return -1;
        }
        Py_XDECREF(answer);
        PyErr_SetRaisedException(refusal); /* what pickle said is the clearer one */
        return -1;
    }
    Py_DECREF(refusal);
    outcome = put_answer(writer, object, answer);
    Py_DECREF(answer);
    return outcome;
}

int pg_put_by_cloud_first(pg_writer_t *writer, PyObject *object)
{
    PyObject *answer;
    int outcome;

    if (pg_require_rigour(writer, PG_RIGOUR_HOOKS) < 0)
        return -1;
    answer = ask_cloud(writer, object);
    if (answer == NULL)
        return -1;
    outcome = put_answer(writer, object, answer);
    Py_DECREF(answer);
    return outcome;
}

int pg_put_by_hooks(pg_writer_t *writer, PyObject *object, PyObject *reducer)
{
    PyObject *answer;
    int outcome;

    if (pg_require_rigour(writer, PG_RIGOUR_HOOKS) < 0)
        return -1;
    answer = ask(object, reducer);
    if (answer == NULL)
        return pg_put_by_cloud(writer, object);
    outcome = put_answer(writer, object, answer);
    Py_DECREF(answer);
    return outcome;
}

int pg_reduce_init(void)
{
    PyObject *pickle = PyImport_ImportModule("pickle");

    if (pickle == NULL)
        return -1;
    hooks.pickling_error = PyObject_GetAttrString(pickle, "PicklingError");
    Py_DECREF(pickle);
    hooks.reduce_ex = PyUnicode_InternFromString("__reduce_ex__");
    hooks.reduce = PyUnicode_InternFromString("__reduce__");
    hooks.name = PyUnicode_InternFromString("__name__");
    hooks.class = PyUnicode_InternFromString("__class__");
    hooks.protocol = PyLong_FromLong(5);
    return hooks.pickling_error && hooks.reduce_ex && hooks.reduce && hooks.name && hooks.class &&
                   hooks.protocol
               ? 0
               : -1;
}
