/*
 * Design notes. While an object is being encoded, `collecting` names where its references go: the
 * encoder cannot hand it down, since a pickle of the program's own classes lies in between.
 *
 * The references of an encoded object hold its imports and pin its exports, so ids in the stream
 * stay good until its table has been written for the last time. From then on the weight in the
 * message does: it was taken before they were let go of, under the same hold of the lock. On the
 * other side the table itself holds them from the arrival of the message, in whose memory each row
 * has been overwritten with what became of it: nothing is allocated in the handler, and whoever
 * looks for the table of the same message again finds it so. Proxies take them over when they are
 * decoded, one row each (pg_references_take()); a payload that may be decoded again, or sent on,
 * moves them all out of the table and keeps them (pg_references_read()).
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

static_assert((PG_WEIGHT_MINT & (PG_WEIGHT_MINT - 1)) == 0, "what a row can say");
static_assert(sizeof(uintptr_t) <= sizeof(uint64_t), "an import's address is noted in its row");

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
    items = capacity <= UINT32_MAX / (PG_REFERENCE_ROW + PG_REFERENCE_ROUND)
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

/* The rows of this rank's objects, under one hold of the lock. How many that are. */
static uint32_t write_exports(const pg_references_t *references, int destination,
                              pg_reference_table_t *table, bool last)
{
    uint64_t weight = destination == pg.rank ? 1 : PG_WEIGHT_MINT;
    uint32_t written = 0;

    pg_exports_lock();
    for (uint32_t i = 0; i < references->count; i++) {
        const pg_reference_t *reference = &references->items[i];
        pg_reference_row_t row = {.id = reference->id, .owner = (uint32_t)pg.rank};

        if (reference->import != NULL)
            continue;
        row.weight = pg_exports_mint_locked(row.id, weight, destination, last, &row.round);
        pg_reference_row_put(table, i, &row);
        written++;
    }
    pg_exports_unlock();
    return written;
}

/* The rows of other ranks' objects. Those that have weight enough come under one hold of the lock;
 * the others may wait for their owners. */
static void write_imports(const pg_references_t *references, int destination,
                          pg_reference_table_t *table, bool last)
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
        pg_reference_row_put(table, i, &row);
        if (row.weight == 0)
            rare++;
        else if (last)
            pg_import_unref_locked(import);
    }
    pg_imports_unlock();
    for (uint32_t i = 0; rare > 0; i++) {
        pg_import_t *import = references->items[i].import;
        pg_reference_row_t row;

        if (import == NULL || !pg_reference_row_get(table, i, &row) || row.weight > 0)
            continue;
        row.weight = pg_import_split(import, destination, &row.round);
        pg_reference_row_put(table, i, &row);
        if (last)
            pg_import_unref(import);
        rare--;
    }
}

size_t pg_references_write(pg_references_t *references, int destination, char *memory, bool last)
{
    uint32_t count = references->count, written = 0;
    pg_reference_table_t table;

    pg_reference_table_begin(&table, memory, count);
    if (references->items[0].import == NULL || count > 1)
        written = write_exports(references, destination, &table, last);
    if (written < count)
        write_imports(references, destination, &table, last);
    pg_reference_table_end(&table);
    if (last)
        forget(references);
    return table.size;
}

void pg_references_unwrite(const char *memory, size_t size, int destination)
{
    pg_reference_table_t table = {.count = 0};
    pg_reference_row_t row;

    pg_reference_table_find(&table, memory, size);
    for (uint32_t i = 0; i < table.count; i++) {
        pg_reference_row_get(&table, i, &row);
        if (row.owner == (uint32_t)pg.rank)
            pg_exports_release(row.id, row.weight, destination, row.round);
        else
            pg_import_give_back((int)row.owner, row.id, row.weight, destination, row.round);
    }
}

/* What has become of a row that was taken in; the code in its place. */
typedef enum taken {
    TAKEN_OVER = PG_REFERENCE_NOTE, /* by pg_references_take() */
    TAKEN_EXPORT,    /* word: the id of an object of this rank, pinned; PG_EXPORTS_NO_ID: gone */
    TAKEN_IMPORT,    /* word: the address of an import, to which this is a reference */
    TAKEN_NO_MEMORY, /* for an import */
    TAKEN_MALFORMED,
} taken_t;

static void put_taken(const pg_reference_table_t *table, uint32_t index, uint32_t owner,
                      taken_t taken, uint64_t word)
{
    pg_reference_place_put(table, index, (pg_reference_place_t){word, owner, (uint8_t)taken});
}

/* True if the place holds a *reference. */
static inline bool holds(pg_reference_place_t place, pg_reference_t *reference)
{
    pg_import_t *import = NULL;

    if (place.code == TAKEN_IMPORT)
        import = (pg_import_t *)(uintptr_t)place.word;
    *reference = (pg_reference_t){import != NULL ? import->id : place.word, import};
    return place.code == TAKEN_EXPORT || import != NULL;
}

/* Joins the rounds that the weights come from. How many of the rows are about this rank's objects.
 */
static uint32_t look_through(const pg_reference_table_t *table)
{
    uint32_t here = 0;

    for (uint32_t i = 0; table->rounds != NULL && i < table->count; i++)
        pg_recount_see(pg_reference_round_get(table, i));
    for (uint32_t i = 0; i < table->count; i++)
        here += pg_reference_place_get(table, i).owner == (uint32_t)pg.rank;
    return here;
}

static void take_in_exports(const pg_reference_table_t *table, int source)
{
    pg_reference_row_t row;

    pg_exports_lock();
    for (uint32_t i = 0; i < table->count; i++) {
        bool is_sound = pg_reference_row_get(table, i, &row);
        taken_t taken = TAKEN_MALFORMED;
        uint64_t id = row.id;

        if (row.owner != (uint32_t)pg.rank)
            continue;
        if (is_sound) {
            taken = TAKEN_EXPORT;
            if (!pg_exports_pin_locked(row.id))
                id = PG_EXPORTS_NO_ID; /* whoever uses it will be told */
            pg_exports_release_locked(row.id, row.weight, source, row.round);
        }
        put_taken(table, i, row.owner, taken, id);
    }
    pg_exports_unlock();
}

static void take_in_imports(const pg_reference_table_t *table, int source)
{
    pg_reference_row_t row;

    pg_imports_lock();
    for (uint32_t i = 0; i < table->count; i++) {
        bool is_sound = pg_reference_row_get(table, i, &row) && row.owner < (uint32_t)pg.size;
        taken_t taken = TAKEN_MALFORMED;
        pg_import_t *import = NULL;

        if (row.owner == (uint32_t)pg.rank)
            continue; /* done already */
        if (is_sound) {
            import =
                pg_import_receive_locked((int)row.owner, row.id, row.weight, source, row.round);
            taken = import != NULL ? TAKEN_IMPORT : TAKEN_NO_MEMORY;
        }
        put_taken(table, i, row.owner, taken, (uintptr_t)import);
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

int pg_references_check(const pg_reference_table_t *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        uint8_t code = pg_reference_place_get(table, i).code;

        if (code == TAKEN_NO_MEMORY) {
            PyErr_NoMemory();
            return -1;
        }
        if (code == TAKEN_MALFORMED) {
            pg_malformed("the owner or the weight of a shared object");
            return -1;
        }
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
    for (uint32_t i = 0; i < table->count; i++)
        if (holds(pg_reference_place_get(table, i), &references->items[references->count]))
            references->count++;
    return 0;
}

bool pg_references_take(pg_reference_table_t *table, int owner, uint64_t id,
                        pg_reference_t *reference)
{
    uint32_t i;

    for (i = table->next; i < table->count; i++) {
        pg_reference_place_t place = pg_reference_place_get(table, i);

        if (place.owner == (uint32_t)owner && holds(place, reference) && reference->id == id)
            break;
    }
    if (i == table->count) {
        table->next = i; /* it is not what a sender writes, so do not look through it again */
        return false;
    }
    put_taken(table, i, (uint32_t)owner, TAKEN_OVER, 0);
    table->next = i + 1;
    return true;
}

void pg_references_refuse(const pg_reference_table_t *table)
{
    pg_reference_t reference;

    for (uint32_t i = 0; i < table->count; i++)
        if (holds(pg_reference_place_get(table, i), &reference))
            let_go(&reference);
}
