#include "codec.h"

#include "compat.h"
#include "landing.h"

static struct {
    PyObject *dumps;
    PyObject *loads;
    PyObject *cloud_dumps; /* NULL until pickle refuses something */
    PyObject *protocol;
    PyObject *dump_names; /* ("protocol", "buffer_callback") */
    PyObject *load_names; /* ("buffers",) */
    PyObject *picklebuffer_raw;
} codec;

/* pickle's buffer_callback, bound to the list that collects: a true result keeps the buffer in the
 * stream, a false one takes it out of band. */
static PyObject *collect_buffer(PyObject *list, PyObject *buffer)
{
    PyObject *raw = PyObject_CallMethodNoArgs(buffer, codec.picklebuffer_raw);
    Py_ssize_t length;
    PyObject *owner;
    int failed;

    if (raw == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_BufferError))
            return NULL;
        PyErr_Clear(); /* not contiguous: pickle copies it into the stream */
        Py_RETURN_TRUE;
    }
    length = PyMemoryView_GET_BUFFER(raw)->len;
    if (length == 0 || (size_t)length < pg.job->config.buffer_min) {
        Py_DECREF(raw);
        Py_RETURN_TRUE;
    }
    owner = PyMemoryView_GET_BUFFER(raw)->obj; /* bytes and bytearrays arrive as such */
    if (owner != NULL && pg_land_of(owner) != PG_LAND_MEMORY && PyObject_Size(owner) == length)
        Py_SETREF(raw, Py_NewRef(owner));
    failed = PyList_Append(list, raw) < 0;
    Py_DECREF(raw);
    if (failed)
        return NULL;
    Py_RETURN_FALSE;
}

static PyMethodDef collect_def = {"collect_buffer", collect_buffer, METH_O, NULL};

static PyObject *dump_with(PyObject *dumps, PyObject *object, PyObject *buffers)
{
    PyObject *collector = PyCFunction_New(&collect_def, buffers);
    PyObject *args[3] = {object, codec.protocol, collector};
    PyObject *stream;

    if (collector == NULL)
        return NULL;
    stream = PyObject_Vectorcall(dumps, args, 1, codec.dump_names);
    Py_DECREF(collector);
    return stream;
}

static PyObject *cloud_dumps(void)
{
    if (codec.cloud_dumps == NULL) {
        PyObject *module = PyImport_ImportModule("pygas._cloud");

        if (module == NULL)
            return NULL;
        codec.cloud_dumps = PyObject_GetAttrString(module, "dumps");
        Py_DECREF(module);
    }
    return codec.cloud_dumps;
}

/* True if the exception that is set means that pickle does not know how to copy the object. */
static bool pickle_refused(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError) &&
           !PyErr_ExceptionMatches(PyExc_RecursionError);
}

int pg_codec_dump(PyObject *object, PyObject **stream, PyObject **buffers)
{
    PyObject *list = PyList_New(0);
    PyObject *bytes, *refusal, *dumps;

    if (list == NULL)
        return -1;
    bytes = dump_with(codec.dumps, object, list);
    if (bytes == NULL && pickle_refused()) {
        refusal = PyErr_GetRaisedException();
        dumps = cloud_dumps();
        if (PyList_SetSlice(list, 0, PyList_GET_SIZE(list), NULL) == 0 && dumps != NULL)
            bytes = dump_with(dumps, object, list);
        if (bytes == NULL && pickle_refused())
            PyErr_SetRaisedException(refusal); /* what pickle said is the clearer one */
        else
            Py_DECREF(refusal);
    }
    if (bytes == NULL) {
        Py_DECREF(list);
        return -1;
    }
    *stream = bytes;
    *buffers = list;
    return 0;
}

PyObject *pg_codec_load(PyObject *stream, PyObject *buffers)
{
    PyObject *args[2] = {stream, buffers};

    if (buffers == NULL || PyList_GET_SIZE(buffers) == 0)
        return PyObject_CallOneArg(codec.loads, stream);
    return PyObject_Vectorcall(codec.loads, args, 1, codec.load_names);
}

int pg_codec_init(void)
{
    PyObject *pickle = PyImport_ImportModule("pickle");

    if (pickle == NULL)
        return -1;
    codec.dumps = PyObject_GetAttrString(pickle, "dumps");
    codec.loads = PyObject_GetAttrString(pickle, "loads");
    Py_DECREF(pickle);
    codec.protocol = PyLong_FromLong(5);
    codec.dump_names = Py_BuildValue("(ss)", "protocol", "buffer_callback");
    codec.load_names = Py_BuildValue("(s)", "buffers");
    codec.picklebuffer_raw = PyUnicode_InternFromString("raw");
    return codec.dumps && codec.loads && codec.protocol && codec.dump_names && codec.load_names &&
                   codec.picklebuffer_raw
               ? 0
               : -1;
}
