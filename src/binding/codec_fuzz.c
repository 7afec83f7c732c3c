/*
 * The codec's decoder under libFuzzer: any bytes are either a value or an exception.
 *
 * A program of its own that embeds the interpreter and loads the extension, which is built with
 * sanitizers and coverage; tools/test_fuzz.sh builds and runs it. A message may name anything and
 * have it called, so tools/fuzz_setup.py lets only harmless names through.
 *
 * The first byte of an input says how many out-of-band buffers come with it; the rest is the
 * stream. A value that comes out is encoded again, which looks at all of it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>

#define BUFFERS_MAX 3

static PyObject *dumps, *loads;

static void die(const char *what)
{
    fprintf(stderr, "codec_fuzz: %s\n", what);
    if (PyErr_Occurred())
        PyErr_Print();
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The interpreter of the environment that has the extension. */
static void start_python(void)
{
    const char *python = getenv("PYGAS_FUZZ_PYTHON");
    PyConfig config;

    if (python == NULL)
        die("PYGAS_FUZZ_PYTHON must name the interpreter of the instrumented build");
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    if (PyStatus_Exception(PyConfig_SetBytesString(&config, &config.program_name, python)) ||
        PyStatus_Exception(Py_InitializeFromConfig(&config)))
        die("no interpreter");
    PyConfig_Clear(&config);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *folder = getenv("PYGAS_FUZZ_SETUP");
    PyObject *path, *setup;

    (void)argc;
    (void)argv;
    start_python();
    path = PySys_GetObject("path");
    setup = folder != NULL ? PyUnicode_FromString(folder) : NULL;
    if (setup == NULL || path == NULL || PyList_Insert(path, 0, setup) < 0)
        die("PYGAS_FUZZ_SETUP must name the folder of fuzz_setup.py");
    Py_DECREF(setup);
    setup = PyImport_ImportModule("fuzz_setup");
    if (setup == NULL)
        die("no set-up");
    dumps = PyObject_GetAttrString(setup, "dumps");
    loads = PyObject_GetAttrString(setup, "loads");
    Py_DECREF(setup);
    if (dumps == NULL || loads == NULL)
        die("no codec");
    return 0;
}

/* A SystemError is how CPython reports that C code has broken its rules. */
static void check_exception(void)
{
    if (!PyErr_Occurred())
        die("no value and no exception");
    if (PyErr_ExceptionMatches(PyExc_SystemError))
        die("a SystemError");
    PyErr_Clear();
}

static PyObject *arguments(const uint8_t *data, size_t size)
{
    static const Py_ssize_t lengths[BUFFERS_MAX] = {8, 64, 240};
    size_t count = size > 0 ? data[0] % (BUFFERS_MAX + 1) : 0;
    PyObject *args = PyTuple_New(2 + (Py_ssize_t)count);
    size_t skip = size > 0;

    if (args == NULL)
        die("no memory");
    PyTuple_SET_ITEM(
        args, 0,
        PyMemoryView_FromMemory((char *)data + skip, (Py_ssize_t)(size - skip), PyBUF_READ));
    PyTuple_SET_ITEM(args, 1, Py_BuildValue("[i]", 1)); /* stands for a Proxy */
    for (size_t i = 0; i < count; i++) {
        PyObject *buffer = PyByteArray_FromStringAndSize(NULL, lengths[i]);

        if (buffer == NULL)
            die("no memory");
        memset(PyByteArray_AS_STRING(buffer), 0, (size_t)lengths[i]);
        PyTuple_SET_ITEM(args, (Py_ssize_t)i + 2, buffer);
    }
    return args;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PyObject *args = arguments(data, size);
    PyObject *value = PyObject_CallObject(loads, args), *again;

    Py_DECREF(args);
    if (value == NULL) {
        check_exception();
        return 0;
    }
    again = PyObject_CallOneArg(dumps, value);
    if (again == NULL)
        check_exception();
    Py_XDECREF(again);
    Py_DECREF(value);
    return 0;
}
