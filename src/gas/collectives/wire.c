#include "wire.h"

#include <assert.h>
#include <string.h>

/* Byte 0: which of these follow, in this order, after byte 1 (algorithm, kind), byte 2 (type,
 * operator) and the number. Team, shape and extra as they are; root and count in groups of 7 bits,
 * the lowest first. */
enum { HAS_TEAM = 1, HAS_ROOT = 2, HAS_COUNT = 4, HAS_SHAPE = 8, HAS_EXTRA = 16, HAS_ALL = 31 };

static_assert(GAS_COLL_KINDS <= 16 && GAS_TYPE_COUNT <= 16 && GAS_REDUCE_COUNT <= 16,
              "they have half a byte");

static unsigned char *put(unsigned char *at, const void *value, size_t size)
{
    memcpy(at, value, size);
    return at + size;
}

static unsigned char *put_number(unsigned char *at, uint64_t value)
{
    for (; value > 0x7F; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    return at;
}

size_t gas_coll_head_pack(const gas_coll_head_t *head, unsigned char bytes[GAS_COLL_HEAD_MAX])
{
    const gas_coll_signature_t *signature = &head->signature;
    unsigned char *at = bytes + 3;

    bytes[0] =
        (unsigned char)((head->team != 0 ? HAS_TEAM : 0) | (signature->root != 0 ? HAS_ROOT : 0) |
                        (signature->count != 0 ? HAS_COUNT : 0) |
                        (signature->shape != 0 ? HAS_SHAPE : 0) |
                        (signature->extra != 0 ? HAS_EXTRA : 0));
    bytes[1] = (unsigned char)(signature->algorithm << 4 | signature->kind);
    bytes[2] = (unsigned char)(signature->type << 4 | signature->op);
    at = put(at, &head->number, sizeof(head->number));
    if (head->team != 0)
        at = put(at, &head->team, sizeof(head->team));
    if (signature->root != 0)
        at = put_number(at, signature->root);
    if (signature->count != 0)
        at = put_number(at, signature->count);
    if (signature->shape != 0)
        at = put(at, &signature->shape, sizeof(signature->shape));
    if (signature->extra != 0)
        at = put(at, &signature->extra, sizeof(signature->extra));
    return (size_t)(at - bytes);
}

/* What is left to be read; `bad` once there was too little. */
typedef struct rest {
    const unsigned char *at;
    size_t left;
    bool bad;
} rest_t;

static void get(rest_t *rest, void *value, size_t size)
{
    if (rest->left < size) {
        rest->bad = true;
        return;
    }
    memcpy(value, rest->at, size);
    rest->at += size;
    rest->left -= size;
}

static uint64_t get_number(rest_t *rest, uint64_t most)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte = 0;

        get(rest, &byte, 1);
        if ((uint64_t)(byte & 0x7F) > UINT64_MAX >> shift)
            break;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            rest->bad |= value > most;
            return value;
        }
    }
    rest->bad = true;
    return 0;
}

size_t gas_coll_head_get(const void *header, size_t length, gas_coll_head_t *head)
{
    rest_t rest = {.at = header, .left = length};
    gas_coll_signature_t *signature = &head->signature;
    unsigned char first[3] = {0};

    memset(head, 0, sizeof(*head));
    get(&rest, first, sizeof(first));
    get(&rest, &head->number, sizeof(head->number));
    signature->kind = first[1] & 15;
    signature->algorithm = first[1] >> 4;
    signature->op = first[2] & 15;
    signature->type = first[2] >> 4;
    if ((first[0] & HAS_TEAM) != 0)
        get(&rest, &head->team, sizeof(head->team));
    if ((first[0] & HAS_ROOT) != 0)
        signature->root = (uint32_t)get_number(&rest, UINT32_MAX);
    if ((first[0] & HAS_COUNT) != 0)
        signature->count = get_number(&rest, UINT64_MAX);
    if ((first[0] & HAS_SHAPE) != 0)
        get(&rest, &signature->shape, sizeof(signature->shape));
    if ((first[0] & HAS_EXTRA) != 0)
        get(&rest, &signature->extra, sizeof(signature->extra));
    if (rest.bad || (first[0] & ~HAS_ALL) != 0 ||
        (rest.left > 0 && signature->type != GAS_TYPE_OBJECT))
        return 0;
    return length - rest.left;
}

bool gas_coll_head_may_be_longer(const void *header, size_t length)
{
    return length > 2 && ((const unsigned char *)header)[2] >> 4 == GAS_TYPE_OBJECT;
}
