/*
 * The table of objects of other ranks that this rank refers to.
 *
 * One entry, an *import*, for each object, however many Proxies to it there are: it counts what
 * refers to it on this rank and holds the weight (weight.h) that this rank has for the object. When
 * its count has come down to nothing, its weight is sent home by the progress thread, together with
 * that of others; until then it can be used again.
 *
 * Any thread, attached or not, also inside handlers, unless it says otherwise. Nothing blocks but
 * pg_import_obtain() and pg_import_split().
 */
#ifndef PYGAS_BINDING_IMPORTS_H
#define PYGAS_BINDING_IMPORTS_H

#include "state.h"

typedef struct pg_import pg_import_t;

struct pg_import {
    uint64_t id;    /* in the owner's exports; constant */
    int owner;      /* constant */
    uint32_t count; /* references of this rank; guarded by the lock of imports.c, as is the rest */
    uint64_t weight;
    uint64_t surplus;  /* weight to be sent home whatever `count` says */
    pg_import_t *next; /* in its bucket */
    pg_import_t *next_listed;
    bool is_listed; /* there may be something to send home */
    bool is_reused; /* it has been, since it was listed */
    bool is_asked;  /* the owner has been asked for weight */
    bool is_gone;   /* the owner has no such object any more */
};

/* Functions whose names end in `_locked` are called under pg_imports_lock(). */

/* The import of an object for which `weight` has arrived from `source` (0: the sender has none,
 * since the owner has no such object any more), with the round that travelled with it (recount.h);
 * a new reference. NULL without memory. */
pg_import_t *pg_import_receive_locked(int owner, uint64_t id, uint64_t weight, int source,
                                      uint32_t round);

/* The import that this rank has already; a new reference, or NULL. */
pg_import_t *pg_import_find(int owner, uint64_t id);

/*
 * The import of an object whose id came without weight, as in a pickle: found, else the owner is
 * asked whether the object is still there. A new reference; NULL with ReferenceError if it is not.
 * Attached, after pg_enter(). Blocks for a round trip of the runtime, without running requests.
 */
pg_import_t *pg_import_obtain(int owner, uint64_t id);

void pg_import_ref(pg_import_t *import);

/* For finalizers: takes the lock of imports.c and no other. NULL is allowed. */
void pg_import_unref(pg_import_t *import);
void pg_import_unref_locked(pg_import_t *import);

/*
 * Weight for a reference to be sent to `destination`; 0: the object is no longer there. *round:
 * this rank's, then (recount.h); it travels with the weight. Attached, after pg_enter(). Blocks
 * only if the weight is used up before the owner has answered the request for more that was sent
 * when it ran low.
 */
uint64_t pg_import_split(pg_import_t *import, int destination, uint32_t *round);

/* The same if there is weight enough; else 0, and nothing has happened. */
uint64_t pg_import_split_locked(pg_import_t *import, int destination, uint32_t *round);

/* Weight that was taken from the import of this object, if there still is one, for a message to
 * `destination` that could not be sent. */
void pg_import_give_back(int owner, uint64_t id, uint64_t weight, int destination, uint32_t round);

/* How many references of this rank there are, and the weight. */
void pg_import_look(pg_import_t *import, uint32_t *count, uint64_t *weight);

/* Sends all weight home though there are references: nobody will use them. */
void pg_import_sever(pg_import_t *import);

/* How many objects of others this rank refers to. */
size_t pg_imports_count(void);

/* Copies of the imports as they are at one moment, in memory to be freed: those that are referred
 * to or still hold weight. *count: how many. NULL without memory. */
pg_import_t *pg_imports_list(size_t *count);

/* What `owner` had is gone: nobody waits for an answer of its any more. Also inside handlers. */
void pg_imports_owner_failed(int owner);

/* The table's lock, for those who do several things to it at once, as in exports.h.
 * pg_imports_unlock() sees to it that what has been listed is sent home. */
void pg_imports_lock(void);
void pg_imports_unlock(void);

/* For recount.c, under that lock: the weight of each import that has some. */
typedef struct pg_holding {
    uint64_t id;
    uint64_t weight;
    int owner;
} pg_holding_t;

pg_holding_t *pg_imports_record_locked(size_t *count);
const int64_t *pg_imports_ledger_locked(void);

/* Before the job starts; false without memory. */
bool pg_imports_init(void);

/* Forgets everything. No other thread uses the job any more. */
void pg_imports_clear(void);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_imports_after_fork(void);

#endif
