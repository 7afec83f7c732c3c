#include "codec_proxy.h"

#include "proxy.h"
#include "references.h"

/* The longest name of a class that is believed. */
#define NAME_MAX_LENGTH 4096

typedef struct reference {
    int32_t owner;
    uint32_t mode;
    uint64_t id;
    uint64_t slots[PG_SHAPE_WORDS];
} reference_t;

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
    reference_t reference = {.owner = proxy->owner, .mode = (uint32_t)proxy->mode};
    size_t length = strlen(proxy->shape->name);

    if (pg_require_job() < 0 || pg_references_note(proxy, &reference.id) < 0)
        return -1;
    memcpy(reference.slots, proxy->shape->slots, sizeof(reference.slots));
    if (pg_put_tagged(writer, PG_TAG_PROXY, &reference, sizeof(reference)) < 0 ||
        pg_put_size(writer, length) < 0)
        return -1;
    return pg_put_bytes(writer, proxy->shape->name, length);
}

int pg_put_proxy(pg_writer_t *writer, PyObject *proxy, bool recurs)
{
    size_t tag_at = pg_writer_offset(writer);
    int outcome = writer->encoding->proxies != NULL ? put_beside(writer, proxy)
                                                    : put_reference(writer, (pg_proxy_t *)proxy);

    return outcome == 0 && recurs ? pg_number(writer, proxy, tag_at) : outcome;
}

/* The shape of a reference: its name, and its slots. */
static pg_shape_t *get_shape(pg_reader_t *reader, const uint64_t *slots)
{
    const uint8_t *bytes;
    PyObject *name;
    pg_shape_t *shape;
    const char *text;
    size_t length;

    if (pg_get_size(reader, 1, &length) < 0 || (bytes = pg_get_bytes(reader, length)) == NULL)
        return NULL;
    if (length > NAME_MAX_LENGTH || memchr(bytes, '\0', length) != NULL) {
        pg_malformed("the name of a Proxy's class");
        return NULL;
    }
    name = PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)length, NULL);
    text = name != NULL ? PyUnicode_AsUTF8(name) : NULL;
    if (text == NULL) {
        Py_XDECREF(name);
        pg_malformed("the name of a Proxy's class");
        return NULL;
    }
    shape = pg_shape_get(text, slots);
    Py_DECREF(name);
    return shape;
}

PyObject *pg_get_proxy(pg_reader_t *reader)
{
    const uint8_t *bytes = pg_get_bytes(reader, sizeof(reference_t));
    pg_shape_t *shape;
    reference_t reference;
    pg_reference_t held;
    PyObject *proxy;

    if (bytes == NULL)
        return NULL;
    memcpy(&reference, bytes, sizeof(reference));
    if (reference.mode >= PG_MODE_COUNT)
        return pg_malformed("the mode of a Proxy");
    shape = get_shape(reader, reference.slots);
    if (shape == NULL)
        return NULL;
    if (pg_enter() < 0) {
        pg_shape_let_go(shape);
        return NULL;
    }
    if (reader->references != NULL &&
        pg_references_take(reader->references, reference.owner, reference.id, &held))
        proxy = pg_proxy_from_held(&held, shape, (pg_mode_t)reference.mode);
    else
        proxy = pg_proxy_from_wire(reference.owner, reference.id, shape, (pg_mode_t)reference.mode);
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
