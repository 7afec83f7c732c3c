/*
 * The table of exports (exports.h) from inside: entries, found by their id or by their object.
 *
 * Under `lock`, all of it. That is a leaf, and no Python code runs while it is held. Memory is
 * malloc's, since handlers come here.
 */
#ifndef PYGAS_BINDING_EXPORT_TABLE_H
#define PYGAS_BINDING_EXPORT_TABLE_H

#include "leaf_lock.h"
#include "state.h"

typedef struct pg_export_entry {
    PyObject *object; /* NULL: free */
    gas_home_t *home; /* where its requests run, a reference; NULL: anywhere */
    uint64_t weight;  /* out at other ranks and in messages */
    uint32_t pins;    /* of this rank: payloads, requests that wait, pickles */
    uint32_t generation;
    uint32_t next; /* index + 1 of the next free one, or of the next in its bucket; 0: none */
    uint32_t next_dying;
    bool is_dying; /* in exports.c's list `dying` */
    char *where;   /* while tracing: where it was shared first */
} pg_export_entry_t;

typedef struct pg_export_table {
    pg_leaf_lock_t lock;
    pg_export_entry_t *entries;
    uint32_t *buckets; /* by the object's address: index + 1 of the first; as many as `capacity` */
    uint32_t capacity; /* a power of two */
    uint32_t count;
    uint32_t free;        /* index + 1; 0: none */
    atomic_bool any_home; /* there has been an entry with one; read without the lock */
} pg_export_table_t;

extern pg_export_table_t pg_export_table;

static inline uint64_t pg_export_table_id(uint32_t index)
{
    return (uint64_t)pg_export_table.entries[index].generation << 32 | index;
}

/* The entry with this id; NULL if there is none. */
static inline pg_export_entry_t *pg_export_table_find(uint64_t id)
{
    uint32_t index = (uint32_t)id;
    pg_export_entry_t *entry;

    if (index >= pg_export_table.capacity)
        return NULL;
    entry = &pg_export_table.entries[index];
    return entry->generation == (uint32_t)(id >> 32) && entry->object != NULL ? entry : NULL;
}

/* The index of the object's entry, made if need be; -1 without memory. Attached. */
int64_t pg_export_table_enter(PyObject *object, gas_home_t *home);

/* Takes the entry out. The references to its object and its *home are the caller's. */
PyObject *pg_export_table_take_out(uint32_t index, gas_home_t **home);

/* Empties it. The entries, which are the caller's, to be freed; *capacity: how many, also free
 * ones. */
pg_export_entry_t *pg_export_table_clear(uint32_t *capacity);

#endif
