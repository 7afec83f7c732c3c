#include "imports.h"

#include "grants.h"
#include "import_table.h"
#include "recount.h"

void pg_imports_lock(void)
{
    pg_leaf_lock_take(&pg_import_table.lock);
}

void pg_imports_unlock(void)
{
    bool listed = pg_import_table.news;

    pg_import_table.news = false;
    pg_leaf_lock_give(&pg_import_table.lock);
    if (listed)
        pg_hurry();
}

static void add_reference(pg_import_t *import)
{
    if (import->count++ > 0)
        return;
    pg_import_table.count++;
    import->is_reused = import->is_listed;
}

static pg_import_t *find_or_insert(int owner, uint64_t id)
{
    pg_import_t *import = pg_import_table_find(owner, id);

    return import != NULL ? import : pg_import_table_insert(owner, id);
}

pg_import_t *pg_import_receive_locked(int owner, uint64_t id, uint64_t weight, int source,
                                      uint32_t round)
{
    pg_import_t *import = find_or_insert(owner, id);

    pg_recount_received(pg_import_table.ledger, source, round, owner, id, weight);
    if (import != NULL) {
        add_reference(import);
        pg_import_table_add_weight(import, weight);
        import->is_gone = import->weight == 0 && !import->is_asked;
    }
    return import;
}

pg_import_t *pg_import_find(int owner, uint64_t id)
{
    pg_import_t *import;

    pg_leaf_lock_take(&pg_import_table.lock);
    import = pg_import_table_find(owner, id);
    /* One that is gone and still referred to: what is done with it will tell. */
    if (import != NULL && (import->weight > 0 || (import->is_gone && import->count > 0)))
        add_reference(import);
    else
        import = NULL;
    pg_leaf_lock_give(&pg_import_table.lock);
    return import;
}

static bool has_weight(pg_import_t *import, bool *gone)
{
    bool has;

    pg_leaf_lock_take(&pg_import_table.lock);
    has = import->weight > 0;
    *gone = import->is_gone;
    pg_leaf_lock_give(&pg_import_table.lock);
    return has;
}

pg_import_t *pg_import_obtain(int owner, uint64_t id)
{
    pg_import_t *import;
    bool gone = false;

    pg_leaf_lock_take(&pg_import_table.lock);
    import = find_or_insert(owner, id);
    if (import != NULL)
        add_reference(import);
    pg_leaf_lock_give(&pg_import_table.lock);
    if (import == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    while (!has_weight(import, &gone) && !gone) {
        if (pg_grant_ask(import) < 0) {
            pg_import_unref(import);
            return NULL;
        }
        pg_grant_await(import);
    }
    if (!gone)
        return import;
    pg_import_unref(import);
    PyErr_Format(PyExc_ReferenceError, "rank %d has no shared object %u.%u (any more)", owner,
                 (uint32_t)id, (uint32_t)(id >> 32));
    return NULL;
}

void pg_import_ref(pg_import_t *import)
{
    pg_leaf_lock_take(&pg_import_table.lock);
    add_reference(import);
    pg_leaf_lock_give(&pg_import_table.lock);
}

void pg_import_unref_locked(pg_import_t *import)
{
    if (--import->count > 0)
        return;
    pg_import_table.count--;
    pg_import_table_list(import);
}

void pg_import_unref(pg_import_t *import)
{
    if (import == NULL || atomic_load(&pg.phase) == PG_FORKED)
        return; /* in a forked child it is the parent's */
    pg_imports_lock();
    pg_import_unref_locked(import);
    pg_imports_unlock();
}

/* A reference without weight. */
static uint32_t count_sent(int destination)
{
    uint32_t round;

    pg_leaf_lock_take(&pg_import_table.lock);
    round = pg_recount_sent(pg_import_table.ledger, destination);
    pg_leaf_lock_give(&pg_import_table.lock);
    return round;
}

static uint64_t portion_for(const pg_import_t *import, int destination)
{
    if (destination == import->owner)
        return import->weight > 1 ? 1 : 0; /* it comes back at once */
    return pg_weight_portion(import->weight);
}

uint64_t pg_import_split_locked(pg_import_t *import, int destination, uint32_t *round)
{
    uint64_t portion = portion_for(import, destination);

    if (import->weight - portion < PG_WEIGHT_LOW)
        return 0;
    import->weight -= portion;
    *round = pg_recount_sent(pg_import_table.ledger, destination);
    return portion;
}

uint64_t pg_import_split(pg_import_t *import, int destination, uint32_t *round)
{
    uint64_t portion;
    bool low, gone;

    for (;;) {
        pg_leaf_lock_take(&pg_import_table.lock);
        portion = portion_for(import, destination);
        import->weight -= portion;
        low = import->weight < PG_WEIGHT_LOW && !import->is_asked;
        gone = import->is_gone;
        if (portion > 0 || gone)
            *round = pg_recount_sent(pg_import_table.ledger, destination);
        pg_leaf_lock_give(&pg_import_table.lock);
        if (low && !gone && pg_grant_ask(import) < 0) {
            PyErr_Clear(); /* its owner cannot be reached: who uses it will be told */
            if (portion == 0)
                *round = count_sent(destination);
            return portion;
        }
        if (portion > 0 || gone)
            return portion;
        pg_grant_await(import);
    }
}

void pg_import_give_back(int owner, uint64_t id, uint64_t weight, int destination, uint32_t round)
{
    pg_import_t *import;

    pg_imports_lock();
    pg_recount_received(pg_import_table.ledger, destination, round, owner, id, weight);
    import = weight > 0 ? find_or_insert(owner, id) : NULL;
    if (import != NULL) { /* no memory twice: the object stays until the end of the job */
        pg_import_table_add_weight(import, weight);
        if (import->count == 0)
            pg_import_table_list(import);
    }
    pg_imports_unlock();
}

void pg_import_look(pg_import_t *import, uint32_t *count, uint64_t *weight)
{
    pg_leaf_lock_take(&pg_import_table.lock);
    *count = import->count;
    *weight = import->weight;
    pg_leaf_lock_give(&pg_import_table.lock);
}

void pg_import_sever(pg_import_t *import)
{
    pg_imports_lock();
    import->surplus += import->weight;
    import->weight = 0;
    import->is_gone = true;
    pg_import_table_list(import);
    pg_imports_unlock();
}

size_t pg_imports_count(void)
{
    size_t count;

    pg_leaf_lock_take(&pg_import_table.lock);
    count = pg_import_table.count;
    pg_leaf_lock_give(&pg_import_table.lock);
    return count;
}

pg_import_t *pg_imports_list(size_t *count)
{
    pg_import_t *copies;
    size_t used = 0;

    pg_leaf_lock_take(&pg_import_table.lock);
    copies = malloc((pg_import_table.entries + 1) * sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < pg_import_table.capacity; i++)
        for (const pg_import_t *import = pg_import_table.buckets[i]; import != NULL;
             import = import->next)
            copies[used++] = *import;
    pg_leaf_lock_give(&pg_import_table.lock);
    *count = used;
    return copies;
}

void pg_imports_owner_failed(int owner)
{
    pg_leaf_lock_take(&pg_import_table.lock);
    for (size_t i = 0; i < pg_import_table.capacity; i++)
        for (pg_import_t *import = pg_import_table.buckets[i]; import != NULL;
             import = import->next)
            if (import->owner == owner) {
                import->is_asked = false;
                import->is_gone = true;
                pg_grant_over(import);
            }
    pg_leaf_lock_give(&pg_import_table.lock);
}

pg_holding_t *pg_imports_record_locked(size_t *count)
{
    pg_holding_t *holdings = malloc((pg_import_table.entries + 1) * sizeof(*holdings));
    size_t used = 0;

    for (size_t i = 0; holdings != NULL && i < pg_import_table.capacity; i++)
        for (const pg_import_t *import = pg_import_table.buckets[i]; import != NULL;
             import = import->next)
            if (import->weight + import->surplus > 0)
                holdings[used++] =
                    (pg_holding_t){import->id, import->weight + import->surplus, import->owner};
    *count = used;
    return holdings;
}

const int64_t *pg_imports_ledger_locked(void)
{
    return pg_import_table.ledger;
}

bool pg_imports_init(void)
{
    pg_import_table.ledger = calloc((size_t)pg.size, sizeof(*pg_import_table.ledger));
    return pg_import_table.ledger != NULL;
}

void pg_imports_clear(void)
{
    pg_leaf_lock_take(&pg_import_table.lock);
    pg_import_table.listed = NULL;
    atomic_store(&pg_import_table.pending, false);
    pg_leaf_lock_give(&pg_import_table.lock);
}

void pg_imports_after_fork(void)
{
    pg_leaf_lock_give(&pg_import_table.lock);
}
