/*
 * Design notes. While an object is being encoded, `collecting` names where its references go: the
 * encoder cannot hand it down, since a pickle of the program's own classes lies in between.
 *
 * The references of an encoded object hold its imports and pin its exports, so ids in the stream
 * stay good until its table has been written for the last time; on the other side those that were
 * read from the table hold them until the object is decoded and its Proxies do.
 */
#include "references.h"

#include "codec.h"
#include "exports.h"
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
    free(references->items);
    *references = (pg_references_t){0};
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
    pg_reference_t *items;

    if (wanted <= capacity)
        return true;
    capacity = capacity * 2 > wanted ? capacity * 2 : wanted;
    items = capacity <= UINT32_MAX / sizeof(pg_reference_row_t)
                ? realloc(references->items, capacity * sizeof(*items))
                : NULL;
    if (items == NULL) {
        PyErr_NoMemory();
        return false;
    }
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
            row.weight = pg_import_split(reference->import, destination);
        } else {
            row.weight = pg_exports_mint(row.id, destination == pg.rank ? 1 : PG_WEIGHT_MINT);
        }
        memcpy(table + i * sizeof(row), &row, sizeof(row));
    }
    memcpy(table + references->count * sizeof(pg_reference_row_t), &references->count,
           sizeof(references->count));
}

void pg_references_unwrite(const pg_references_t *references, const char *table)
{
    for (uint32_t i = 0; i < references->count; i++) {
        const pg_reference_t *reference = &references->items[i];
        pg_reference_row_t row;

        memcpy(&row, table + i * sizeof(row), sizeof(row));
        if (reference->import != NULL)
            pg_import_give_back(reference->import, row.weight);
        else
            pg_exports_release(row.id, row.weight);
    }
}

/* Takes over the weight of one row. False without memory, or if there is no such rank. */
static bool accept(const pg_reference_row_t *row, pg_reference_t *reference)
{
    *reference = (pg_reference_t){row->id, NULL};
    if (row->owner == (uint32_t)pg.rank) {
        bool pinned = pg_exports_pin(row->id);

        pg_exports_release(row->id, row->weight);
        if (!pinned)
            reference->id = PG_EXPORTS_NO_ID; /* whoever uses it will be told */
        return true;
    }
    if (row->owner >= (uint32_t)pg.size)
        return false;
    reference->import = pg_import_receive((int)row->owner, row->id, row->weight);
    return reference->import != NULL;
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
    table->rows = (const char *)data + length - count * sizeof(pg_reference_row_t);
    return true;
}

static pg_reference_row_t row_of(const pg_reference_table_t *table, uint32_t index)
{
    pg_reference_row_t row;

    memcpy(&row, table->rows + index * sizeof(row), sizeof(row));
    return row;
}

static void refuse_from(const pg_reference_table_t *table, uint32_t first)
{
    for (uint32_t i = first; i < table->count; i++) {
        pg_reference_row_t row = row_of(table, i);
        pg_reference_t reference;

        if (accept(&row, &reference))
            let_go(&reference);
    }
}

int pg_references_read(pg_references_t *references, const pg_reference_table_t *table)
{
    if (table->count == 0)
        return 0;
    if (!reserve(references, table->count)) {
        pg_references_refuse(table);
        return -1;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        pg_reference_row_t row = row_of(table, i);

        if (!accept(&row, &references->items[references->count])) {
            refuse_from(table, i + 1);
            pg_references_clear(references);
            if (row.owner >= (uint32_t)pg.size)
                pg_malformed("a reference to a rank that does not exist");
            else
                PyErr_NoMemory();
            return -1;
        }
        references->count++;
    }
    return 0;
}

void pg_references_refuse(const pg_reference_table_t *table)
{
    refuse_from(table, 0);
}
