/*
 * The table of imports (imports.h) from inside: what imports.c, releases.c and grants.c share.
 *
 * `lock` guards the table and every import. It is a leaf: held for some instructions, never while
 * something is sent or a Python object is touched, so finalizers may take it. (But recount.c's
 * locks come after it.) Memory is malloc's, since handlers come here. Under the lock, unless a
 * function says otherwise.
 */
#ifndef PYGAS_BINDING_IMPORT_TABLE_H
#define PYGAS_BINDING_IMPORT_TABLE_H

#include "imports.h"
#include "leaf_lock.h"
#include "weight.h"

typedef struct pg_import_waiter pg_import_waiter_t; /* grants.c's */

typedef struct pg_import_table {
    pg_leaf_lock_t lock;
    pg_import_t **buckets;
    size_t capacity; /* of buckets: a power of two */
    size_t entries;  /* in the table */
    size_t count;    /* of those with references */
    pg_import_t *listed;
    pg_import_waiter_t *waiters;
    int64_t *ledger;     /* see recount.h */
    atomic_bool pending; /* `listed` is not empty; changes under the lock */
    unsigned flushes;    /* under way: they have weight that is in no message yet */
    bool news;           /* `pending` has been set under this hold of the lock */
} pg_import_table_t;

extern pg_import_table_t pg_import_table;

static inline pg_import_t **pg_import_table_bucket(int owner, uint64_t id)
{
    uint64_t hash = (id ^ (uint64_t)owner << 40) * 0x9E3779B97F4A7C15u;

    return &pg_import_table.buckets[hash >> 32 & (pg_import_table.capacity - 1)];
}

static inline pg_import_t *pg_import_table_find(int owner, uint64_t id)
{
    pg_import_t *import = pg_import_table.capacity > 0 ? *pg_import_table_bucket(owner, id) : NULL;

    while (import != NULL && (import->id != id || import->owner != owner))
        import = import->next;
    return import;
}

/* NULL without memory. */
pg_import_t *pg_import_table_insert(int owner, uint64_t id);

void pg_import_table_take_out(pg_import_t *import);

/* There is something of this import's to send home. */
static inline void pg_import_table_list(pg_import_t *import)
{
    if (import->is_listed)
        return;
    import->is_listed = true;
    import->next_listed = pg_import_table.listed;
    pg_import_table.listed = import;
    if (!atomic_load_explicit(&pg_import_table.pending, memory_order_relaxed)) {
        atomic_store(&pg_import_table.pending, true);
        pg_import_table.news = true;
    }
}

/* What is more than a rank keeps is to be sent home. */
static inline void pg_import_table_add_weight(pg_import_t *import, uint64_t weight)
{
    uint64_t room = PG_WEIGHT_MOST - import->weight;

    import->weight += weight < room ? weight : room;
    if (weight <= room)
        return;
    import->surplus += weight - room;
    pg_import_table_list(import);
}

#endif
