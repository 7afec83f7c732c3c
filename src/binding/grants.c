#include "grants.h"

#include "exports.h"
#include "failure.h"
#include "import_table.h"
#include "recount.h"
#include "releases.h"
#include "wait.h"

struct pg_import_waiter {
    pg_import_t *import;
    gas_event_t event;
    pg_import_waiter_t *next;
};

void pg_weight_asked(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    uint32_t round = 0;

    (void)arg;
    if (pg_portions_in(job, msg, &round) > 0) {
        pg_portion_t portion = pg_portion_in(msg, 0);

        portion.weight = pg_exports_mint(portion.id, PG_WEIGHT_MINT, msg->source, &round);
        if (pg_portions_send(job, msg->source, PG_HANDLER_WEIGHT, round, &portion, 1) != GAS_OK)
            pg_exports_release(portion.id, portion.weight, msg->source, round);
    }
    gas_msg_free(job, msg);
}

void pg_grant_over(const pg_import_t *import)
{
    for (pg_import_waiter_t **at = &pg_import_table.waiters; *at != NULL;) {
        pg_import_waiter_t *waiter = *at;

        if (waiter->import != import) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        gas_event_set(&waiter->event); /* from here on it may be gone */
    }
}

void pg_weight_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    uint32_t round = 0;

    (void)arg;
    if (pg_portions_in(job, msg, &round) > 0) {
        pg_portion_t portion = pg_portion_in(msg, 0);
        pg_import_t *import;

        pg_recount_see(round);
        pg_imports_lock();
        pg_recount_received(pg_import_table.ledger, msg->source, round, msg->source, portion.id,
                            portion.weight);
        import = pg_import_table_find(msg->source, portion.id);
        if (import == NULL && portion.weight > 0)
            import = pg_import_table_insert(msg->source,
                                            portion.id); /* nobody wants it any more: home again */
        if (import != NULL) {
            import->is_asked = false;
            import->is_gone |= portion.weight == 0;
            pg_import_table_add_weight(import, portion.weight);
            if (import->count == 0)
                pg_import_table_list(import);
            pg_grant_over(import);
        }
        pg_imports_unlock();
    }
    gas_msg_free(job, msg);
}

int pg_grant_ask(pg_import_t *import)
{
    pg_portion_t portion = {.id = import->id};
    gas_status_t status = GAS_OK;
    bool asked;

    pg_leaf_lock_take(&pg_import_table.lock);
    asked = import->is_asked;
    import->is_asked = true;
    pg_leaf_lock_give(&pg_import_table.lock);
    if (!asked)
        status = pg_portions_send(pg.job, import->owner, PG_HANDLER_WEIGHT_ASK, 0, &portion, 1);
    if (status == GAS_OK)
        return 0;
    pg_leaf_lock_take(&pg_import_table.lock);
    import->is_asked = false;
    pg_grant_over(import);
    pg_leaf_lock_give(&pg_import_table.lock);
    pg_raise_status(status);
    return -1;
}

void pg_grant_await(pg_import_t *import)
{
    pg_import_waiter_t waiter = {.import = import};
    bool waits;

    gas_event_init(&waiter.event);
    pg_leaf_lock_take(&pg_import_table.lock);
    waits = import->is_asked;
    if (waits) {
        waiter.next = pg_import_table.waiters;
        pg_import_table.waiters = &waiter;
    }
    pg_leaf_lock_give(&pg_import_table.lock);
    if (waits)
        pg_wait_landing(&waiter.event);
}
