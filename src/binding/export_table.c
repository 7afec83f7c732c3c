#include "export_table.h"

pg_export_table_t pg_export_table;

static uint32_t *bucket_of(const PyObject *object)
{
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u;

    return &pg_export_table.buckets[hash >> 32 & (pg_export_table.capacity - 1)];
}

static void link_entry(uint32_t index)
{
    pg_export_entry_t *entry = &pg_export_table.entries[index];
    uint32_t *bucket = bucket_of(entry->object);

    entry->next = *bucket;
    *bucket = index + 1;
}

static void unlink_entry(uint32_t index)
{
    uint32_t *at = bucket_of(pg_export_table.entries[index].object);

    while (*at != index + 1)
        at = &pg_export_table.entries[*at - 1].next;
    *at = pg_export_table.entries[index].next;
}

static bool grow(void)
{
    uint32_t before = pg_export_table.capacity, capacity = before > 0 ? before * 2 : 64;
    pg_export_entry_t *entries;
    uint32_t *buckets;

    if (capacity < before)
        return false;
    entries = realloc(pg_export_table.entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return false;
    pg_export_table.entries = entries;
    buckets = calloc(capacity, sizeof(*buckets));
    if (buckets == NULL)
        return false;
    free(pg_export_table.buckets);
    pg_export_table.buckets = buckets;
    pg_export_table.capacity = capacity;
    for (uint32_t i = 0; i < before; i++)
        if (entries[i].object != NULL)
            link_entry(i);
    for (uint32_t i = before; i < capacity; i++)
        entries[i] = (pg_export_entry_t){.generation = 1, .next = i + 1 < capacity ? i + 2 : 0};
    pg_export_table.free = before + 1;
    return true;
}

/* The index + 1 of the object's entry with that home; 0: there is none. */
static uint32_t look_up(const PyObject *object, const gas_home_t *home)
{
    const pg_export_entry_t *entries = pg_export_table.entries;
    uint32_t index = pg_export_table.capacity > 0 ? *bucket_of(object) : 0;

    while (index != 0 && (entries[index - 1].object != object || entries[index - 1].home != home))
        index = entries[index - 1].next;
    return index;
}

int64_t pg_export_table_enter(PyObject *object, gas_home_t *home)
{
    uint32_t index = look_up(object, home);
    pg_export_entry_t *entry;

    if (index != 0)
        return index - 1;
    if (pg_export_table.free == 0 && !grow())
        return -1;
    index = pg_export_table.free - 1;
    entry = &pg_export_table.entries[index];
    pg_export_table.free = entry->next;
    entry->object = Py_NewRef(object);
    entry->home = gas_home_ref(home);
    if (home != NULL)
        atomic_store(&pg_export_table.any_home, true);
    pg_export_table.count++;
    link_entry(index);
    return index;
}

/* An index whose generations are used up is not used again. */
PyObject *pg_export_table_take_out(uint32_t index, gas_home_t **home)
{
    pg_export_entry_t *entry = &pg_export_table.entries[index];
    PyObject *object = entry->object;

    *home = entry->home;
    unlink_entry(index);
    entry->object = NULL;
    entry->home = NULL;
    free(entry->where);
    entry->where = NULL;
    pg_export_table.count--;
    if (++entry->generation != 0) {
        entry->next = pg_export_table.free;
        pg_export_table.free = index + 1;
    }
    return object;
}

pg_export_entry_t *pg_export_table_clear(uint32_t *capacity)
{
    pg_export_entry_t *entries = pg_export_table.entries;

    *capacity = pg_export_table.capacity;
    free(pg_export_table.buckets);
    pg_export_table.entries = NULL;
    pg_export_table.buckets = NULL;
    pg_export_table.capacity = pg_export_table.count = pg_export_table.free = 0;
    return entries;
}
