/*
 * Recounts: the weight that a failed rank took along is found out and subtracted, so that objects
 * which nobody else refers to come back.
 *
 * A weight (weight.h) is with the ranks or in messages, and an owner knows the sum. When a rank has
 * failed, the survivors find out what they hold all together, at one moment: what is missing then
 * was the failed rank's, or on its way to it, and will never come back. The moment is one of
 * Lai and Yang's (1987) and Mattern's (1993): ranks and messages have a *round*. A rank that begins
 * a round records all its weight, at once (pg_recount_join()); it does so before it takes in weight
 * that was sent in that round. Weight that was sent before its sender began and arrives after its
 * receiver did was on its way, and is recorded when it comes; that all of it has come is seen from
 * the numbers of weights sent and received, which each table keeps for each peer (its *ledger*).
 *
 *   weight of an entry - what is held - what was on its way = what is lost
 *
 * Nobody has to stop for that. As lost weight stays lost, it does no harm that owners subtract it
 * later, whatever has happened to the entry since.
 *
 * Rounds are numbered by the number of failures that they know of, and by attempts. When one more
 * rank fails, the round under way is given up for a new one. The survivor of the lowest number
 * begins rounds and asks the others, down a binomial tree; they answer by and by, up the tree. All
 * that is done by the progress threads, in C.
 *
 * Any thread, attached or not, also inside handlers, unless it says otherwise. Nothing blocks.
 */
#ifndef PYGAS_BINDING_RECOUNT_H
#define PYGAS_BINDING_RECOUNT_H

#include "state.h"

extern atomic_uint pg_recount_round; /* changed under the locks of both tables; 0: none yet */

/* Internal: messages for which weight has been taken and that are not sent yet. */
extern atomic_uint pg_recount_drafts;

/* Internal: see pg_recount_see() and pg_recount_received(). */
void pg_recount_join(uint32_t round);
void pg_recount_late(int source, int owner, uint64_t id, uint64_t weight);

/* Before weight that was sent in `round` is taken in. None of the two tables' locks is held. */
static inline void pg_recount_see(uint32_t round)
{
    if (round > atomic_load_explicit(&pg_recount_round, memory_order_relaxed))
        pg_recount_join(round);
}

/* A weight, also one of 0, leaves for `destination`: under the table's lock, with its change.
 * Returns the round that travels with it. */
static inline uint32_t pg_recount_sent(int64_t *ledger, int destination)
{
    ledger[destination]++;
    return atomic_load_explicit(&pg_recount_round, memory_order_relaxed);
}

/* A weight has come from `source`, or could not be sent there: under the table's lock, with its
 * change. */
static inline void pg_recount_received(int64_t *ledger, int source, uint32_t round, int owner,
                                       uint64_t id, uint64_t weight)
{
    ledger[source]--;
    if (round < atomic_load_explicit(&pg_recount_round, memory_order_relaxed))
        pg_recount_late(source, owner, id, weight);
}

/* Around the time in which a message has weight taken from the tables for it, and is not sent yet.
 */
static inline void pg_recount_sending(void)
{
    atomic_fetch_add(&pg_recount_drafts, 1);
}

void pg_recount_sending_over(void);

/* Before the job starts, when pg.rank and pg.size are known; false without memory. */
bool pg_recount_init(void);

/* No other thread uses the job any more. */
void pg_recount_clear(void);

/* A rank has failed. */
void pg_recount_rank_failed(void);

/* The progress thread's, as pg_imports_tend(). */
uint64_t pg_recount_tend(void);

/* True if no failure is known whose weights have not been subtracted here. */
bool pg_recount_is_done(void);

/* The handler of the messages between recount.c's. */
void pg_recount_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

/* In a forked child, where another thread of the rank may have held the lock. */
void pg_recount_after_fork(void);

#endif
