/* The codec's set-up, and its use from Python. */
#include "codec.h"

#include "codec_class.h"
#include "codec_object.h"
#include "codec_read.h"

int pg_codec_init(void)
{
    return pg_class_init() < 0 || pg_object_init() < 0 || pg_reduce_init() < 0 ||
                   pg_build_init() < 0
               ? -1
               : 0;
}

/* A list that Proxies are put in, or taken from; None stands for NULL. */
static int parse_proxies(PyObject *object, PyObject **proxies)
{
    *proxies = object != Py_None ? object : NULL;
    if (*proxies == NULL || PyList_CheckExact(object))
        return 0;
    PyErr_SetString(PyExc_TypeError, "proxies must be a list or None");
    return -1;
}

PyObject *pg_dumps(PyObject *module, PyObject *args)
{
    uint8_t room[512];
    pg_encoding_t encoding = {.room = room, .room_length = sizeof(room)};
    PyObject *object, *proxies = Py_None, *bytes;

    (void)module;
    if (!PyArg_ParseTuple(args, "O|O:dumps", &object, &proxies) ||
        parse_proxies(proxies, &encoding.proxies) < 0 || pg_codec_encode(object, &encoding) < 0)
        return NULL;
    bytes = PyBytes_FromStringAndSize((const char *)encoding.bytes, (Py_ssize_t)encoding.length);
    pg_encoding_fini(&encoding);
    return bytes;
}

/* Arguments of loads() that are no buffers. */
#define FIRST_BUFFER 2

/* Fills `views` with those of the buffers in `args`; *count: how many. */
static int get_views(PyObject *args, Py_buffer *views, Py_ssize_t *count)
{
    for (*count = 0; *count + FIRST_BUFFER < PyTuple_GET_SIZE(args); (*count)++)
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(args, *count + FIRST_BUFFER), &views[*count],
                               PyBUF_SIMPLE) < 0)
            return -1;
    return 0;
}

PyObject *pg_loads(PyObject *module, PyObject *args)
{
    pg_beside_t beside = {.count = 0};
    PyObject *object = NULL;
    Py_buffer stream, *views;

    (void)module;
    if (PyTuple_GET_SIZE(args) < 1) {
        PyErr_SetString(PyExc_TypeError, "loads() needs the bytes of an object");
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) > 1 && parse_proxies(PyTuple_GET_ITEM(args, 1), &beside.proxies) < 0)
        return NULL;
    beside.views = views = PyMem_Calloc((size_t)PyTuple_GET_SIZE(args), sizeof(*views));
    if (views == NULL)
        return PyErr_NoMemory();
    if (PyObject_GetBuffer(PyTuple_GET_ITEM(args, 0), &stream, PyBUF_SIMPLE) == 0) {
        if (get_views(args, views, &beside.count) == 0)
            object = pg_codec_decode(stream.buf, (size_t)stream.len, &beside);
        PyBuffer_Release(&stream);
    }
    for (Py_ssize_t i = 0; i < beside.count; i++)
        PyBuffer_Release(&views[i]);
    PyMem_Free(views);
    return object;
}
