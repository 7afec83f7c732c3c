/* What newer CPython offers and older versions lack. */
#ifndef PYGAS_BINDING_COMPAT_H
#define PYGAS_BINDING_COMPAT_H

#include <Python.h>

#if PY_VERSION_HEX < 0x030C0000

/* The exception that is set, as one object with its traceback, which is no longer set then. */
static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

/* Sets `exception` and takes over the reference. */
static inline void PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exception));

    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}

#endif

#if PY_VERSION_HEX < 0x030D0000

/* What a weak reference refers to, a new reference: 1, or 0 and NULL if that has gone. */
static inline int PyWeakref_GetRef(PyObject *reference, PyObject **object)
{
    PyObject *found = PyWeakref_GetObject(reference);

    *object = found != Py_None ? Py_NewRef(found) : NULL;
    return *object != NULL;
}

/* These builds have one interpreter lock, under which such a section is. No Python code may run in
 * it. */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }

/* Hands the exception that is set to sys.unraisablehook, with the text "Exception ignored <where>".
 */
static inline void pg_unraisable(const char *where)
{
    _PyErr_WriteUnraisableMsg(where, NULL);
}

#else

static inline void pg_unraisable(const char *where)
{
    PyErr_FormatUnraisable("Exception ignored %s", where);
}

#endif

#endif
