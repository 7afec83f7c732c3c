/*
 * A Proxy in the stream: the tag; as small numbers (numbers.h) one of the owner and the mode, and
 * the id; the shape (shape_wire.h).
 */
#include "codec_proxy.h"

#include "numbers.h"
#include "proxy.h"
#include "references.h"
#include "shape_wire.h"

#define OWNER_BITS 31 /* an int */
#define MODE_BITS 2
#define HEAD_ROOM (1 + PG_NUMBER_ROOM(OWNER_BITS + MODE_BITS) + PG_ID_ROOM)

static_assert(PG_MODE_COUNT <= 1 << MODE_BITS, "a mode has two bits");

static int put_beside(pg_writer_t *writer, PyObject *proxy)
{
    PyObject *list = writer->encoding->proxies;
    size_t number = (size_t)PyList_GET_SIZE(list);

    if (PyList_Append(list, proxy) < 0 || pg_put_byte(writer, PG_TAG_PROXY_BESIDE) < 0)
        return -1;
    return pg_put_size(writer, number);
}

static int put_reference(pg_writer_t *writer, pg_proxy_t *proxy)
{
    const pg_shape_t *shape = proxy->shape;
    uint64_t id;

    if (pg_require_job() < 0 || pg_references_note(proxy, &id) < 0 ||
        pg_reserve(writer, HEAD_ROOM + shape->wire_length) < 0)
        return -1;
    *writer->at++ = PG_TAG_PROXY;
    writer->at = pg_number_put(writer->at, (uint64_t)proxy->owner << MODE_BITS | proxy->mode);
    writer->at = pg_id_put(writer->at, id);
    memcpy(writer->at, shape->wire, shape->wire_length);
    writer->at += shape->wire_length;
    return 0;
}

int pg_put_proxy(pg_writer_t *writer, PyObject *proxy, bool recurs)
{
    size_t tag_at = pg_writer_offset(writer);
    int outcome = writer->encoding->proxies != NULL ? put_beside(writer, proxy)
                                                    : put_reference(writer, (pg_proxy_t *)proxy);

    return outcome == 0 && recurs ? pg_number(writer, proxy, tag_at) : outcome;
}

PyObject *pg_get_proxy(pg_reader_t *reader)
{
    uint64_t owner_and_mode, id;
    pg_shape_t *shape;
    pg_reference_t held;
    PyObject *proxy;
    pg_mode_t mode;
    int owner;

    if (!pg_number_get(&reader->at, reader->end, OWNER_BITS + MODE_BITS, &owner_and_mode) ||
        !pg_id_get(&reader->at, reader->end, &id))
        return pg_malformed("a reference to a shared object");
    owner = (int)(owner_and_mode >> MODE_BITS);
    mode = (pg_mode_t)(owner_and_mode & ((1u << MODE_BITS) - 1));
    if (mode >= PG_MODE_COUNT)
        return pg_malformed("the mode of a Proxy");
    shape = pg_shape_wire_get(&reader->at, reader->end);
    if (shape == NULL)
        return NULL;
    if (pg_enter() < 0) {
        pg_shape_let_go(shape);
        return NULL;
    }
    if (reader->references != NULL && pg_references_take(reader->references, owner, id, &held))
        proxy = pg_proxy_from_held(&held, shape, mode);
    else
        proxy = pg_proxy_from_wire(owner, id, shape, mode);
    pg_leave();
    return proxy;
}

PyObject *pg_get_proxy_beside(pg_reader_t *reader)
{
    size_t number;

    if (pg_get_size(reader, 0, &number) < 0)
        return NULL;
    if (reader->proxies == NULL || number >= (size_t)PyList_GET_SIZE(reader->proxies))
        return pg_malformed("a Proxy that did not come with it");
    return Py_NewRef(PyList_GET_ITEM(reader->proxies, (Py_ssize_t)number));
}
