/*
 * Design notes. While an object is being encoded, `collecting` names where its references go: the
 * encoder cannot hand it down, since a pickle of the program's own classes lies in between.
 *
 * The references of an encoded object hold its imports and pin its exports, so ids in the stream
 * stay good until its table has been written for the last time. From then on the weight in the
 * message does: it was taken before they were let go of, under the same hold of the lock. On the
 * other side the table itself holds them from the arrival of the message, in whose memory each row
 * has been overwritten with what became of it. Proxies take them over when they are decoded, one
 * row each (pg_references_take()); a payload that may be decoded again, or sent on, moves them all
 * out of the table and keeps them (pg_references_read()).
 *
 * Locks: one hold of a table's lock for all rows of a message, exports and imports one after the
 * other and never both; recount's rounds are joined before that, as joining takes both. That the
 * rows of other messages come in between changes nothing: weights are sums, and each row is whole.
 * The interpreter lock would not do instead, as rows are taken in by whoever polls, detached.
 */
#include "references.h"

#include "codec.h"
#include "exports.h"
#include "recount.h"
#include "weight.h"

#include <stddef.h>

static _Thread_local pg_references_t *collecting;

static void let_go(const pg_reference_t *reference)
{
    if (reference->import != NULL)
        pg_import_unref(reference->import);
    else
        pg_exports_unpin(reference->id);
}

static void forget(pg_references_t *references)
{
    if (references->items != references->room)
        free(references->items);
    references->items = NULL;
    references->count = references->capacity = 0;
}

void pg_references_clear(pg_references_t *references)
{
    for (uint32_t i = 0; i < references->count; i++)
        let_go(&references->items[i]);
    forget(references);
}

void pg_references_collect(pg_references_t *references)
{
    references->outer = collecting;
    collecting = references;
}

void pg_references_collected(pg_references_t *references)
{
    collecting = references->outer;
    references->outer = NULL;
}

/* Room for `more`. Without memory false, with an exception. */
static bool reserve(pg_references_t *references, uint32_t more)
{
    uint64_t wanted = (uint64_t)references->count + more, capacity = references->capacity;
    bool was_room = references->items == references->room;
    pg_reference_t *items;

    if (wanted <= capacity)
        return true;
    if (wanted <= PG_REFERENCES_ROOM) {
        references->items = references->room;
        references->capacity = PG_REFERENCES_ROOM;
        return true;
    }
    capacity = capacity * 2 > wanted ? capacity * 2 : wanted;
    items = capacity <= UINT32_MAX / sizeof(pg_reference_row_t)
                ? realloc(was_room ? NULL : references->items, capacity * sizeof(*items))
                : NULL;
    if (items == NULL) {
        PyErr_NoMemory();
        return false;
    }
    if (was_room)
        memcpy(items, references->room, references->count * sizeof(*items));
    references->items = items;
    references->capacity = (uint32_t)capacity;
    return true;
}

int pg_references_note(pg_proxy_t *proxy, uint64_t *id)
{
    pg_reference_t reference = {0, NULL};

    if (collecting == NULL)
        return pg_proxy_keep_id(proxy, id);
    if (!reserve(collecting, 1))
        return -1;
    if (pg_proxy_is_here(proxy)) {
        if (pg_proxy_pin(proxy, &reference.id) < 0)
            return -1;
    } else {
        reference.import = proxy->import;
        reference.id = proxy->import->id;
        pg_import_ref(reference.import);
    }
    collecting->items[collecting->count++] = reference;
    *id = reference.id;
    return 0;
}

static void put_row(char *table, uint32_t index, const pg_reference_row_t *row)
{
    memcpy(table + index * sizeof(*row), row, sizeof(*row));
}

static pg_reference_row_t row_of(const char *table, uint32_t index)
{
    pg_reference_row_t row;

    memcpy(&row, table + index * sizeof(row), sizeof(row));
    return row;
}

/* The rows of this rank's objects, under one hold of the lock. How many that are. */
static uint32_t write_exports(const pg_references_t *references, int destination, char *table,
                              bool last)
{
    uint64_t weight = destination == pg.rank ? 1 : PG_WEIGHT_MINT;
    uint32_t written = 0;

    pg_exports_lock();
    for (uint32_t i = 0; i < references->count; i++) {
        const pg_reference_t *reference = &references->items[i];
        pg_reference_row_t row = {.id = reference->id, .owner = (uint32_t)pg.rank};

        if (reference->import != NULL)
            continue;
        row.weight = pg_exports_mint_locked(row.id, weight, destination, &row.round);
        if (last)
            pg_exports_unpin_locked(row.id);
        put_row(table, i, &row);
        written++;
    }
    pg_exports_unlock();
    return written;
}

/* The rows of other ranks' objects. Those that have weight enough come under one hold of the lock;
 * the others may wait for their owners. */
static void write_imports(const pg_references_t *references, int destination, char *table,
                          bool last)
{
    uint32_t rare = 0;

    pg_imports_lock();
    for (uint32_t i = 0; i < references->count; i++) {
        pg_import_t *import = references->items[i].import;
        pg_reference_row_t row = {.id = references->items[i].id};

        if (import == NULL)
            continue;
        row.owner = (uint32_t)import->owner;
        row.weight = pg_import_split_locked(import, destination, &row.round);
        put_row(table, i, &row);
        if (row.weight == 0)
            rare++;
        else if (last)
            pg_import_unref_locked(import);
    }
    pg_imports_unlock();
    for (uint32_t i = 0; rare > 0; i++) {
        pg_import_t *import = references->items[i].import;
        pg_reference_row_t row = row_of(table, i);

        if (import == NULL || row.weight > 0)
            continue;
        row.weight = pg_import_split(import, destination, &row.round);
        put_row(table, i, &row);
        if (last)
            pg_import_unref(import);
        rare--;
    }
}

void pg_references_write(pg_references_t *references, int destination, char *table, bool last)
{
    uint32_t count = references->count, written = 0;

    if (references->items[0].import == NULL || count > 1)
        written = write_exports(references, destination, table, last);
    if (written < count)
        write_imports(references, destination, table, last);
    memcpy(table + count * sizeof(pg_reference_row_t), &count, sizeof(count));
    if (last)
        forget(references);
}

void pg_references_unwrite(const char *table, uint32_t count, int destination)
{
    for (uint32_t i = 0; i < count; i++) {
        pg_reference_row_t row = row_of(table, i);

        if (row.owner == (uint32_t)pg.rank)
            pg_exports_release(row.id, row.weight, destination, row.round);
        else
            pg_import_give_back((int)row.owner, row.id, row.weight, destination, row.round);
    }
}

bool pg_reference_table_find(pg_reference_table_t *table, const void *data, size_t length)
{
    uint32_t count;

    if (length < sizeof(count))
        return false;
    length -= sizeof(count);
    memcpy(&count, (const char *)data + length, sizeof(count));
    if (count > length / sizeof(pg_reference_row_t))
        return false;
    table->count = count;
    table->next = 0;
    table->size = count * sizeof(pg_reference_row_t) + sizeof(count);
    table->rows = (char *)data + length - count * sizeof(pg_reference_row_t);
    return true;
}

/* What has become of a row that was taken in; in its place. */
typedef struct taken {
    uint64_t id;         /* of an object of this rank, pinned; PG_EXPORTS_NO_ID: it has gone */
    pg_import_t *import; /* else a reference to it; NULL: there is none to be had */
    uint32_t owner;
    bool is_here;
} taken_t;

_Static_assert(sizeof(taken_t) <= sizeof(pg_reference_row_t) &&
                   offsetof(taken_t, owner) == offsetof(pg_reference_row_t, owner),
               "a row is taken in in its place");

static void put_taken(const pg_reference_table_t *table, uint32_t index, const taken_t *taken)
{
    memcpy(table->rows + index * sizeof(pg_reference_row_t), taken, sizeof(*taken));
}

static taken_t taken_of(const pg_reference_table_t *table, uint32_t index)
{
    taken_t taken;

    memcpy(&taken, table->rows + index * sizeof(pg_reference_row_t), sizeof(taken));
    return taken;
}

/* Joins the rounds that the weights come from. How many of the rows are about this rank's objects.
 */
static uint32_t look_through(const pg_reference_table_t *table)
{
    uint32_t here = 0;

    for (uint32_t i = 0; i < table->count; i++) {
        pg_reference_row_t row = row_of(table->rows, i);

        pg_recount_see(row.round);
        here += row.owner == (uint32_t)pg.rank;
    }
    return here;
}

static void take_in_exports(const pg_reference_table_t *table, int source)
{
    pg_exports_lock();
    for (uint32_t i = 0; i < table->count; i++) {
        pg_reference_row_t row = row_of(table->rows, i);
        taken_t taken = {.id = row.id, .owner = row.owner, .is_here = true};

        if (row.owner != (uint32_t)pg.rank)
            continue;
        if (!pg_exports_pin_locked(row.id))
            taken.id = PG_EXPORTS_NO_ID; /* whoever uses it will be told */
        pg_exports_release_locked(row.id, row.weight, source, row.round);
        put_taken(table, i, &taken);
    }
    pg_exports_unlock();
}

static void take_in_imports(const pg_reference_table_t *table, int source)
{
    pg_imports_lock();
    for (uint32_t i = 0; i < table->count; i++) {
        pg_reference_row_t row = row_of(table->rows, i);
        taken_t taken = {.id = row.id, .owner = row.owner};

        if (row.owner == (uint32_t)pg.rank)
            continue; /* done already: a taken_t has its owner where a row has it */
        if (row.owner < (uint32_t)pg.size)
            taken.import =
                pg_import_receive_locked((int)row.owner, row.id, row.weight, source, row.round);
        put_taken(table, i, &taken);
    }
    pg_imports_unlock();
}

void pg_references_arrived(const pg_reference_table_t *table, int source)
{
    uint32_t here = look_through(table);

    if (here > 0)
        take_in_exports(table, source);
    if (here < table->count)
        take_in_imports(table, source);
}

static inline bool holds(const taken_t *taken)
{
    return taken->is_here || taken->import != NULL;
}

int pg_references_check(const pg_reference_table_t *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        taken_t taken = taken_of(table, i);

        if (holds(&taken))
            continue;
        if (taken.owner < (uint32_t)pg.size)
            PyErr_NoMemory();
        else
            pg_malformed("a reference to a rank that does not exist");
        return -1;
    }
    return 0;
}

int pg_references_read(pg_references_t *references, const pg_reference_table_t *table)
{
    if (table->count == 0)
        return 0;
    if (pg_references_check(table) < 0 || !reserve(references, table->count)) {
        pg_references_refuse(table);
        return -1;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        taken_t taken = taken_of(table, i);

        references->items[references->count++] = (pg_reference_t){taken.id, taken.import};
    }
    return 0;
}

bool pg_references_take(pg_reference_table_t *table, int owner, uint64_t id,
                        pg_reference_t *reference)
{
    taken_t taken = {0};
    uint32_t i;

    for (i = table->next; i < table->count; i++) {
        taken = taken_of(table, i);
        if (taken.id == id && taken.owner == (uint32_t)owner && holds(&taken))
            break;
    }
    if (i == table->count) {
        table->next = i; /* it is not what a sender writes, so do not look through it again */
        return false;
    }
    *reference = (pg_reference_t){taken.id, taken.import};
    put_taken(table, i, &(taken_t){0});
    table->next = i + 1;
    return true;
}

void pg_references_refuse(const pg_reference_table_t *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        taken_t taken = taken_of(table, i);
        pg_reference_t reference = {taken.id, taken.import};

        if (holds(&taken))
            let_go(&reference);
    }
}
