/* The type pygas.Proxy, from which the type of every Proxy is derived (shape.h). */
#include "affinity.h"
#include "proxy.h"
#include "proxy_slots.h"

#include <stddef.h>
#include <structmember.h>

static PyObject *Proxy_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "thread", NULL};
    PyObject *object, *proxy = NULL;
    gas_home_t *home;
    int thread = 0;

    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:Proxy", names, &object, &thread) ||
        pg_enter() < 0)
        return NULL;
    home = thread ? pg_home_here() : NULL;
    if (home != NULL || !thread)
        proxy = pg_proxy_new_local(object, home);
    pg_leave();
    return proxy;
}

static PyObject *Proxy_init_subclass(PyObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type;
    (void)args;
    (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "type 'pygas.Proxy' is not an acceptable base type");
    return NULL;
}

static PyMemberDef Proxy_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pg_proxy_t, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    Proxy_doc,
    "Proxy(object, /, *, thread=False)\n--\n\n"
    "A reference to an object of this rank, which behaves like it on every rank.\n\n"
    "Operations on a Proxy run on the rank that owns the object, and their results come back by\n"
    "value; what cannot be copied comes back as a Proxy. Proxies can be passed, stored and sent. "
    "On\n"
    "the owner itself operations go straight to the object.\n\n"
    "With `thread` true the object belongs to the calling thread: operations run on that thread\n"
    "only, also those of other threads of this rank, and so do those on Proxies that they return.\n"
    "The main thread runs them while it waits in PyGAS and between two bytecodes of its program,\n"
    "another thread while it waits in PyGAS, as in progress(). When the thread has ended they\n"
    "raise RuntimeError.\n\n"
    "Questions about a Proxy are functions of the module: owner(), is_local(), local(), "
    "resolve(),\n"
    "by_ref(), async_(). Making the first Proxy starts the job (see init()).");

PyTypeObject *pg_proxy_type_create(PyObject *module)
{
    static PyMethodDef methods[16]; /* has to live as long as the type */
    PyType_Slot slots[32] = {
        {Py_tp_doc, (void *)Proxy_doc},
        {Py_tp_new, Proxy_new},
        {Py_tp_members, Proxy_members},
        {Py_tp_methods, methods},
    };
    PyType_Spec spec = {
        .name = "pygas.Proxy",
        .basicsize = sizeof(pg_proxy_t),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                 Py_TPFLAGS_BASETYPE,
        .slots = slots,
    };
    size_t count = 0;

    while (pg_proxy_common_methods[count].ml_name != NULL) {
        methods[count] = pg_proxy_common_methods[count];
        count++;
    }
    methods[count] =
        (PyMethodDef){"__init_subclass__", (PyCFunction)(void (*)(void))Proxy_init_subclass,
                      METH_CLASS | METH_VARARGS | METH_KEYWORDS, NULL};
    count = 0;
    while (slots[count].slot != 0)
        count++;
    for (size_t i = 0; i < pg_proxy_common_count; i++)
        slots[count++] = pg_proxy_common_slots[i];
    slots[count++] = pg_proxy_hash_slot;
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
