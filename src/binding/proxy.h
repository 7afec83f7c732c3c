/*
 * Proxy: a reference to an object that lives on some rank, which behaves like the object.
 *
 * It has no public attributes or methods of its own: everything that is asked of it is asked of the
 * object. Where the object lives on this rank, operations go straight to it; elsewhere they travel.
 */
#ifndef PYGAS_BINDING_PROXY_H
#define PYGAS_BINDING_PROXY_H

#include "state.h"

typedef struct pg_proxy {
    PyObject_HEAD int owner;
    uint64_t id;      /* in the owner's exports; on the owner only once somebody else may have it */
    PyObject *object; /* the object itself on its owner, else NULL */
    PyObject *weak_references;
} pg_proxy_t;

#define PG_PROXY_CHECK(object) Py_IS_TYPE(object, pg.proxy_type)

/* A Proxy to an object of this rank. NULL with an exception. */
PyObject *pg_proxy_new_local(PyObject *object);

/* The Proxy that (owner, id) on the wire stands for. NULL with an exception. */
PyObject *pg_proxy_from_wire(int owner, uint64_t id);

/* What stands for `proxy` on the wire; exports the object if it is not yet. -1 with an exception.
 */
int pg_proxy_to_wire(pg_proxy_t *proxy, int *owner, uint64_t *id);

/* `op` on the proxy's object, wherever it is. Steals `args`, which may be NULL (an exception is set
 * then). A new reference, or NULL with an exception. */
PyObject *pg_proxy_operate(pg_proxy_t *proxy, int op, PyObject *args);

#endif
