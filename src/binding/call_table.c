/*
 * Design notes. `lock` guards the table. A slot's generation grows when it is freed. Free slots are
 * a list.
 */
#include "call_table.h"

#include <pthread.h>

typedef struct slot {
    pg_call_t *call; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0: the last one */
} slot_t;

static struct {
    pthread_mutex_t lock;
    slot_t *slots;
    uint32_t capacity;
    uint32_t free; /* index + 1; 0: none */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool grow_locked(void)
{
    uint32_t capacity = table.capacity > 0 ? table.capacity * 2 : 64;
    slot_t *slots;

    if (capacity < table.capacity)
        return false;
    slots = realloc(table.slots, capacity * sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = table.capacity; i < capacity; i++)
        slots[i] = (slot_t){NULL, 1, i + 1 < capacity ? i + 2 : 0};
    table.free = table.capacity + 1;
    table.slots = slots;
    table.capacity = capacity;
    return true;
}

bool pg_call_table_put(pg_call_t *call)
{
    bool put = false;

    pthread_mutex_lock(&table.lock);
    if (table.free != 0 || grow_locked()) {
        uint32_t index = table.free - 1;
        slot_t *slot = &table.slots[index];

        table.free = slot->next_free;
        slot->call = call;
        call->id = (uint64_t)slot->generation << 32 | index;
        put = true;
    }
    pthread_mutex_unlock(&table.lock);
    return put;
}

/* The call with this id; NULL if there is none. A free slot has a generation that no call has had
 * yet, but which a malformed message may have. */
static inline pg_call_t *find_locked(uint64_t id)
{
    uint32_t index = (uint32_t)id;

    return index < table.capacity && table.slots[index].generation == (uint32_t)(id >> 32)
               ? table.slots[index].call
               : NULL;
}

static inline void free_locked(uint32_t index)
{
    slot_t *slot = &table.slots[index];

    slot->call = NULL;
    slot->generation++;
    slot->next_free = table.free;
    table.free = index + 1;
}

pg_call_t *pg_call_table_take(uint64_t id)
{
    pg_call_t *call;

    pthread_mutex_lock(&table.lock);
    call = find_locked(id);
    if (call != NULL)
        free_locked((uint32_t)id);
    pthread_mutex_unlock(&table.lock);
    return call;
}

pg_call_t *pg_call_table_take_next(uint32_t *index, bool (*wanted)(const pg_call_t *call, int arg),
                                   int arg)
{
    pg_call_t *call = NULL;
    bool more = true;

    while (call == NULL && more) {
        uint32_t i = (*index)++;

        pthread_mutex_lock(&table.lock); /* for each anew: there may be many */
        more = i < table.capacity;
        if (more && table.slots[i].call != NULL && wanted(table.slots[i].call, arg)) {
            call = table.slots[i].call;
            free_locked(i);
        }
        pthread_mutex_unlock(&table.lock);
    }
    return call;
}

pg_call_t *pg_call_table_find(uint64_t id)
{
    pg_call_t *call;

    pthread_mutex_lock(&table.lock);
    call = find_locked(id);
    if (call != NULL)
        atomic_fetch_add(&call->references, 1);
    pthread_mutex_unlock(&table.lock);
    return call;
}

bool pg_call_table_forsake(pg_call_t *call)
{
    bool open;

    pthread_mutex_lock(&table.lock);
    open = table.slots[(uint32_t)call->id].call == call;
    call->forsaken = open;
    pthread_mutex_unlock(&table.lock);
    return open;
}

void pg_call_table_after_fork(void)
{
    pthread_mutex_init(&table.lock, NULL);
}
