/*
 * Design notes. An import whose count is 0 stays in the table and in the list `listed`, without a
 * message and without memory of its own for one. The progress thread is called again and again by
 * the runtime (pg_imports_tend()); it is woken for the first release only, if it sleeps for longer
 * than a moment, and then waits for BATCH_NS, so that releases gather: waking it costs as much as
 * some ten calls. It takes the imports out that still have nobody, and sends their weight home, up
 * to BATCH_MOST to an owner in one message. An import that has been used again since it was listed
 * is likely to be once more, so it stays until the next time: an object that is passed in every
 * call is not released and shared anew each time.
 */
#include "releases.h"

#include "exports.h"
#include "import_table.h"
#include "recount.h"

#define BATCH_NS 1000000u /* for which releases gather */
#define BATCH_MOST 256    /* of them in one message */

gas_status_t pg_portions_send(gas_job_t *job, int destination, uint16_t handler, uint32_t round,
                              const pg_portion_t *portions, size_t count)
{
    gas_am_t am = {.handler = handler,
                   .header = &round,
                   .header_length = sizeof(round),
                   .data = portions,
                   .data_length = count * sizeof(*portions)};

    return gas_am_send(job, destination, &am, NULL, NULL);
}

size_t pg_portions_in(gas_job_t *job, const gas_msg_t *msg, uint32_t *round)
{
    if (msg->header_length != sizeof(*round) || msg->data_length % sizeof(pg_portion_t) != 0) {
        atomic_fetch_add(&job->dropped, 1);
        return 0;
    }
    memcpy(round, msg->header, sizeof(*round));
    return msg->data_length / sizeof(pg_portion_t);
}

pg_portion_t pg_portion_in(const gas_msg_t *msg, size_t index)
{
    pg_portion_t portion;

    memcpy(&portion, (const char *)msg->data + index * sizeof(portion), sizeof(portion));
    return portion;
}

/* What the listed import has to send home, which is taken out of it; *dead if it is itself taken
 * out and to be freed. `all`: also if it has been used again. */
static uint64_t harvest(pg_import_t *import, bool all, bool *dead)
{
    uint64_t weight = import->surplus;
    bool is_reused = import->is_reused;

    import->surplus = 0;
    import->is_listed = false;
    import->is_reused = false;
    *dead = import->count == 0 && (all || !is_reused);
    if (*dead) {
        weight += import->weight;
        pg_import_table_take_out(import);
    } else if (import->count == 0) {
        pg_import_table_list(import); /* it goes the next time if nobody comes until then */
    }
    return weight;
}

/* Weight that could not be sent for the moment. */
static void put_back(int owner, uint32_t round, const pg_portion_t *portions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_import_give_back(owner, portions[i].id, portions[i].weight, owner, round);
}

/* The list sorted by owner: a merge sort. */
static pg_import_t *sorted(pg_import_t *first)
{
    pg_import_t *slow = first, *fast = first, *second, *result = NULL, **end = &result;

    if (first == NULL || first->next_listed == NULL)
        return first;
    while ((fast = fast->next_listed) != NULL && (fast = fast->next_listed) != NULL)
        slow = slow->next_listed;
    second = slow->next_listed;
    slow->next_listed = NULL;
    first = sorted(first);
    second = sorted(second);
    while (first != NULL && second != NULL) {
        pg_import_t **smaller = first->owner <= second->owner ? &first : &second;

        *end = *smaller;
        *smaller = (*smaller)->next_listed;
        end = &(*end)->next_listed;
    }
    *end = first != NULL ? first : second;
    return result;
}

/* Takes the releases to the owner of the first one off the list, up to BATCH_MOST. */
static size_t take_batch(pg_import_t **listed, bool all, pg_portion_t *portions, int *owner,
                         uint32_t *round)
{
    size_t count = 0;

    *owner = (*listed)->owner;
    pg_leaf_lock_take(&pg_import_table.lock);
    while (*listed != NULL && (*listed)->owner == *owner && count < BATCH_MOST) {
        pg_import_t *import = *listed;
        bool dead;

        *listed = import->next_listed;
        portions[count].id = import->id;
        portions[count].weight = harvest(import, all, &dead);
        if (portions[count].weight > 0) {
            *round = pg_recount_sent(pg_import_table.ledger, *owner);
            count++;
        }
        if (dead)
            free(import);
    }
    pg_leaf_lock_give(&pg_import_table.lock);
    return count;
}

/* The end of a flush: lists again what could not be sent. */
static void relist(pg_import_t *listed)
{
    pg_leaf_lock_take(&pg_import_table.lock);
    pg_import_table.flushes--;
    while (listed != NULL) {
        pg_import_t *import = listed;

        listed = import->next_listed;
        import->is_listed = false;
        pg_import_table_list(import);
    }
    pg_leaf_lock_give(&pg_import_table.lock);
}

static void flush(bool all)
{
    pg_portion_t portions[BATCH_MOST];
    pg_import_t *listed;

    pg_leaf_lock_take(&pg_import_table.lock);
    listed = pg_import_table.listed;
    pg_import_table.listed =
        NULL; /* they go on being marked as listed: nobody else touches the links */
    pg_import_table.flushes++;
    atomic_store(&pg_import_table.pending, false);
    pg_leaf_lock_give(&pg_import_table.lock);
    listed = sorted(listed);
    while (listed != NULL) {
        uint32_t round = 0;
        int owner;
        size_t count = take_batch(&listed, all, portions, &owner, &round);

        /* With a rank that is no longer there nothing has to be settled. */
        if (count > 0 && pg_portions_send(pg.job, owner, PG_HANDLER_RELEASE, round, portions,
                                          count) == GAS_ERR_NO_MEMORY) {
            put_back(owner, round, portions, count);
            break;
        }
    }
    relist(listed);
}

void pg_imports_flush(void)
{
    flush(true);
    if (atomic_load(&pg_import_table.pending))
        pg_hurry(); /* this may not be the progress thread, which knows of what was listed before */
}

bool pg_imports_are_flushed(void)
{
    bool flushed;

    pg_leaf_lock_take(&pg_import_table.lock);
    flushed = pg_import_table.listed == NULL && pg_import_table.flushes == 0;
    pg_leaf_lock_give(&pg_import_table.lock);
    return flushed;
}

uint64_t pg_imports_tend(void)
{
    static uint64_t since; /* when it was seen that there is something; the progress thread's */
    uint64_t now;

    if (!atomic_load(&pg_import_table.pending))
        return GAS_FOREVER;
    now = gas_clock_now();
    if (since == 0)
        since = now;
    if (now - since < BATCH_NS)
        return BATCH_NS - (now - since);
    since = 0;
    flush(false);
    return atomic_load(&pg_import_table.pending) ? BATCH_NS : GAS_FOREVER;
}

void pg_release_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    uint32_t round = 0;
    size_t count = pg_portions_in(job, msg, &round);

    (void)arg;
    pg_recount_see(round);
    pg_exports_lock();
    for (size_t i = 0; i < count; i++) {
        pg_portion_t portion = pg_portion_in(msg, i);

        pg_exports_release_locked(portion.id, portion.weight, msg->source, round);
    }
    pg_exports_unlock();
    gas_msg_free(job, msg);
}
