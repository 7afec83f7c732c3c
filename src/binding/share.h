/*
 * The share of a computing program's time that requests may take: PYGAS_REQUEST_SHARE.
 *
 * Requests run in *slices* of a millisecond or one request, whichever is longer. Time that a slice
 * has taken from the main thread is charged: the program then has (100 - share) / share times as
 * long for itself. What runs while the program waits in PyGAS, sleeps or computes without the
 * interpreter costs it nothing and is not charged.
 */
#ifndef PYGAS_BINDING_SHARE_H
#define PYGAS_BINDING_SHARE_H

#include "state.h"

/* Before the executor starts. Attached. */
void pg_share_start(void);

/* How long the program has to itself before the next slice, in nanoseconds; 0: nothing is owed. Any
 * thread. */
uint64_t pg_share_owed(void);

/* A slice in the main thread took so long. */
void pg_share_charge(uint64_t length);

/* Slices of the executor. The first settles the charge for the last one and is to be called before
 * pg_share_owed(). `asked`: the main thread was asked to give way, and did. */
void pg_share_settle(void);
void pg_share_begin(void);
void pg_share_end(bool asked);

#endif
