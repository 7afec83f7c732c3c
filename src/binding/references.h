/*
 * The references to shared objects in a message.
 *
 * What a message says about a Proxy has two parts. In the stream of the encoded object stand its
 * owner, id, mode and shape, as often as it occurs. Beside the stream travels a table with the
 * weight (weight.h) for each of them. It is written when the message is sent, so that one encoded
 * object can go to many ranks, or to none, and a failed encoding has nothing to undo; and it is
 * read when the message arrives, without decoding the object, so that a message nobody reads gives
 * its weight back.
 */
#ifndef PYGAS_BINDING_REFERENCES_H
#define PYGAS_BINDING_REFERENCES_H

#include "imports.h"
#include "proxy.h"

/* One row of the table on the wire; behind the last one stands their number, 32 bits. */
typedef struct pg_reference_row {
    uint64_t id;
    uint64_t weight;
    uint32_t owner;
    uint32_t reserved;
} pg_reference_row_t;

typedef struct pg_reference {
    uint64_t id;         /* of an object of this rank, whose entry is pinned */
    pg_import_t *import; /* else NULL */
} pg_reference_t;

/* What an encoded object refers to, kept alive by it. All zero: nothing. */
typedef struct pg_references {
    uint32_t count, capacity;
    pg_reference_t *items;
    struct pg_references *outer; /* that were being collected before these */
} pg_references_t;

/* Lets go of them. Any thread, also inside handlers. */
void pg_references_clear(pg_references_t *references);

/* Between these two the references in objects that this thread encodes go to `references`. They
 * nest. Attached. */
void pg_references_collect(pg_references_t *references);
void pg_references_collected(pg_references_t *references);

/*
 * The encoder has met a Proxy: the id that is to stand in its stream. Outside of a message (a
 * pickle of the program) nothing holds the object for the reader; on its owner the Proxy itself
 * keeps the id good. 0, or -1 with an exception. Attached.
 */
int pg_references_note(pg_proxy_t *proxy, uint64_t *id);

static inline size_t pg_references_size(const pg_references_t *references)
{
    return references->count * sizeof(pg_reference_row_t) + sizeof(references->count);
}

/* Writes the table for a message to `destination`, pg_references_size() bytes. Attached, after
 * pg_enter(); blocks as pg_import_split(). */
void pg_references_write(const pg_references_t *references, int destination, char *table);

/* The message could not be sent: takes back what the table gives away. */
void pg_references_unwrite(const pg_references_t *references, const char *table);

/* A table that has arrived. All zero: there is none. */
typedef struct pg_reference_table {
    const char *rows; /* not aligned */
    uint32_t count;
    size_t size; /* of all of it, in bytes */
} pg_reference_table_t;

/* The table at the end of `data`. False if there is no sound one. */
bool pg_reference_table_find(pg_reference_table_t *table, const void *data, size_t length);

/* Takes over what the table gives. 0, or -1 with an exception, and what it gave has gone back. Once
 * for each table. Attached. */
int pg_references_read(pg_references_t *references, const pg_reference_table_t *table);

/* The message is thrown away unread: gives the weight back. Any thread, also inside handlers. */
void pg_references_refuse(const pg_reference_table_t *table);

#endif
