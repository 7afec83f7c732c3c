/*
 * Design notes. The table and its lock are in export_table.h; the lock guards `exports`, too.
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
#include "export_table.h"
#include "recount.h"
#include "request.h"
#include "weight.h"

#define RECLAIM_MOST 32   /* objects let go of in one item of work, so that others get a turn */
#define GATHER_NS 500000u /* for which they gather */

static struct {
    uint32_t dying;  /* index + 1 of the first; 0: none */
    bool reclaiming; /* `reclaim` is due, queued or runs */
    bool garbage;    /* it has become due under this hold of the lock */
    atomic_bool due; /* and is to be queued */
    uint64_t since;  /* when the progress thread saw that; its own */
    gas_work_t reclaim;
    int64_t *ledger;    /* see recount.h */
    pg_mutex_t tracing; /* guards the next one */
    PyObject *trace;    /* asked where an object is shared; NULL: nobody wants to know */
} exports;

/* ---- letting go ---- */

/* The next object that nobody refers to and its *home, references of the caller's; NULL, and the
 * work is over, if there is none. */
static PyObject *next_dead(gas_home_t **home)
{
    PyObject *object = NULL;

    pg_leaf_lock_take(&pg_export_table.lock);
    while (object == NULL && exports.dying != 0) {
        uint32_t index = exports.dying - 1;
        pg_export_entry_t *entry = &pg_export_table.entries[index];

        exports.dying = entry->next_dying;
        entry->is_dying = false;
        if (entry->weight == 0 && entry->pins == 0)
            object = pg_export_table_take_out(index, home);
    }
    if (object == NULL)
        exports.reclaiming = false;
    pg_leaf_lock_give(&pg_export_table.lock);
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
static void bury_if_dead(pg_export_entry_t *entry)
{
    if (entry->weight > 0 || entry->pins > 0 || entry->is_dying)
        return;
    entry->is_dying = true;
    entry->next_dying = exports.dying;
    exports.dying = (uint32_t)(entry - pg_export_table.entries) + 1;
    exports.garbage |= !exports.reclaiming;
    exports.reclaiming = true;
}

void pg_exports_lock(void)
{
    pg_leaf_lock_take(&pg_export_table.lock);
}

void pg_exports_unlock(void)
{
    bool garbage = exports.garbage;

    exports.garbage = false;
    pg_leaf_lock_give(&pg_export_table.lock);
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

    pg_leaf_lock_take(&pg_export_table.lock);
    index = pg_export_table_enter(object, home);
    if (index >= 0) {
        pg_export_entry_t *entry = &pg_export_table.entries[index];

        entry->pins++;
        *id = pg_export_table_id((uint32_t)index);
        if (entry->where == NULL) {
            entry->where = where;
            where = NULL;
        }
    }
    pg_leaf_lock_give(&pg_export_table.lock);
    free(where);
    if (index >= 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

bool pg_exports_pin_locked(uint64_t id)
{
    pg_export_entry_t *entry = pg_export_table_find(id);

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

static void drop_pin(pg_export_entry_t *entry)
{
    entry->pins--;
    bury_if_dead(entry);
}

void pg_exports_unpin(uint64_t id)
{
    pg_export_entry_t *entry;

    if (atomic_load(&pg.phase) == PG_FORKED)
        return; /* the table is the parent's */
    pg_exports_lock();
    entry = pg_export_table_find(id);
    if (entry != NULL)
        drop_pin(entry);
    pg_exports_unlock();
}

gas_home_t *pg_exports_home(uint64_t id)
{
    gas_home_t *home;
    pg_export_entry_t *entry;

    if (!atomic_load_explicit(&pg_export_table.any_home, memory_order_relaxed))
        return NULL;
    pg_leaf_lock_take(&pg_export_table.lock);
    entry = pg_export_table_find(id);
    home = entry != NULL ? gas_home_ref(entry->home) : NULL;
    pg_leaf_lock_give(&pg_export_table.lock);
    return home;
}

/* `pinned`: and unpins it. */
static PyObject *get(uint64_t id, gas_home_t **home, bool pinned)
{
    PyObject *object = NULL;
    pg_export_entry_t *entry;

    *home = NULL;
    pg_exports_lock();
    entry = pg_export_table_find(id);
    if (entry != NULL) {
        object = Py_NewRef(entry->object);
        *home = gas_home_ref(entry->home);
        if (pinned)
            drop_pin(entry);
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

uint64_t pg_exports_mint_locked(uint64_t id, uint64_t weight, int destination, bool unpin,
                                uint32_t *round)
{
    pg_export_entry_t *entry = pg_export_table_find(id);

    *round = pg_recount_sent(exports.ledger, destination);
    if (entry == NULL)
        return 0;
    if (entry->weight > UINT64_MAX - weight)
        weight = 0;
    entry->weight += weight;
    if (unpin)
        drop_pin(entry);
    return weight;
}

uint64_t pg_exports_mint(uint64_t id, uint64_t weight, int destination, uint32_t *round)
{
    pg_exports_lock();
    weight = pg_exports_mint_locked(id, weight, destination, false, round);
    pg_exports_unlock();
    return weight;
}

/* Weight that is out no longer. */
static void subtract(uint64_t id, uint64_t weight)
{
    pg_export_entry_t *entry = pg_export_table_find(id);

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
    pg_claim_t *claims = malloc((pg_export_table.count + 1) * sizeof(*claims));
    size_t used = 0;

    for (uint32_t i = 0; claims != NULL && i < pg_export_table.capacity; i++)
        if (pg_export_table.entries[i].object != NULL && pg_export_table.entries[i].weight > 0)
            claims[used++] =
                (pg_claim_t){pg_export_table_id(i), pg_export_table.entries[i].weight, 0};
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

    pg_leaf_lock_take(&pg_export_table.lock);
    has = pg_export_table_find(id) != NULL;
    pg_leaf_lock_give(&pg_export_table.lock);
    return has;
}

size_t pg_exports_count(void)
{
    size_t count;

    pg_leaf_lock_take(&pg_export_table.lock);
    count = pg_export_table.count;
    pg_leaf_lock_give(&pg_export_table.lock);
    return count;
}

void pg_exports_clear(void)
{
    pg_export_entry_t *entries;
    uint32_t capacity;

    pg_leaf_lock_take(&pg_export_table.lock);
    entries = pg_export_table_clear(&capacity);
    exports.dying = 0;
    pg_leaf_lock_give(&pg_export_table.lock);
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

    pg_leaf_lock_take(&pg_export_table.lock);
    list = malloc((pg_export_table.count + 1) * sizeof(*list));
    for (uint32_t i = 0; list != NULL && i < pg_export_table.capacity; i++) {
        pg_export_entry_t *entry = &pg_export_table.entries[i];

        if (entry->object != NULL)
            list[used++] = (pg_export_t){.id = pg_export_table_id(i),
                                         .weight = entry->weight,
                                         .pins = entry->pins,
                                         .object = Py_NewRef(entry->object),
                                         .home = gas_home_ref(entry->home),
                                         .where = entry->where};
    }
    pg_leaf_lock_give(&pg_export_table.lock);
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
    pg_leaf_lock_give(&pg_export_table.lock);
}
