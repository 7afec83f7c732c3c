/*
 * Proxies in a stream: a reference travels, not the object.
 *
 * The reference: owner, mode, id, the slots of the shape, and its name in UTF-8. What keeps the
 * object alive meanwhile travels beside the stream (references.h). Where that cannot be, as in
 * bytes for Python, the Proxies themselves are put in a list, and the stream has their numbers.
 *
 * A Proxy may be noted more often than it is sent: encoding may start over (pg_rigour_t). One that
 * is met again in a value is written once.
 */
#ifndef PYGAS_BINDING_CODEC_PROXY_H
#define PYGAS_BINDING_CODEC_PROXY_H

#include "codec_read.h"
#include "codec_write.h"

int pg_put_proxy(pg_writer_t *writer, PyObject *proxy, bool recurs);

/* After the tag. A new reference, or NULL with an exception. */
PyObject *pg_get_proxy(pg_reader_t *reader);
PyObject *pg_get_proxy_beside(pg_reader_t *reader);

#endif
