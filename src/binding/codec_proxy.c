/*
 * A Proxy in the stream: the tag; as small numbers (numbers.h) the owner, the id, and one of the
 * mode and of which of the slots' bytes follow; those, the lowest first, as most classes have few;
 * the size of the class's name, and the name.
 */
#include "codec_proxy.h"

#include "numbers.h"
#include "proxy.h"
#include "references.h"

/* The longest name of a class that is believed. */
#define NAME_MAX_LENGTH 4096

#define OWNER_BITS 31 /* an int */
#define MODE_BITS 2
#define SLOT_BYTES (PG_SHAPE_WORDS * 8)
#define REFERENCE_ROOM                                                                             \
    (1 + PG_NUMBER_ROOM(OWNER_BITS) + PG_ID_ROOM + PG_NUMBER_ROOM(SLOT_BYTES + MODE_BITS) +        \
     SLOT_BYTES)

static_assert(PG_MODE_COUNT <= 1 << MODE_BITS, "a mode has two bits");

typedef struct reference {
    int owner;
    pg_mode_t mode;
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

/* The mode, and the bytes of the slots that are not 0. */
static uint8_t *put_traits(uint8_t *at, const pg_proxy_t *proxy)
{
    uint8_t bytes[SLOT_BYTES], *byte = bytes;
    uint32_t which = 0;

    for (int i = 0; i < SLOT_BYTES; i++) {
        *byte = (uint8_t)(proxy->shape->slots[i / 8] >> (i % 8 * 8));
        which |= (uint32_t)(*byte > 0) << i;
        byte += *byte > 0;
    }
    at = pg_number_put(at, which << MODE_BITS | (uint32_t)proxy->mode);
    memcpy(at, bytes, (size_t)(byte - bytes));
    return at + (byte - bytes);
}

static int put_reference(pg_writer_t *writer, pg_proxy_t *proxy)
{
    size_t length = strlen(proxy->shape->name);
    uint64_t id;

    if (pg_require_job() < 0 || pg_references_note(proxy, &id) < 0 ||
        pg_reserve(writer, REFERENCE_ROOM) < 0)
        return -1;
    *writer->at++ = PG_TAG_PROXY;
    writer->at = pg_id_put(pg_number_put(writer->at, (uint64_t)proxy->owner), id);
    writer->at = put_traits(writer->at, proxy);
    if (pg_put_size(writer, length) < 0)
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

/* All but the name. False if it is malformed. */
static bool get_reference(pg_reader_t *reader, reference_t *reference)
{
    uint64_t owner, traits;

    if (!pg_number_get(&reader->at, reader->end, OWNER_BITS, &owner) ||
        !pg_id_get(&reader->at, reader->end, &reference->id) ||
        !pg_number_get(&reader->at, reader->end, SLOT_BYTES + MODE_BITS, &traits))
        return false;
    reference->owner = (int)owner;
    reference->mode = (pg_mode_t)(traits & ((1u << MODE_BITS) - 1));
    memset(reference->slots, 0, sizeof(reference->slots));
    traits >>= MODE_BITS;
    for (int i = 0; traits >> i > 0; i++) {
        if ((traits >> i & 1) == 0)
            continue;
        if (reader->at == reader->end || *reader->at == 0)
            return false;
        reference->slots[i / 8] |= (uint64_t)*reader->at++ << (i % 8 * 8);
    }
    return reference->mode < PG_MODE_COUNT;
}

PyObject *pg_get_proxy(pg_reader_t *reader)
{
    pg_shape_t *shape;
    reference_t reference;
    pg_reference_t held;
    PyObject *proxy;

    if (!get_reference(reader, &reference))
        return pg_malformed("a reference to a shared object");
    shape = get_shape(reader, reference.slots);
    if (shape == NULL)
        return NULL;
    if (pg_enter() < 0) {
        pg_shape_let_go(shape);
        return NULL;
    }
    if (reader->references != NULL &&
        pg_references_take(reader->references, reference.owner, reference.id, &held))
        proxy = pg_proxy_from_held(&held, shape, reference.mode);
    else
        proxy = pg_proxy_from_wire(reference.owner, reference.id, shape, reference.mode);
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
