/* Functions of the module that act on ranks, Proxies and the whole job; see their docstrings. */
#ifndef PYGAS_BINDING_REMOTE_H
#define PYGAS_BINDING_REMOTE_H

#include "state.h"

PyObject *pg_remote_call(PyObject *module, PyObject *args);
PyObject *pg_remote_submit(PyObject *module, PyObject *args);
PyObject *pg_remote_new(PyObject *module, PyObject *args);
PyObject *pg_proxy_owner(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_is_local(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_local(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_resolve(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_by_ref(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_async(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_items(PyObject *module, PyObject *args);
PyObject *pg_requests_sent(PyObject *module, PyObject *unused);
PyObject *pg_proxy_reduce(PyObject *module, PyObject *proxy);
PyObject *pg_proxy_rebuild(PyObject *module, PyObject *args);
PyObject *pg_progress(PyObject *module, PyObject *unused);

#endif
