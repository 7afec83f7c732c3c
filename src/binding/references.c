/*
 * Design notes. While an object is being encoded, `collecting` names where its references go: the
 * encoder cannot hand it down, since a pickle of the program's own classes lies in between.
 *
 * The references of an encoded object hold its imports and pin its exports, so ids in the stream
 * stay good until its table has been written for the last time; on the other side those that were
 * read from the table hold them until the object is decoded and its Proxies do. In between, from
 * the arrival of the message until it is read, the table itself does, in the memory of the message:
 * each row has been overwritten with what became of it.
 */
#include "references.h"

#include "codec.h"
#include "exports.h"
#include "recount.h"
#include "weight.h"

static _Thread_local pg_references_t *collecting;

static void let_go(const pg_reference_t *reference)
{
    if (reference->import != NULL)
        pg_import_unref(reference->import);
    else
        pg_exports_unpin(reference->id);
}

void pg_references_clear(pg_references_t *references)
{
    for (uint32_t i = 0; i < references->count; i++)
        let_go(&references->items[i]);
    if (references->items != references->room)
        free(references->items);
    references->items = NULL;
    references->count = references->capacity = 0;
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

void pg_references_write(const pg_references_t *references, int destination, char *table)
{
    for (uint32_t i = 0; i < references->count; i++) {
        const pg_reference_t *reference = &references->items[i];
        pg_reference_row_t row = {.id = reference->id, .owner = (uint32_t)pg.rank};

        if (reference->import != NULL) {
            row.owner = (uint32_t)reference->import->owner;
            row.weight = pg_import_split(reference->import, destination, &row.round);
        } else {
            row.weight = pg_exports_mint(row.id, destination == pg.rank ? 1 : PG_WEIGHT_MINT,
                                         destination, &row.round);
        }
        memcpy(table + i * sizeof(row), &row, sizeof(row));
    }
    memcpy(table + references->count * sizeof(pg_reference_row_t), &references->count,
           sizeof(references->count));
}

void pg_references_unwrite(const pg_references_t *references, int destination, const char *table)
{
    for (uint32_t i = 0; i < references->count; i++) {
        const pg_reference_t *reference = &references->items[i];
        pg_reference_row_t row;

        memcpy(&row, table + i * sizeof(row), sizeof(row));
        if (reference->import != NULL)
            pg_import_give_back(reference->import, row.weight, destination, row.round);
        else
            pg_exports_release(row.id, row.weight, destination, row.round);
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

_Static_assert(sizeof(taken_t) <= sizeof(pg_reference_row_t), "a row is taken in in its place");

static taken_t take_in(const pg_reference_row_t *row, int source)
{
    taken_t taken = {.id = row->id, .owner = row->owner};

    taken.is_here = row->owner == (uint32_t)pg.rank;
    if (taken.is_here) {
        /* Whoever uses one that has gone will be told. */
        if (!pg_exports_pin(row->id))
            taken.id = PG_EXPORTS_NO_ID;
        pg_exports_release(row->id, row->weight, source, row->round);
    } else if (row->owner < (uint32_t)pg.size) {
        taken.import = pg_import_receive((int)row->owner, row->id, row->weight, source, row->round);
    }
    return taken;
}

void pg_references_arrived(const pg_reference_table_t *table, int source)
{
    for (uint32_t i = 0; i < table->count; i++) {
        char *at = table->rows + i * sizeof(pg_reference_row_t);
        pg_reference_row_t row;
        taken_t taken;

        memcpy(&row, at, sizeof(row));
        pg_recount_see(row.round);
        taken = take_in(&row, source);
        memcpy(at, &taken, sizeof(taken));
    }
}

static taken_t taken_of(const pg_reference_table_t *table, uint32_t index)
{
    taken_t taken;

    memcpy(&taken, table->rows + index * sizeof(pg_reference_row_t), sizeof(taken));
    return taken;
}

int pg_references_read(pg_references_t *references, const pg_reference_table_t *table)
{
    bool unknown = false, lost = false;

    if (table->count == 0)
        return 0;
    if (!reserve(references, table->count)) {
        pg_references_refuse(table);
        return -1;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        taken_t taken = taken_of(table, i);

        if (taken.is_here || taken.import != NULL)
            references->items[references->count++] = (pg_reference_t){taken.id, taken.import};
        else if (taken.owner >= (uint32_t)pg.size)
            unknown = true;
        else
            lost = true;
    }
    if (!unknown && !lost)
        return 0;
    pg_references_clear(references);
    if (unknown)
        pg_malformed("a reference to a rank that does not exist");
    else
        PyErr_NoMemory();
    return -1;
}

void pg_references_refuse(const pg_reference_table_t *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        taken_t taken = taken_of(table, i);
        pg_reference_t reference = {taken.id, taken.import};

        if (taken.is_here || taken.import != NULL)
            let_go(&reference);
    }
}
