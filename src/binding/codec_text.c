/* Decoding texts. */
#include "codec_read.h"
#include "texts.h"

/* The bits that are set in any of `count` characters. */
#define BITS_OF(type, bytes, count)                                                                \
    do {                                                                                           \
        const type *at = (const type *)(bytes);                                                    \
                                                                                                   \
        for (size_t i = 0; i < (count); i++)                                                       \
            bits |= at[i];                                                                         \
    } while (0)

/* The bits that are set in any of the bytes, eight at a time. */
static uint64_t bits_of_bytes(const uint8_t *bytes, size_t length)
{
    uint64_t bits = 0, word;

    for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        bits |= word;
    }
    for (; length > 0; length--)
        bits |= *bytes++;
    return bits & UINT64_C(0x8080808080808080);
}

/* True if the characters of `text`, which are there, are as wide as its kind says: a text that is
 * wider than it need be is equal to no other. */
static bool is_sound(PyObject *text, pg_tag_t tag, size_t length)
{
    const void *data = PyUnicode_DATA(text);
    uint32_t bits = 0;

    switch (tag) {
    case PG_TAG_STR_ASCII:
        return bits_of_bytes(data, length) == 0;
    case PG_TAG_STR_1:
        return bits_of_bytes(data, length) != 0;
    case PG_TAG_STR_2:
        BITS_OF(uint16_t, data, length);
        return bits > 0xFF;
    default:
        for (size_t i = 0; i < length; i++)
            if (((const uint32_t *)data)[i] > 0x10FFFF)
                return false;
        BITS_OF(uint32_t, data, length);
        return bits > 0xFFFF;
    }
}

static PyObject *get_short(const uint8_t *bytes, size_t length)
{
    PyObject *text = pg_text_from((const char *)bytes, length);

    return text != NULL ? text : pg_malformed_unless_memory("a text of the wrong kind");
}

PyObject *pg_get_text(pg_reader_t *reader, pg_tag_t tag, bool known)
{
    static const uint32_t largest[] = {0x7F, 0xFF, 0xFFFF, 0x10FFFF};
    size_t which = (size_t)(tag - PG_TAG_STR_ASCII), width = which < 2 ? 1 : which == 2 ? 2 : 4;
    const uint8_t *bytes;
    PyObject *text;
    size_t length;

    if (pg_get_size(reader, width, &length) < 0 ||
        (bytes = pg_get_bytes(reader, length * width)) == NULL)
        return NULL;
    if (known && tag == PG_TAG_STR_ASCII && length > 1 && length <= PG_TEXTS_LENGTH_MAX)
        return get_short(bytes, length);
    if (length <= 1 && width == 1) { /* the interpreter has one of each */
        if (tag == PG_TAG_STR_ASCII && length == 1 && *bytes >= 0x80)
            return pg_malformed("a text of the wrong kind");
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, bytes, (Py_ssize_t)length);
    }
    text = PyUnicode_New((Py_ssize_t)length, largest[which]);
    if (text == NULL)
        return NULL;
    memcpy(PyUnicode_DATA(text), bytes, length * width);
    if (!is_sound(text, tag, length)) {
        Py_DECREF(text);
        return pg_malformed("a text of the wrong kind");
    }
    return text;
}
