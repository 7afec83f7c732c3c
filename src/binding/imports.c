/*
 * Design notes. `lock` guards the table and every import. It is a leaf: held for some instructions,
 * never while something is sent or a Python object is touched, so finalizers may take it. Memory is
 * malloc's, since handlers come here.
 *
 * Releasing. An import whose count is 0 stays in the table and in the list `listed`, without a
 * message and without memory of its own for one. The progress thread is called again and again by
 * the runtime (pg_imports_tend()); it is woken for the first release only if it sleeps for longer
 * than a moment, and then waits for BATCH_NS, so that releases gather. It takes the imports out
 * that still have nobody, and sends their weight home, up to BATCH_MOST to an owner in one message.
 *
 * Asking. PG_HANDLER_WEIGHT_ASK asks the owner for weight; its handler mints and answers in C, also
 * while its program computes. Threads that cannot go on without wait in the list `waiters`.
 */
#include "imports.h"

#include "exports.h"
#include "wait.h"
#include "weight.h"

#include <pthread.h>

#define BATCH_NS 200000u /* for which releases gather */
#define BATCH_MOST 256   /* of them in one message */

/* Of a release, and of the two messages about weight, which have one. */
typedef struct portion {
    uint64_t id;
    uint64_t weight;
} portion_t;

typedef struct waiter {
    pg_import_t *import;
    gas_event_t event;
    struct waiter *next;
} waiter_t;

static struct {
    pthread_mutex_t lock;
    pg_import_t **buckets;
    size_t capacity; /* of buckets: a power of two */
    size_t entries;  /* in the table */
    size_t count;    /* of those with references */
    pg_import_t *listed;
    waiter_t *waiters;
    atomic_bool pending; /* `listed` is not empty */
    uint64_t since;      /* when the progress thread saw that; its own */
} imports = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the table, under the lock ---- */

static pg_import_t **bucket_of(int owner, uint64_t id)
{
    uint64_t hash = (id ^ (uint64_t)owner << 40) * 0x9E3779B97F4A7C15u;

    return &imports.buckets[hash >> 32 & (imports.capacity - 1)];
}

static pg_import_t *find(int owner, uint64_t id)
{
    pg_import_t *import = imports.capacity > 0 ? *bucket_of(owner, id) : NULL;

    while (import != NULL && (import->id != id || import->owner != owner))
        import = import->next;
    return import;
}

static bool grow(void)
{
    size_t before = imports.capacity, capacity = before > 0 ? before * 2 : 64;
    pg_import_t **old = imports.buckets;
    pg_import_t **buckets = calloc(capacity, sizeof(pg_import_t *));

    if (buckets == NULL)
        return before > 0; /* longer chains, then */
    imports.buckets = buckets;
    imports.capacity = capacity;
    for (size_t i = 0; i < before; i++) {
        while (old[i] != NULL) {
            pg_import_t *import = old[i];
            pg_import_t **bucket = bucket_of(import->owner, import->id);

            old[i] = import->next;
            import->next = *bucket;
            *bucket = import;
        }
    }
    free(old);
    return true;
}

static pg_import_t *insert(int owner, uint64_t id)
{
    pg_import_t *import, **bucket;

    if (imports.entries >= imports.capacity && !grow())
        return NULL;
    import = calloc(1, sizeof(*import));
    if (import == NULL)
        return NULL;
    import->owner = owner;
    import->id = id;
    bucket = bucket_of(owner, id);
    import->next = *bucket;
    *bucket = import;
    imports.entries++;
    return import;
}

static void take_out(pg_import_t *import)
{
    pg_import_t **at = bucket_of(import->owner, import->id);

    while (*at != import)
        at = &(*at)->next;
    *at = import->next;
    imports.entries--;
}

static void list(pg_import_t *import)
{
    if (import->is_listed)
        return;
    import->is_listed = true;
    import->next_listed = imports.listed;
    imports.listed = import;
    atomic_store(&imports.pending, true);
}

static void add_reference(pg_import_t *import)
{
    if (import->count++ == 0)
        imports.count++;
}

static void add_weight(pg_import_t *import, uint64_t weight)
{
    uint64_t room = PG_WEIGHT_MOST - import->weight;

    import->weight += weight < room ? weight : room;
    if (weight <= room)
        return;
    import->surplus += weight - room;
    list(import);
}

/* ---- sending home ---- */

/* After a change under the lock that may have listed something. */
static void hurry(void)
{
    if (!atomic_load(&imports.pending))
        return;
    atomic_fetch_add(&pg.users, 1);
    if (atomic_load(&pg.phase) == PG_RUNNING)
        gas_progress_hurry(pg.job);
    pg_leave();
}

/* What the listed import has to send home, which is taken out of it; *dead if it is itself taken
 * out and to be freed. */
static uint64_t harvest(pg_import_t *import, bool *dead)
{
    uint64_t weight = import->surplus;

    import->surplus = 0;
    import->is_listed = false;
    *dead = import->count == 0;
    if (*dead) {
        weight += import->weight;
        take_out(import);
    }
    return weight;
}

/* Weight that could not be sent for the moment. */
static void put_back(int owner, const portion_t *portions, size_t count)
{
    pthread_mutex_lock(&imports.lock);
    for (size_t i = 0; i < count; i++) {
        pg_import_t *import = find(owner, portions[i].id);

        if (import == NULL)
            import = insert(owner, portions[i].id);
        if (import == NULL)
            continue; /* no memory twice: the object stays until the end of the job */
        import->surplus += portions[i].weight;
        list(import);
    }
    pthread_mutex_unlock(&imports.lock);
}

static gas_status_t send_portions(gas_job_t *job, int owner, uint16_t handler,
                                  const portion_t *portions, size_t count)
{
    gas_am_t am = {.handler = handler, .data = portions, .data_length = count * sizeof(*portions)};

    return gas_am_send(job, owner, &am, NULL, NULL);
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
static size_t take_batch(pg_import_t **listed, portion_t *portions, int *owner)
{
    size_t count = 0;

    *owner = (*listed)->owner;
    pthread_mutex_lock(&imports.lock);
    while (*listed != NULL && (*listed)->owner == *owner && count < BATCH_MOST) {
        pg_import_t *import = *listed;
        bool dead;

        *listed = import->next_listed;
        portions[count].id = import->id;
        portions[count].weight = harvest(import, &dead);
        if (portions[count].weight > 0)
            count++;
        if (dead)
            free(import);
    }
    pthread_mutex_unlock(&imports.lock);
    return count;
}

/* Lists again what could not be sent. */
static void relist(pg_import_t *listed)
{
    pthread_mutex_lock(&imports.lock);
    while (listed != NULL) {
        pg_import_t *import = listed;

        listed = import->next_listed;
        import->is_listed = false;
        list(import);
    }
    pthread_mutex_unlock(&imports.lock);
}

void pg_imports_flush(void)
{
    portion_t portions[BATCH_MOST];
    pg_import_t *listed;

    pthread_mutex_lock(&imports.lock);
    listed = imports.listed;
    imports.listed = NULL; /* they go on being marked as listed: nobody else touches the links */
    atomic_store(&imports.pending, false);
    pthread_mutex_unlock(&imports.lock);
    listed = sorted(listed);
    while (listed != NULL) {
        int owner;
        size_t count = take_batch(&listed, portions, &owner);

        /* With a rank that is no longer there nothing has to be settled. */
        if (count > 0 && send_portions(pg.job, owner, PG_HANDLER_RELEASE, portions, count) ==
                             GAS_ERR_NO_MEMORY) {
            put_back(owner, portions, count);
            break;
        }
    }
    relist(listed);
}

uint64_t pg_imports_tend(void)
{
    uint64_t now;

    if (!atomic_load(&imports.pending))
        return GAS_FOREVER;
    now = gas_clock_now();
    if (imports.since == 0)
        imports.since = now;
    if (now - imports.since < BATCH_NS)
        return BATCH_NS - (now - imports.since);
    imports.since = 0;
    pg_imports_flush();
    return atomic_load(&imports.pending) ? BATCH_NS : GAS_FOREVER;
}

void pg_release_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    const char *at = msg->data;

    (void)arg;
    if (msg->data_length % sizeof(portion_t) != 0)
        atomic_fetch_add(&job->dropped, 1);
    for (size_t i = 0; i < msg->data_length / sizeof(portion_t); i++) {
        portion_t portion;

        memcpy(&portion, at + i * sizeof(portion), sizeof(portion));
        pg_exports_release(portion.id, portion.weight);
    }
    gas_msg_free(job, msg);
}

/* ---- asking for weight ---- */

void pg_weight_asked(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    portion_t portion;

    (void)arg;
    if (msg->data_length == sizeof(portion)) {
        memcpy(&portion, msg->data, sizeof(portion));
        portion.weight = pg_exports_mint(portion.id, PG_WEIGHT_MINT);
        if (send_portions(job, msg->source, PG_HANDLER_WEIGHT, &portion, 1) != GAS_OK)
            pg_exports_release(portion.id, portion.weight);
    } else {
        atomic_fetch_add(&job->dropped, 1);
    }
    gas_msg_free(job, msg);
}

/* Tells the threads that wait for `import`. Under the lock. */
static void tell_waiters(const pg_import_t *import)
{
    for (waiter_t **at = &imports.waiters; *at != NULL;) {
        waiter_t *waiter = *at;

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
    pg_import_t *import;
    portion_t portion;

    (void)arg;
    if (msg->data_length == sizeof(portion)) {
        memcpy(&portion, msg->data, sizeof(portion));
        pthread_mutex_lock(&imports.lock);
        import = find(msg->source, portion.id);
        if (import == NULL && portion.weight > 0)
            import = insert(msg->source, portion.id); /* nobody wants it any more: home again */
        if (import != NULL) {
            import->is_asked = false;
            import->is_gone |= portion.weight == 0;
            add_weight(import, portion.weight);
            if (import->count == 0)
                list(import);
            tell_waiters(import);
        }
        pthread_mutex_unlock(&imports.lock);
        hurry();
    } else {
        atomic_fetch_add(&job->dropped, 1);
    }
    gas_msg_free(job, msg);
}

/* Asks the owner for weight unless that has been done. -1 with an exception. */
static int ask(pg_import_t *import)
{
    portion_t portion = {.id = import->id};
    gas_status_t status = GAS_OK;
    bool asked;

    pthread_mutex_lock(&imports.lock);
    asked = import->is_asked;
    import->is_asked = true;
    pthread_mutex_unlock(&imports.lock);
    if (!asked)
        status = send_portions(pg.job, import->owner, PG_HANDLER_WEIGHT_ASK, &portion, 1);
    if (status == GAS_OK)
        return 0;
    pthread_mutex_lock(&imports.lock);
    import->is_asked = false;
    tell_waiters(import);
    pthread_mutex_unlock(&imports.lock);
    pg_raise_status(status);
    return -1;
}

/* Waits until the owner, who has been asked, has answered. */
static void await_answer(pg_import_t *import)
{
    waiter_t waiter = {.import = import};
    bool waits;

    gas_event_init(&waiter.event);
    pthread_mutex_lock(&imports.lock);
    waits = import->is_asked;
    if (waits) {
        waiter.next = imports.waiters;
        imports.waiters = &waiter;
    }
    pthread_mutex_unlock(&imports.lock);
    if (waits)
        pg_wait_landing(&waiter.event);
}

/* ---- the interface ---- */

pg_import_t *pg_import_receive(int owner, uint64_t id, uint64_t weight)
{
    pg_import_t *import;

    pthread_mutex_lock(&imports.lock);
    import = find(owner, id);
    if (import == NULL)
        import = insert(owner, id);
    if (import != NULL) {
        add_reference(import);
        add_weight(import, weight);
        import->is_gone = import->weight == 0 && !import->is_asked;
    }
    pthread_mutex_unlock(&imports.lock);
    hurry();
    return import;
}

pg_import_t *pg_import_find(int owner, uint64_t id)
{
    pg_import_t *import;

    pthread_mutex_lock(&imports.lock);
    import = find(owner, id);
    /* One that is gone and still referred to: what is done with it will tell. */
    if (import != NULL && (import->weight > 0 || (import->is_gone && import->count > 0)))
        add_reference(import);
    else
        import = NULL;
    pthread_mutex_unlock(&imports.lock);
    return import;
}

static bool has_weight(pg_import_t *import, bool *gone)
{
    bool has;

    pthread_mutex_lock(&imports.lock);
    has = import->weight > 0;
    *gone = import->is_gone;
    pthread_mutex_unlock(&imports.lock);
    return has;
}

pg_import_t *pg_import_obtain(int owner, uint64_t id)
{
    pg_import_t *import;
    bool gone = false;

    pthread_mutex_lock(&imports.lock);
    import = find(owner, id);
    if (import == NULL)
        import = insert(owner, id);
    if (import != NULL)
        add_reference(import);
    pthread_mutex_unlock(&imports.lock);
    if (import == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    while (!has_weight(import, &gone) && !gone) {
        if (ask(import) < 0) {
            pg_import_unref(import);
            return NULL;
        }
        await_answer(import);
    }
    if (!gone)
        return import;
    pg_import_unref(import);
    PyErr_Format(PyExc_ReferenceError, "rank %d has no shared object %u.%u (any more)", owner,
                 (uint32_t)id, (uint32_t)(id >> 32));
    return NULL;
}

void pg_import_ref(pg_import_t *import)
{
    pthread_mutex_lock(&imports.lock);
    add_reference(import);
    pthread_mutex_unlock(&imports.lock);
}

void pg_import_unref(pg_import_t *import)
{
    bool last;

    if (import == NULL || atomic_load(&pg.phase) == PG_FORKED)
        return; /* in a forked child it is the parent's */
    pthread_mutex_lock(&imports.lock);
    last = --import->count == 0;
    if (last) {
        imports.count--;
        list(import);
    }
    pthread_mutex_unlock(&imports.lock);
    if (last)
        hurry();
}

uint64_t pg_import_split(pg_import_t *import, int destination)
{
    uint64_t portion;
    bool low, gone;

    for (;;) {
        pthread_mutex_lock(&imports.lock);
        if (destination == import->owner)
            portion = import->weight > 1 ? 1 : 0; /* it comes back at once */
        else
            portion = pg_weight_portion(import->weight);
        import->weight -= portion;
        low = import->weight < PG_WEIGHT_LOW && !import->is_asked;
        gone = import->is_gone;
        pthread_mutex_unlock(&imports.lock);
        if (low && !gone && ask(import) < 0) {
            PyErr_Clear(); /* its owner cannot be reached: who uses it will be told */
            return portion;
        }
        if (portion > 0 || gone)
            return portion;
        await_answer(import);
    }
}

void pg_import_give_back(pg_import_t *import, uint64_t weight)
{
    pthread_mutex_lock(&imports.lock);
    add_weight(import, weight);
    pthread_mutex_unlock(&imports.lock);
}

void pg_import_look(pg_import_t *import, uint32_t *count, uint64_t *weight)
{
    pthread_mutex_lock(&imports.lock);
    *count = import->count;
    *weight = import->weight;
    pthread_mutex_unlock(&imports.lock);
}

void pg_import_sever(pg_import_t *import)
{
    pthread_mutex_lock(&imports.lock);
    import->surplus += import->weight;
    import->weight = 0;
    import->is_gone = true;
    list(import);
    pthread_mutex_unlock(&imports.lock);
    hurry();
}

size_t pg_imports_count(void)
{
    size_t count;

    pthread_mutex_lock(&imports.lock);
    count = imports.count;
    pthread_mutex_unlock(&imports.lock);
    return count;
}

pg_import_t *pg_imports_list(size_t *count)
{
    pg_import_t *copies;
    size_t used = 0;

    pthread_mutex_lock(&imports.lock);
    copies = malloc((imports.entries + 1) * sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < imports.capacity; i++)
        for (const pg_import_t *import = imports.buckets[i]; import != NULL; import = import->next)
            copies[used++] = *import;
    pthread_mutex_unlock(&imports.lock);
    *count = used;
    return copies;
}

void pg_imports_owner_failed(int owner)
{
    pthread_mutex_lock(&imports.lock);
    for (size_t i = 0; i < imports.capacity; i++)
        for (pg_import_t *import = imports.buckets[i]; import != NULL; import = import->next)
            if (import->owner == owner) {
                import->is_asked = false;
                import->is_gone = true;
                tell_waiters(import);
            }
    pthread_mutex_unlock(&imports.lock);
}

void pg_imports_clear(void)
{
    pthread_mutex_lock(&imports.lock);
    imports.listed = NULL;
    atomic_store(&imports.pending, false);
    pthread_mutex_unlock(&imports.lock);
}

void pg_imports_after_fork(void)
{
    pthread_mutex_init(&imports.lock, NULL);
}
