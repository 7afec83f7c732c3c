/*
 * The table of objects of this rank that other ranks refer to.
 *
 * An object's id on the wire is its index in the table and the generation of that entry, so that a
 * stale or invented id is noticed. An object exported twice has one entry, and one for each home
 * (affinity.h) with which it was shared. An entry lives, and
 * keeps its object alive, as long as weight (weight.h) is out for it or somebody on this rank has
 * pinned it; then its index is used again, with another generation.
 *
 * Any thread, attached or not, also inside handlers, unless it says otherwise. Nothing blocks.
 */
#ifndef PYGAS_BINDING_EXPORTS_H
#define PYGAS_BINDING_EXPORTS_H

#include "state.h"

#define PG_EXPORTS_NO_ID UINT64_MAX /* no entry ever has it */

/* Lets go of every object. Attached. */
void pg_exports_clear(void);

/* Pins the entry of `object`, whose requests run on the thread of `home` if that is not NULL; makes
 * it if there is none. 0, or -1 with an exception. Attached. */
int pg_exports_pin_object(PyObject *object, gas_home_t *home, uint64_t *id);

/* Pins the entry of `id`. False if there is none. */
bool pg_exports_pin(uint64_t id);

void pg_exports_unpin(uint64_t id);

/* The object of `id`, a new reference; NULL with ReferenceError if there is none. *home: its home,
 * a new reference, or NULL. Attached. */
PyObject *pg_exports_get(uint64_t id, gas_home_t **home);

/* The same of an entry that is pinned, and unpins it. */
PyObject *pg_exports_redeem(uint64_t id, gas_home_t **home);

/* The home of the object of `id`, a new reference; NULL if it has none. */
gas_home_t *pg_exports_home(uint64_t id);

/* New weight for a reference that leaves this rank for `destination`; 0 if there is no such entry.
 * *round: this rank's, now (recount.h); it travels with the weight. */
uint64_t pg_exports_mint(uint64_t id, uint64_t weight, int destination, uint32_t *round);

/* Weight that has come back from `source`, with the round that travelled with it; or that could not
 * be sent there. */
void pg_exports_release(uint64_t id, uint64_t weight, int source, uint32_t round);

/* Weight that nobody has any more, as its holder has failed. */
void pg_exports_lose(uint64_t id, uint64_t weight);

/*
 * The table's lock, for those who do several things to it at once; whoever has the imports' as well
 * takes that one first. It is a leaf otherwise, and is held for some instructions for each entry.
 * pg_exports_unlock() sees to it that what has become garbage is let go of: with recount.c's locks
 * held nothing may.
 */
void pg_exports_lock(void);
void pg_exports_unlock(void);

/* As their namesakes, under that lock; `unpin`: and then unpins the entry. */
bool pg_exports_pin_locked(uint64_t id);
uint64_t pg_exports_mint_locked(uint64_t id, uint64_t weight, int destination, bool unpin,
                                uint32_t *round);
void pg_exports_release_locked(uint64_t id, uint64_t weight, int source, uint32_t round);

/* Under that lock: the id and the weight of each entry that has some, by rising index, in memory to
 * be freed; NULL without memory. *count: how many. */
typedef struct pg_claim {
    uint64_t id;
    uint64_t weight;
    uint64_t explained; /* 0 */
} pg_claim_t;

pg_claim_t *pg_exports_record_locked(size_t *count);

/* Under that lock: what has been sent to each rank, and not come from there. */
const int64_t *pg_exports_ledger_locked(void);

/* Before the job starts; false without memory. */
bool pg_exports_init(void);

/* True if there is such an entry. */
bool pg_exports_has(uint64_t id);

/* The progress thread's: queues the work of letting go. Returns the nanoseconds after which it
 * wants to be called again. */
uint64_t pg_exports_tend(void);

/* How many objects are in the table. */
size_t pg_exports_count(void);

/* An entry as it is at one moment. */
typedef struct pg_export {
    uint64_t id;
    uint64_t weight;
    uint32_t pins;
    PyObject *object; /* a reference of the reader's, as is the next */
    gas_home_t *home; /* or NULL */
    char *where;      /* where it was shared first; NULL if that is not noted; lives as the entry */
} pg_export_t;

/* All entries, in memory to be given to pg_exports_unlist(). *count: how many. NULL with an
 * exception. Attached. */
pg_export_t *pg_exports_list(size_t *count);
void pg_exports_unlist(pg_export_t *entries, size_t count);

/* From now on note where objects are shared: `where` is called with no argument and returns a text.
 * Attached. */
void pg_exports_trace(PyObject *where);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_exports_after_fork(void);

#endif
