/*
 * The references to shared objects in a message.
 *
 * What a message says about a Proxy has two parts. In the stream of the encoded object stand its
 * owner, id, mode and shape, as often as it occurs. Beside the stream travels a table with the
 * weight (weight.h) for each of them. It is written when the message is sent, so that one encoded
 * object can go to many ranks, or to none, and a failed encoding has nothing to undo; and it is
 * taken in when the message arrives, in the handler, without decoding the object: so the weight of
 * a message that waits to be read, for however long, belongs to this rank, and that of one that
 * nobody reads goes back.
 */
#ifndef PYGAS_BINDING_REFERENCES_H
#define PYGAS_BINDING_REFERENCES_H

#include "imports.h"
#include "proxy.h"
#include "reference_table.h"

typedef struct pg_reference {
    uint64_t id;         /* of an object of this rank, whose entry is pinned */
    pg_import_t *import; /* else NULL */
} pg_reference_t;

#define PG_REFERENCES_ROOM 2 /* most messages with references have so few */

/* What an encoded object refers to, kept alive by it. All zero: nothing. It must not be moved. */
typedef struct pg_references {
    uint32_t count, capacity;
    pg_reference_t *items;
    struct pg_references *outer;             /* that were being collected before these */
    pg_reference_t room[PG_REFERENCES_ROOM]; /* `items`, as long as it is enough */
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

/* Writes the table for a message to `destination` into `memory`, which has room for it
 * (pg_reference_table_room()), and returns its size. `last`: they are written for the last time,
 * and let go of. Attached, after pg_enter(); blocks as pg_import_split(). */
size_t pg_references_write(pg_references_t *references, int destination, char *memory, bool last);

/* The message to `destination` could not be sent: takes back what the table gives away. */
void pg_references_unwrite(const char *memory, size_t size, int destination);

/* Takes over what a table gives that has come from `source`; the table holds it, until
 * pg_references_read() or pg_references_refuse() is called. Once for each table, and before all
 * that follow. Any thread, also inside handlers. */
void pg_references_arrived(const pg_reference_table_t *table, int source);

/* Moves what the table holds. 0, or -1 with an exception, and what it held has gone back.
 * Attached. */
int pg_references_read(pg_references_t *references, const pg_reference_table_t *table);

/* 0 if the table holds what it names, or that was gone before it came; else -1 with an exception.
 * Attached. */
int pg_references_check(const pg_reference_table_t *table);

/* For one Proxy of the message, while it is decoded: gives the caller what the table holds of the
 * object. False if it has nothing (any more). Proxies come in the order of the table's rows, of
 * which there may be some for no Proxy. Attached. */
bool pg_references_take(pg_reference_table_t *table, int owner, uint64_t id,
                        pg_reference_t *reference);

/* Gives back what the table still holds: of a message that is thrown away unread, or that has been
 * decoded. Any thread, also inside handlers. */
void pg_references_refuse(const pg_reference_table_t *table);

#endif
