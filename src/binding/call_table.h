/*
 * The table of open calls: a call has a slot until its reply has arrived, or will not. The slot's
 * index and generation are the call's id, so a reply that comes for a call which nobody knows any
 * more is noticed. The table has a reference to each of its calls.
 *
 * Its lock is a leaf, and is taken by the handler of replies under the conduit lock. Any thread,
 * attached or not, also inside handlers. Nothing blocks.
 */
#ifndef PYGAS_BINDING_CALL_TABLE_H
#define PYGAS_BINDING_CALL_TABLE_H

#include "call.h"

/* Gives the call a slot, which takes over a reference, and an id. False without memory. */
bool pg_call_table_put(pg_call_t *call);

/* Takes the call with this id out, and the reference; NULL if there is none. */
pg_call_t *pg_call_table_take(uint64_t id);

/* A new reference to the call with this id; NULL if there is none. */
pg_call_t *pg_call_table_find(uint64_t id);

/* Takes out the next call, from *index on (0 at first), for which `wanted` is true; NULL after the
 * last one. `wanted` is called under the lock. */
pg_call_t *pg_call_table_take_next(uint32_t *index, bool (*wanted)(const pg_call_t *call, int arg),
                                   int arg);

/* Notes, if the call is in the table, that nobody waits for it any more: `forsaken`. False if it is
 * not. */
bool pg_call_table_forsake(pg_call_t *call);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_call_table_after_fork(void);

#endif
