/*
 * The record of a recount's round (recount.h): what this rank's tables held at the moment when it
 * joined, and what was on its way to it at that moment and has come since.
 *
 * A record has no lock of its own; recount.c's guards it. Nothing blocks.
 */
#ifndef PYGAS_BINDING_RECOUNT_RECORD_H
#define PYGAS_BINDING_RECOUNT_RECORD_H

#include "exports.h"
#include "imports.h"
#include "state.h"

typedef struct pg_record {
    pg_claim_t *claims; /* what others have of this rank's objects; NULL: closed */
    size_t claim_count;
    pg_holding_t *holdings; /* what this rank has of others', and its owner is still to be told */
    size_t holding_count, holding_room;
    int64_t *white; /* by peer: sent to it before the round, and not come from it since */
    bool broken;    /* it is not sound: another round is needed */
} pg_record_t;

/* A closed record. After pg.size is known; false without memory. Zeroed before. */
bool pg_record_init(pg_record_t *record);

/* Records the tables, instead of what there was. Broken if there is no memory. Under the locks of
 * both tables as well. */
void pg_record_open(pg_record_t *record);

bool pg_record_is_open(const pg_record_t *record);

/* Closes it without regard to what it says. */
void pg_record_forget(pg_record_t *record);

/* Closes it. The claims, to be freed by the caller; *count: how many. */
pg_claim_t *pg_record_close(pg_record_t *record, size_t *count);

/* A weight, also one of 0, has come from `source` that was sent before the round, also after the
 * record was closed. */
void pg_record_late(pg_record_t *record, int source, int owner, uint64_t id, uint64_t weight);

/* Somebody holds that weight of an object of this rank. */
void pg_record_explain(pg_record_t *record, uint64_t id, uint64_t weight);

/* This rank holds that, and its owner is to be told. Broken if there is no memory. */
void pg_record_hold(pg_record_t *record, const pg_holding_t *holding);

/* What owners are to be told, which is up to the caller from now on, to be freed by it; *count: how
 * many. */
pg_holding_t *pg_record_take_holdings(pg_record_t *record, size_t *count);

/* How many more weights were sent by this rank to those that are not `dead`, by rank, than have
 * come here from them; negative: fewer. The sum over all ranks is what is still on its way. */
int64_t pg_record_missing(const pg_record_t *record, const bool *dead);

#endif
