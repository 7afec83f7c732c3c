/*
 * Method: a method of an object that lives on another rank, bound to it. Calling it is one request.
 */
#ifndef PYGAS_BINDING_METHOD_H
#define PYGAS_BINDING_METHOD_H

#include "proxy.h"

/* The method `name` of the proxy's object. NULL with an exception. */
PyObject *pg_method_new(pg_proxy_t *proxy, PyObject *name);

#endif
