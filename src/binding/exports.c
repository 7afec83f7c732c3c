/*
 * Design notes. `lock` guards the table. It is a leaf, and no Python code runs while it is held.
 * Memory is malloc's, since handlers come here.
 *
 * An entry is *free*, *live* (it has weight or pins), or *dying*: it has neither and waits, in the
 * list `dying`, for a thread that may let go of a Python object. That is a piece of work like a
 * request (`reclaim`), so finalizers and weakref callbacks of the object run where its requests
 * run, and after those that were queued before. The progress thread queues it (pg_exports_tend()),
 * a moment after the first entry has come: many go in one piece of work, and a call that passes a
 * reference costs none of its own. A dying entry that is asked for again is live again: reclaim
 * looks at the counts, not at the list. Objects with a home are let go of on its thread.
 */
#include "exports.h"

#include "affinity.h"
#include "compat.h"
#include "recount.h"
#include "request.h"
#include "weight.h"

#include <pthread.h>

#define RECLAIM_MOST 32   /* objects let go of in one item of work, so that others get a turn */
#define GATHER_NS 500000u /* for which they gather */

typedef struct entry {
    PyObject *object; /* NULL: free */
    gas_home_t *home; /* where its requests run, a reference; NULL: anywhere */
    uint64_t weight;  /* out at other ranks and in messages */
    uint32_t pins;    /* of this rank: payloads, requests that wait, pickles */
    uint32_t generation;
    uint32_t next; /* index + 1 of the next free one, or of the next in its bucket; 0: none */
    uint32_t next_dying;
    bool is_dying; /* in the list `dying` */
    char *where;   /* while tracing: where it was shared first */
} entry_t;

static struct {
    pthread_mutex_t lock;
    entry_t *entries;
    uint32_t *buckets; /* by the object's address: index + 1 of the first; as many as `capacity` */
    uint32_t capacity; /* a power of two */
    uint32_t count;
    uint32_t free, dying; /* index + 1; 0: none */
    atomic_bool any_home; /* there has been an entry with one */
    bool reclaiming;      /* `reclaim` is due, queued or runs */
    bool garbage;         /* it has become due under this hold of the lock */
    atomic_bool due;      /* and is to be queued */
    uint64_t since;       /* when the progress thread saw that; its own */
    gas_work_t reclaim;
    int64_t *ledger;    /* see recount.h */
    pg_mutex_t tracing; /* guards the next one */
    PyObject *trace;    /* asked where an object is shared; NULL: nobody wants to know */
} exports = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the table, under the lock ---- */

static uint32_t *bucket_of(const PyObject *object)
{
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u;

    return &exports.buckets[hash >> 32 & (exports.capacity - 1)];
}

static void link_entry(uint32_t index)
{
    entry_t *entry = &exports.entries[index];
    uint32_t *bucket = bucket_of(entry->object);

    entry->next = *bucket;
    *bucket = index + 1;
}

static void unlink_entry(uint32_t index)
{
    uint32_t *at = bucket_of(exports.entries[index].object);

    while (*at != index + 1)
        at = &exports.entries[*at - 1].next;
    *at = exports.entries[index].next;
}

static bool grow(void)
{
    uint32_t before = exports.capacity, capacity = before > 0 ? before * 2 : 64;
    entry_t *entries;
    uint32_t *buckets;

    if (capacity < before)
        return false;
    entries = realloc(exports.entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return false;
    exports.entries = entries;
    buckets = calloc(capacity, sizeof(*buckets));
    if (buckets == NULL)
        return false;
    free(exports.buckets);
    exports.buckets = buckets;
    exports.capacity = capacity;
    for (uint32_t i = 0; i < before; i++)
        if (entries[i].object != NULL)
            link_entry(i);
    for (uint32_t i = before; i < capacity; i++)
        entries[i] = (entry_t){.generation = 1, .next = i + 1 < capacity ? i + 2 : 0};
    exports.free = before + 1;
    return true;
}

static entry_t *find(uint64_t id)
{
    uint32_t index = (uint32_t)id;
    entry_t *entry;

    if (index >= exports.capacity)
        return NULL;
    entry = &exports.entries[index];
    return entry->generation == (uint32_t)(id >> 32) && entry->object != NULL ? entry : NULL;
}

static uint64_t id_of(uint32_t index)
{
    return (uint64_t)exports.entries[index].generation << 32 | index;
}

static uint32_t look_up(const PyObject *object, const gas_home_t *home)
{
    uint32_t index = exports.capacity > 0 ? *bucket_of(object) : 0;

    while (index != 0 &&
           (exports.entries[index - 1].object != object || exports.entries[index - 1].home != home))
        index = exports.entries[index - 1].next;
    return index;
}

/* The index of the object's entry, made if need be; -1 without memory. */
static int64_t enter(PyObject *object, gas_home_t *home)
{
    uint32_t index = look_up(object, home);

    if (index != 0)
        return index - 1;
    if (exports.free == 0 && !grow())
        return -1;
    index = exports.free - 1;
    exports.free = exports.entries[index].next;
    exports.entries[index].object = Py_NewRef(object);
    exports.entries[index].home = gas_home_ref(home);
    if (home != NULL)
        atomic_store(&exports.any_home, true);
    exports.count++;
    link_entry(index);
    return index;
}

/* Takes the entry out. The references to its object and its *home are the caller's. An index whose
 * generations are used up is not used again. */
static PyObject *take_out(uint32_t index, gas_home_t **home)
{
    entry_t *entry = &exports.entries[index];
    PyObject *object = entry->object;

    *home = entry->home;
    unlink_entry(index);
    entry->object = NULL;
    entry->home = NULL;
    free(entry->where);
    entry->where = NULL;
    exports.count--;
    if (++entry->generation != 0) {
        entry->next = exports.free;
        exports.free = index + 1;
    }
    return object;
}

/* ---- letting go ---- */

/* The next object that nobody refers to and its *home, references of the caller's; NULL, and the
 * work is over, if there is none. */
static PyObject *next_dead(gas_home_t **home)
{
    PyObject *object = NULL;

    pthread_mutex_lock(&exports.lock);
    while (object == NULL && exports.dying != 0) {
        uint32_t index = exports.dying - 1;
        entry_t *entry = &exports.entries[index];

        exports.dying = entry->next_dying;
        entry->is_dying = false;
        if (entry->weight == 0 && entry->pins == 0)
            object = take_out(index, home);
    }
    if (object == NULL)
        exports.reclaiming = false;
    pthread_mutex_unlock(&exports.lock);
    return object;
}

static void push_reclaim(void);

static void reclaim_run(gas_work_t *work)
{
    PyObject *pending = PyErr_GetRaisedException(); /* a finalizer that waits may have one */
    PyObject *object = NULL;
    gas_home_t *home = NULL;

    (void)work;
    for (int i = 0; i < RECLAIM_MOST && (object = next_dead(&home)) != NULL; i++) {
        pg_home_drop(home, object);
        gas_home_unref(home);
    }
    if (object != NULL && atomic_load(&pg.phase) == PG_RUNNING)
        push_reclaim();
    if (pending != NULL)
        PyErr_SetRaisedException(pending);
}

static void push_reclaim(void)
{
    exports.reclaim = (gas_work_t){.run = reclaim_run, .depth = GAS_WORK_CALLBACK};
    gas_work_push(pg.job, &exports.reclaim);
}

/* Has reclaim queued, once the lock is free. The table is cleared at the end of the job, so nothing
 * is lost if it is too late. */
static void hurry(void)
{
    atomic_store(&exports.due, true);
    pg_hurry();
}

uint64_t pg_exports_tend(void)
{
    uint64_t now;

    if (!atomic_load(&exports.due))
        return GAS_FOREVER;
    now = gas_clock_now();
    if (exports.since == 0)
        exports.since = now;
    if (now - exports.since < GATHER_NS)
        return GATHER_NS - (now - exports.since);
    exports.since = 0;
    atomic_store(&exports.due, false);
    push_reclaim();
    return GAS_FOREVER;
}

/* Has the entry let go of if it has become garbage. */
static void bury_if_dead(entry_t *entry)
{
    if (entry->weight > 0 || entry->pins > 0 || entry->is_dying)
        return;
    entry->is_dying = true;
    entry->next_dying = exports.dying;
    exports.dying = (uint32_t)(entry - exports.entries) + 1;
    exports.garbage |= !exports.reclaiming;
    exports.reclaiming = true;
}

void pg_exports_lock(void)
{
    pthread_mutex_lock(&exports.lock);
}

void pg_exports_unlock(void)
{
    bool garbage = exports.garbage;

    exports.garbage = false;
    pthread_mutex_unlock(&exports.lock);
    if (garbage)
        hurry();
}

/* ---- the interface ---- */

/* The place in the program that is sharing something, in memory of malloc(); NULL if that is not to
 * be noted. */
static char *where_now(void)
{
    PyObject *text, *trace;
    const char *bytes;
    char *where;

    pg_mutex_lock(&exports.tracing);
    trace = Py_XNewRef(exports.trace);
    pg_mutex_unlock(&exports.tracing);
    if (trace == NULL)
        return NULL;
    if (pg_request_is_running()) { /* what the thread does otherwise has nothing to do with it */
        Py_DECREF(trace);
        return strdup("a request of another rank");
    }
    text = PyObject_CallNoArgs(trace);
    Py_DECREF(trace);
    bytes = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    where = bytes != NULL ? strdup(bytes) : NULL;
    PyErr_Clear();
    Py_XDECREF(text);
    return where;
}

int pg_exports_pin_object(PyObject *object, gas_home_t *home, uint64_t *id)
{
    char *where = where_now();
    int64_t index;

    pthread_mutex_lock(&exports.lock);
    index = enter(object, home);
    if (index >= 0) {
        entry_t *entry = &exports.entries[index];

        entry->pins++;
        *id = id_of((uint32_t)index);
        if (entry->where == NULL) {
            entry->where = where;
            where = NULL;
        }
    }
    pthread_mutex_unlock(&exports.lock);
    free(where);
    if (index >= 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

bool pg_exports_pin_locked(uint64_t id)
{
    entry_t *entry = find(id);

    if (entry != NULL)
        entry->pins++;
    return entry != NULL;
}

bool pg_exports_pin(uint64_t id)
{
    bool pinned;

    pg_exports_lock();
    pinned = pg_exports_pin_locked(id);
    pg_exports_unlock();
    return pinned;
}

void pg_exports_unpin_locked(uint64_t id)
{
    entry_t *entry = find(id);

    if (entry == NULL)
        return;
    entry->pins--;
    bury_if_dead(entry);
}

void pg_exports_unpin(uint64_t id)
{
    if (atomic_load(&pg.phase) == PG_FORKED)
        return; /* the table is the parent's */
    pg_exports_lock();
    pg_exports_unpin_locked(id);
    pg_exports_unlock();
}

gas_home_t *pg_exports_home(uint64_t id)
{
    gas_home_t *home;
    entry_t *entry;

    if (!atomic_load_explicit(&exports.any_home, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&exports.lock);
    entry = find(id);
    home = entry != NULL ? gas_home_ref(entry->home) : NULL;
    pthread_mutex_unlock(&exports.lock);
    return home;
}

/* `pinned`: and unpins it. */
static PyObject *get(uint64_t id, gas_home_t **home, bool pinned)
{
    PyObject *object = NULL;
    entry_t *entry;

    *home = NULL;
    pg_exports_lock();
    entry = find(id);
    if (entry != NULL) {
        object = Py_NewRef(entry->object);
        *home = gas_home_ref(entry->home);
        if (pinned) {
            entry->pins--;
            bury_if_dead(entry);
        }
    }
    pg_exports_unlock();
    if (object == NULL)
        PyErr_Format(PyExc_ReferenceError, "rank %d has no shared object %u.%u (any more)", pg.rank,
                     (uint32_t)id, (uint32_t)(id >> 32));
    return object;
}

PyObject *pg_exports_get(uint64_t id, gas_home_t **home)
{
    return get(id, home, false);
}

PyObject *pg_exports_redeem(uint64_t id, gas_home_t **home)
{
    return get(id, home, true);
}

uint64_t pg_exports_mint_locked(uint64_t id, uint64_t weight, int destination, uint32_t *round)
{
    entry_t *entry = find(id);

    *round = pg_recount_sent(exports.ledger, destination);
    if (entry == NULL || entry->weight > UINT64_MAX - weight)
        return 0;
    entry->weight += weight;
    return weight;
}

uint64_t pg_exports_mint(uint64_t id, uint64_t weight, int destination, uint32_t *round)
{
    pg_exports_lock();
    weight = pg_exports_mint_locked(id, weight, destination, round);
    pg_exports_unlock();
    return weight;
}

/* Weight that is out no longer. */
static void subtract(uint64_t id, uint64_t weight)
{
    entry_t *entry = find(id);

    /* A peer that gives back more than there is does not know what it does: keep the object. */
    if (entry == NULL || weight > entry->weight)
        return;
    entry->weight -= weight;
    bury_if_dead(entry);
}

void pg_exports_release_locked(uint64_t id, uint64_t weight, int source, uint32_t round)
{
    pg_recount_received(exports.ledger, source, round, pg.rank, id, weight);
    subtract(id, weight);
}

void pg_exports_release(uint64_t id, uint64_t weight, int source, uint32_t round)
{
    pg_exports_lock();
    pg_exports_release_locked(id, weight, source, round);
    pg_exports_unlock();
}

void pg_exports_lose(uint64_t id, uint64_t weight)
{
    pg_exports_lock();
    subtract(id, weight);
    pg_exports_unlock();
}

pg_claim_t *pg_exports_record_locked(size_t *count)
{
    pg_claim_t *claims = malloc((exports.count + 1) * sizeof(*claims));
    size_t used = 0;

    for (uint32_t i = 0; claims != NULL && i < exports.capacity; i++)
        if (exports.entries[i].object != NULL && exports.entries[i].weight > 0)
            claims[used++] = (pg_claim_t){id_of(i), exports.entries[i].weight, 0};
    *count = used;
    return claims;
}

const int64_t *pg_exports_ledger_locked(void)
{
    return exports.ledger;
}

bool pg_exports_init(void)
{
    exports.ledger = calloc((size_t)pg.size, sizeof(*exports.ledger));
    return exports.ledger != NULL;
}

bool pg_exports_has(uint64_t id)
{
    bool has;

    pthread_mutex_lock(&exports.lock);
    has = find(id) != NULL;
    pthread_mutex_unlock(&exports.lock);
    return has;
}

size_t pg_exports_count(void)
{
    size_t count;

    pthread_mutex_lock(&exports.lock);
    count = exports.count;
    pthread_mutex_unlock(&exports.lock);
    return count;
}

void pg_exports_clear(void)
{
    entry_t *entries;
    uint32_t capacity;

    pthread_mutex_lock(&exports.lock);
    entries = exports.entries;
    capacity = exports.capacity;
    free(exports.buckets);
    exports.entries = NULL;
    exports.buckets = NULL;
    exports.capacity = exports.count = exports.free = exports.dying = 0;
    pthread_mutex_unlock(&exports.lock);
    for (uint32_t i = 0; i < capacity; i++) {
        free(entries[i].where);
        Py_XDECREF(entries[i].object);
        gas_home_unref(entries[i].home);
    }
    free(entries);
}

pg_export_t *pg_exports_list(size_t *count)
{
    pg_export_t *list;
    size_t used = 0;

    pthread_mutex_lock(&exports.lock);
    list = malloc((exports.count + 1) * sizeof(*list));
    for (uint32_t i = 0; list != NULL && i < exports.capacity; i++) {
        entry_t *entry = &exports.entries[i];

        if (entry->object != NULL)
            list[used++] = (pg_export_t){id_of(i),
                                         entry->weight,
                                         entry->pins,
                                         Py_NewRef(entry->object),
                                         gas_home_ref(entry->home),
                                         entry->where};
    }
    pthread_mutex_unlock(&exports.lock);
    *count = used;
    if (list == NULL)
        PyErr_NoMemory();
    return list;
}

void pg_exports_unlist(pg_export_t *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_home_drop(entries[i].home, entries[i].object);
        gas_home_unref(entries[i].home);
    }
    free(entries);
}

void pg_exports_trace(PyObject *where)
{
    PyObject *before;

    pg_mutex_lock(&exports.tracing);
    before = exports.trace;
    exports.trace = Py_NewRef(where);
    pg_mutex_unlock(&exports.tracing);
    Py_XDECREF(before);
}

void pg_exports_after_fork(void)
{
    pthread_mutex_init(&exports.lock, NULL);
}
