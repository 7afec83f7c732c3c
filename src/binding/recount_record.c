#include "recount_record.h"

bool pg_record_init(pg_record_t *record)
{
    record->white = calloc((size_t)pg.size, sizeof(*record->white));
    return record->white != NULL;
}

bool pg_record_is_open(const pg_record_t *record)
{
    return record->claims != NULL;
}

void pg_record_forget(pg_record_t *record)
{
    free(record->claims);
    free(record->holdings);
    record->claims = NULL;
    record->holdings = NULL;
    record->claim_count = record->holding_count = record->holding_room = 0;
    record->broken = false;
}

void pg_record_open(pg_record_t *record)
{
    const int64_t *one = pg_imports_ledger_locked(), *other = pg_exports_ledger_locked();

    pg_record_forget(record);
    record->holdings = pg_imports_record_locked(&record->holding_count);
    record->holding_room = record->holding_count;
    record->claims = pg_exports_record_locked(&record->claim_count);
    record->broken = record->claims == NULL || record->holdings == NULL;
    for (int peer = 0; peer < pg.size; peer++)
        record->white[peer] = one[peer] + other[peer];
}

pg_claim_t *pg_record_close(pg_record_t *record, size_t *count)
{
    pg_claim_t *claims = record->claims;

    *count = record->claim_count;
    record->claims = NULL;
    pg_record_forget(record);
    return claims;
}

/* The entries of the record rise by their index, the lower half of the id. */
static pg_claim_t *claim_of(pg_record_t *record, uint64_t id)
{
    size_t low = 0, high = record->claim_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((uint32_t)record->claims[middle].id < (uint32_t)id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < record->claim_count && record->claims[low].id == id ? &record->claims[low] : NULL;
}

void pg_record_explain(pg_record_t *record, uint64_t id, uint64_t weight)
{
    pg_claim_t *claim = claim_of(record, id);

    if (claim != NULL)
        claim->explained += weight;
}

void pg_record_hold(pg_record_t *record, const pg_holding_t *holding)
{
    if (record->holding_count == record->holding_room) {
        size_t room = record->holding_room * 2 + 16;
        pg_holding_t *holdings = realloc(record->holdings, room * sizeof(*holdings));

        if (holdings == NULL) {
            record->broken = true;
            return;
        }
        record->holdings = holdings;
        record->holding_room = room;
    }
    record->holdings[record->holding_count++] = *holding;
}

void pg_record_late(pg_record_t *record, int source, int owner, uint64_t id, uint64_t weight)
{
    record->white[source]--;
    if (!pg_record_is_open(record))
        return;
    if (owner == pg.rank)
        pg_record_explain(record, id, weight);
    else if (weight > 0)
        pg_record_hold(record, &(pg_holding_t){id, weight, owner});
}

pg_holding_t *pg_record_take_holdings(pg_record_t *record, size_t *count)
{
    pg_holding_t *holdings = record->holdings;

    *count = record->holding_count;
    record->holdings = NULL;
    record->holding_count = record->holding_room = 0;
    return holdings;
}

int64_t pg_record_missing(const pg_record_t *record, const bool *dead)
{
    int64_t missing = 0;

    for (int peer = 0; peer < pg.size; peer++)
        if (!dead[peer])
            missing += record->white[peer];
    return missing;
}
