#include "heads.h"

#include "numbers.h"

/* The first byte: how the payload is laid out, and what else is small. */
#define KIND_BITS 3
#define HAS_REFERENCES 0x08u
#define STREAM_IS_BULK 0x10u
#define WANT_SHIFT 5
#define CANCELLABLE 0x80u
#define OUTCOME_SHIFT 5

/* The second byte of a request: the operation, and what follows. */
#define OP_BITS 6
#define HAS_NAME 0x40u
#define HAS_ORIGIN 0x80u /* thread and depth, if they are not 1 and 0 */

static_assert(PG_OP_COUNT <= 1 << OP_BITS, "an operation has six bits");
static_assert(2 + 4 * 5 + 5 + 3 + 2 + 1 + PG_NAME_LENGTH_MAX <= PG_HEAD_MAX, "every head has room");
static_assert(PG_HEAD_MAX <= GAS_AM_HEADER_MAX, "a head fits into a message's header");
static_assert(PG_WANT_PLAIN <= 3, "a want has two bits");
static_assert(PG_OUTCOME_COUNT <= 8, "an outcome has three bits");
static_assert(PG_KIND_COUNT <= 1 << KIND_BITS, "a kind of payload has three bits");

typedef struct reader {
    const uint8_t *at, *end;
    bool failed;
} reader_t;

static uint8_t get_byte(reader_t *reader)
{
    if (reader->at == reader->end) {
        reader->failed = true;
        return 0;
    }
    return *reader->at++;
}

static uint64_t get_number(reader_t *reader, unsigned bits)
{
    uint64_t number;

    reader->failed |= !pg_number_get(&reader->at, reader->end, bits, &number);
    return number;
}

static uint64_t get_id(reader_t *reader)
{
    uint64_t id = 0;

    reader->failed |= !pg_id_get(&reader->at, reader->end, &id);
    return id;
}

/* The number and whether its spelling follows, which is the rest of the head. */
static uint8_t *put_name(uint8_t *at, const pg_name_t *name)
{
    at = pg_number_put(at, (uint64_t)name->number << 1 | (name->length > 0));
    memcpy(at, name->bytes, name->length);
    return at + name->length;
}

static pg_name_t get_name(reader_t *reader)
{
    uint64_t number = get_number(reader, 16);
    size_t left = (size_t)(reader->end - reader->at);
    pg_name_t name = {.number = (uint16_t)(number >> 1), .bytes = (const char *)reader->at};

    reader->failed |= name.number == 0;
    if ((number & 1) != 0) {
        reader->failed |= left == 0 || left > PG_NAME_LENGTH_MAX;
        name.length = (uint8_t)left;
        reader->at = reader->end;
    }
    return name;
}

static uint8_t wire_byte(const pg_wire_t *wire)
{
    return (uint8_t)(wire->kind | (wire->has_references ? HAS_REFERENCES : 0) |
                     (wire->stream_is_bulk ? STREAM_IS_BULK : 0));
}

static pg_wire_t wire_of(uint8_t byte)
{
    return (pg_wire_t){.kind = byte & ((1u << KIND_BITS) - 1),
                       .has_references = (byte & HAS_REFERENCES) != 0,
                       .stream_is_bulk = (byte & STREAM_IS_BULK) != 0};
}

size_t pg_request_head_put(const pg_request_head_t *head, uint8_t bytes[PG_HEAD_MAX])
{
    bool has_origin = head->depth > 0 || head->thread != 1;
    uint8_t *at = bytes;

    *at++ = (uint8_t)(wire_byte(&head->wire) | head->want << WANT_SHIFT |
                      (head->cancellable ? CANCELLABLE : 0));
    *at++ = (uint8_t)(head->op | (head->name.number > 0 ? HAS_NAME : 0) |
                      (has_origin ? HAS_ORIGIN : 0));
    at = pg_id_put(at, head->call);
    if (pg_op_has_object(head->op))
        at = pg_id_put(at, head->object);
    if (has_origin)
        at = pg_number_put(pg_number_put(at, head->thread), head->depth);
    if (head->name.number > 0)
        at = put_name(at, &head->name);
    return (size_t)(at - bytes);
}

bool pg_request_head_get(pg_request_head_t *head, const void *bytes, size_t length)
{
    reader_t reader = {bytes, (const uint8_t *)bytes + length, false};
    uint8_t flags = get_byte(&reader), op = get_byte(&reader);

    head->wire = wire_of(flags);
    head->want = (pg_want_t)(flags >> WANT_SHIFT & 3);
    head->cancellable = (flags & CANCELLABLE) != 0;
    head->op = (pg_op_t)(op & ((1u << OP_BITS) - 1));
    head->call = get_id(&reader);
    head->object = pg_op_has_object(head->op) ? get_id(&reader) : 0;
    head->thread = (op & HAS_ORIGIN) != 0 ? (uint32_t)get_number(&reader, 32) : 1;
    head->depth = (op & HAS_ORIGIN) != 0 ? (uint16_t)get_number(&reader, 16) : 0;
    head->name = (op & HAS_NAME) != 0 ? get_name(&reader) : (pg_name_t){0};
    return !reader.failed && reader.at == reader.end && head->thread != 0;
}

size_t pg_reply_head_put(const pg_reply_head_t *head, uint8_t bytes[PG_HEAD_MAX])
{
    bytes[0] = (uint8_t)(wire_byte(&head->wire) | head->outcome << OUTCOME_SHIFT);
    return (size_t)(pg_id_put(bytes + 1, head->call) - bytes);
}

bool pg_reply_head_get(pg_reply_head_t *head, const void *bytes, size_t length)
{
    reader_t reader = {bytes, (const uint8_t *)bytes + length, false};
    uint8_t flags = get_byte(&reader);

    head->wire = wire_of(flags);
    head->outcome = (pg_outcome_t)(flags >> OUTCOME_SHIFT);
    head->call = get_id(&reader);
    return !reader.failed && reader.at == reader.end;
}
