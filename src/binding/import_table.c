#include "import_table.h"

pg_import_table_t pg_import_table;

static bool grow(void)
{
    size_t before = pg_import_table.capacity, capacity = before > 0 ? before * 2 : 64;
    pg_import_t **old = pg_import_table.buckets;
    pg_import_t **buckets = calloc(capacity, sizeof(pg_import_t *));

    if (buckets == NULL)
        return before > 0; /* longer chains, then */
    pg_import_table.buckets = buckets;
    pg_import_table.capacity = capacity;
    for (size_t i = 0; i < before; i++) {
        while (old[i] != NULL) {
            pg_import_t *import = old[i];
            pg_import_t **bucket = pg_import_table_bucket(import->owner, import->id);

            old[i] = import->next;
            import->next = *bucket;
            *bucket = import;
        }
    }
    free(old);
    return true;
}

pg_import_t *pg_import_table_insert(int owner, uint64_t id)
{
    pg_import_t *import, **bucket;

    if (pg_import_table.entries >= pg_import_table.capacity && !grow())
        return NULL;
    import = calloc(1, sizeof(*import));
    if (import == NULL)
        return NULL;
    import->owner = owner;
    import->id = id;
    bucket = pg_import_table_bucket(owner, id);
    import->next = *bucket;
    *bucket = import;
    pg_import_table.entries++;
    return import;
}

void pg_import_table_take_out(pg_import_t *import)
{
    pg_import_t **at = pg_import_table_bucket(import->owner, import->id);

    while (*at != import)
        at = &(*at)->next;
    *at = import->next;
    pg_import_table.entries--;
}
