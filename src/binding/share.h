/*
 * The share of a computing program's time that requests may take: PYGAS_REQUEST_SHARE.
 *
 * Requests run in *slices* of a millisecond or one request, whichever is longer. Time that a slice
 * has taken from the main thread is charged: the program then has (100 - share) / share times as
 * long for itself. What runs while the program waits in PyGAS, sleeps or computes without the
 * interpreter costs it nothing and is not charged. Time that other processes take from either
 * side counts for none: the share is one of what the machine gives to this process.
 */
#ifndef PYGAS_BINDING_SHARE_H
#define PYGAS_BINDING_SHARE_H

#include "state.h"

/* Before the executor starts. Attached. */
void pg_share_start(void);

/* The main thread: how long the program has to itself before the next slice, in nanoseconds; 0:
 * nothing is owed. */
uint64_t pg_share_owed_to_me(void);

/* A slice in the main thread: around what it runs. */
void pg_share_begin_mine(void);
void pg_share_end_mine(void);

/* Slices of the executor, which alone calls these. The first settles the charge for the last one
 * and is to be called before pg_share_owed(). `asked`: the main thread was asked to give way, and
 * did. */
void pg_share_settle(void);
void pg_share_begin(void);
void pg_share_end(bool asked);

/* As pg_share_owed_to_me(), seen from the executor: how long that has to wait at least. */
uint64_t pg_share_owed(void);

/* True if the program is doing nothing that requests could keep it from, as far as can be seen. */
bool pg_share_is_idle(void);

#endif
