/*
 * Design notes. `lock` guards all of `recount` that does not say otherwise. It is taken inside the
 * locks of the tables (imports, then exports), and is otherwise a leaf. Handlers note down what has
 * come; the progress thread goes on from there (pg_recount_tend()), and is the only one who sends,
 * but for the acknowledgement of rows, which a handler sends.
 *
 * A round, as one rank sees it: it *joins* (records), because it was asked or because weight of
 * that round came. It tells each owner what it holds (ROWS), and later what was late; owners say
 * that they have it (HAVE). It is asked (ASK, in *waves*) how much is still on its way to it; it
 * passes that on to its children, and answers (ANSWER) with their sum and its own number when all
 * its rows are with their owners. When the sum of all survivors is 0 nothing is on its way and
 * nothing is untold: the root says so (APPLY), and owners subtract. Weights are counted by peer, so
 * those to and from failed ranks can be left out. What a rank had sent before it failed has
 * arrived, or never will, when its failure is known: so a rank answers only when it knows of as
 * many failures as the round; all learn of them in the same order, the launcher's.
 *
 * An answer can also be that another round is needed: the rank has no memory to record, or it has
 * joined before it knew of the failure, so that weight may have gone to the failed rank since.
 *
 * Weight is taken from a table some time before the message with it is sent, and if its receiver
 * turns out to have failed it is put back. It must not count as lost then. So a rank answers only
 * when there has been a moment without such *drafts* since it joined.
 */
#include "recount.h"

#include "exports.h"
#include "imports.h"
#include "recount_record.h"
#include "survivors.h"

#include <pthread.h>

#define ROWS_MOST 1024         /* in one message */
#define WAVE_NS 500000u        /* from a wave to the next; doubles */
#define WAVE_MOST_NS 64000000u /* up to this */
#define ATTEMPT_BITS 12        /* of a round's number; the rest is the number of failures */

atomic_uint pg_recount_round, pg_recount_drafts;

enum kind { ASK, ANSWER, ROWS, HAVE, APPLY };

typedef struct note {
    uint32_t kind;
    uint32_t round;
    uint32_t wave;
    uint32_t broken;
    int64_t missing;
} note_t;

typedef struct row {
    uint64_t id;
    uint64_t weight;
} row_t;

static struct {
    pthread_mutex_t lock;
    atomic_bool pending;        /* there may be something to do */
    atomic_uint done_failures;  /* whose weights have been subtracted */
    atomic_uint turn;           /* how many rounds have been joined */
    atomic_uint free_of_drafts; /* a turn in which there was a moment without drafts */
    atomic_bool drafts_awaited;

    pg_record_t record; /* of the round; closed when that is over */

    /* What has been said. */
    uint32_t asked, opened, passed_on, answered; /* waves */
    size_t children_left;                        /* that have not answered the wave */
    int64_t missing;                             /* the sum of those that have */
    bool children_broken;
    size_t not_acknowledged; /* messages with rows */
    bool apply;              /* the round is complete */

    /* The progress thread's own. */
    pg_survivors_t survivors;
    uint64_t next_at; /* when the root goes on; 0: at once */
    uint64_t pause;
    bool again;
} recount = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hurry(void)
{
    atomic_store(&recount.pending, true);
    pg_hurry();
}

static uint32_t failures_of(uint32_t round)
{
    return round >> ATTEMPT_BITS;
}

/* ---- recording ---- */

/* Under all three locks. */
static void record_locked(uint32_t round)
{
    pg_record_open(&recount.record);
    /* Messages may come while the job is still being started here. */
    if (pg.job == NULL || gas_failure_count(pg.job) < failures_of(round))
        recount.record.broken = true;
    recount.asked = recount.opened = recount.passed_on = recount.answered = 0;
    recount.not_acknowledged = 0;
    recount.apply = false;
}

void pg_recount_join(uint32_t round)
{
    if (failures_of(round) >= (uint32_t)pg.size)
        return; /* nobody begins that */
    pg_imports_lock();
    pg_exports_lock();
    pthread_mutex_lock(&recount.lock);
    if (round > atomic_load(&pg_recount_round)) {
        record_locked(round);
        atomic_fetch_add(&recount.turn, 1);
        atomic_store(&pg_recount_round, round);
    }
    pthread_mutex_unlock(&recount.lock);
    pg_exports_unlock();
    pg_imports_unlock();
    hurry();
}

void pg_recount_sending_over(void)
{
    unsigned turn = atomic_load(&recount.turn);

    if (atomic_fetch_sub(&pg_recount_drafts, 1) > 1 || !atomic_load(&recount.drafts_awaited))
        return;
    atomic_store(&recount.free_of_drafts, turn);
    hurry();
}

/* True if weight that was taken before this rank joined may be in no message and in no table; then
 * tend() is called again when that is over. */
static bool has_drafts(void)
{
    unsigned turn = atomic_load(&recount.turn);

    atomic_store(&recount.drafts_awaited, true);
    if (atomic_load(&pg_recount_drafts) > 0 && atomic_load(&recount.free_of_drafts) != turn)
        return true;
    atomic_store(&recount.free_of_drafts, turn);
    atomic_store(&recount.drafts_awaited, false);
    return false;
}

void pg_recount_late(int source, int owner, uint64_t id, uint64_t weight)
{
    pthread_mutex_lock(&recount.lock);
    pg_record_late(&recount.record, source, owner, id, weight);
    pthread_mutex_unlock(&recount.lock);
    /* The progress thread sees it at the next wave: a caller that holds locks wakes nobody. */
}

/* ---- the tree of the survivors ---- */

/* Sends `note` to each child; *count: how many there are. False if it has to be done again. */
static bool tell_children(const note_t *note, size_t *count)
{
    gas_am_t am = {.handler = PG_HANDLER_RECOUNT, .header = note, .header_length = sizeof(*note)};
    int64_t place = pg_survivors_place(&recount.survivors, pg.rank);

    *count = 0;
    /* Children add a bit below the lowest one that is set. */
    for (int64_t bit = 1; bit < pg.size && (place & bit) == 0; bit <<= 1) {
        int child =
            place + bit < pg.size ? pg_survivors_at(&recount.survivors, (int)(place + bit)) : -1;

        if (child < 0)
            break;
        ++*count;
        if (gas_am_send(pg.job, child, &am, NULL, NULL) == GAS_ERR_NO_MEMORY)
            return false;
    }
    return true;
}

/* False if it has to be done again. */
static bool tell_parent(const note_t *note)
{
    gas_am_t am = {.handler = PG_HANDLER_RECOUNT, .header = note, .header_length = sizeof(*note)};
    int place = pg_survivors_place(&recount.survivors, pg.rank);

    return gas_am_send(pg.job, pg_survivors_at(&recount.survivors, place & (place - 1)), &am, NULL,
                       NULL) != GAS_ERR_NO_MEMORY;
}

/* ---- what the progress thread does ---- */

static int by_owner(const void *one, const void *two)
{
    return ((const pg_holding_t *)one)->owner - ((const pg_holding_t *)two)->owner;
}

/* Takes the rows to the owner of the last holding out of those not told yet. */
static size_t take_rows(pg_holding_t *holdings, size_t *count, row_t *rows, int *owner)
{
    size_t used = 0;

    *owner = holdings[*count - 1].owner;
    while (*count > 0 && holdings[*count - 1].owner == *owner && used < ROWS_MOST) {
        --*count;
        rows[used++] = (row_t){holdings[*count].id, holdings[*count].weight};
    }
    return used;
}

static void note_unsent(uint32_t round, const row_t *rows, size_t count, int owner)
{
    pthread_mutex_lock(&recount.lock);
    if (atomic_load(&pg_recount_round) == round && pg_record_is_open(&recount.record)) {
        recount.not_acknowledged--;
        for (size_t i = 0; i < count; i++)
            pg_record_hold(&recount.record, &(pg_holding_t){rows[i].id, rows[i].weight, owner});
    }
    pthread_mutex_unlock(&recount.lock);
}

/* Tells the owners what is held. False if it has to be done again. */
static bool tell_owners(uint32_t round)
{
    static row_t rows[ROWS_MOST]; /* the progress thread's */
    note_t note = {.kind = ROWS, .round = round};
    pg_holding_t *holdings;
    size_t left;
    bool told = true;

    pthread_mutex_lock(&recount.lock);
    holdings = pg_record_take_holdings(&recount.record, &left);
    pthread_mutex_unlock(&recount.lock);
    if (left > 0)
        qsort(holdings, left, sizeof(*holdings), by_owner);
    while (left > 0) {
        int owner;
        size_t count = take_rows(holdings, &left, rows, &owner);
        gas_am_t am = {.handler = PG_HANDLER_RECOUNT,
                       .header = &note,
                       .header_length = sizeof(note),
                       .data = rows,
                       .data_length = count * sizeof(*rows)};

        if (recount.survivors.dead[owner])
            continue;
        pthread_mutex_lock(&recount.lock);
        recount.not_acknowledged++;
        pthread_mutex_unlock(&recount.lock);
        if (gas_am_send(pg.job, owner, &am, NULL, NULL) == GAS_ERR_NO_MEMORY) {
            note_unsent(round, rows, count, owner);
            told = false;
        }
    }
    free(holdings);
    return told;
}

/* The answer to the wave that was passed on; false if it cannot be given yet: *more if something
 * has to be told to owners first. */
static bool make_answer(uint32_t round, note_t *note, bool *more)
{
    bool settled = !has_drafts(), ready;

    pthread_mutex_lock(&recount.lock);
    ready = settled && recount.answered < recount.passed_on && recount.children_left == 0 &&
            recount.not_acknowledged == 0 && recount.record.holding_count == 0;
    *more = recount.record.holding_count > 0;
    if (ready) {
        recount.answered = recount.passed_on;
        *note = (note_t){.kind = ANSWER,
                         .round = round,
                         .wave = recount.answered,
                         .broken = recount.record.broken || recount.children_broken,
                         .missing = recount.missing +
                                    pg_record_missing(&recount.record, recount.survivors.dead)};
    }
    pthread_mutex_unlock(&recount.lock);
    return ready;
}

/* The root has the answers of all. */
static void decide(const note_t *answer)
{
    recount.pause = recount.pause == 0 ? WAVE_NS : recount.pause * 2;
    if (recount.pause > WAVE_MOST_NS)
        recount.pause = WAVE_MOST_NS;
    recount.next_at = gas_clock_now() + recount.pause;
    recount.again = answer->broken != 0;
    pthread_mutex_lock(&recount.lock);
    if (!answer->broken && answer->missing == 0) {
        recount.apply = true;
        recount.next_at = 0;
    } else if (!answer->broken) {
        recount.asked++; /* step() waits until next_at before it passes this on */
    }
    pthread_mutex_unlock(&recount.lock);
}

/* Subtracts what is lost. */
static void apply(uint32_t round)
{
    pg_claim_t *claims;
    size_t count;

    pthread_mutex_lock(&recount.lock);
    claims = pg_record_close(&recount.record, &count);
    recount.apply = false;
    pthread_mutex_unlock(&recount.lock);
    for (size_t i = 0; i < count; i++)
        if (claims[i].weight > claims[i].explained)
            pg_exports_lose(claims[i].id, claims[i].weight - claims[i].explained);
    free(claims);
    atomic_store(&recount.done_failures, failures_of(round));
}

/* Passes the last wave on, if that is due. False if it has to be done again. */
static bool pass_on(uint32_t round)
{
    note_t note = {.kind = ASK, .round = round};
    size_t children;
    bool due;

    pthread_mutex_lock(&recount.lock);
    note.wave = recount.asked;
    due = recount.asked > recount.passed_on;
    if (recount.asked > recount.opened) {
        recount.opened = recount.asked;
        recount.missing = 0;
        recount.children_broken = false;
        recount.children_left = SIZE_MAX / 2; /* until it is known how many there are */
    }
    pthread_mutex_unlock(&recount.lock);
    if (!due)
        return true;
    if (!tell_children(&note, &children))
        return false;
    pthread_mutex_lock(&recount.lock);
    if (recount.asked == note.wave && atomic_load(&pg_recount_round) == round) {
        recount.children_left -= SIZE_MAX / 2 - children;
        recount.passed_on = note.wave;
    }
    pthread_mutex_unlock(&recount.lock);
    return true;
}

/* Says to the children that the round is complete, and acts on it. False: again. */
static bool conclude(uint32_t round)
{
    note_t note = {.kind = APPLY, .round = round};
    size_t children;

    if (!tell_children(&note, &children))
        return false;
    apply(round);
    return true;
}

/* The root of the survivors begins a round for failures that none has been begun for. */
static void begin_if_due(uint32_t known)
{
    uint32_t round = atomic_load(&pg_recount_round);

    if (failures_of(round) > known || (failures_of(round) == known && !recount.again))
        return;
    if (!recount.again)
        recount.pause = 0;
    recount.again = false;
    recount.next_at = 0;
    round = failures_of(round) == known ? round + 1 : known << ATTEMPT_BITS;
    if (failures_of(round) != known)
        return; /* that often it has been tried */
    pg_recount_join(round);
    pthread_mutex_lock(&recount.lock);
    recount.asked = 1;
    pthread_mutex_unlock(&recount.lock);
}

/* One step. Returns for how long nothing can be done. */
static uint64_t step(void)
{
    bool is_root, open, complete, more;
    uint32_t known, round;
    note_t answer;

    pg_survivors_update(&recount.survivors, SIZE_MAX);
    known = recount.survivors.failures;
    is_root = pg_survivors_at(&recount.survivors, 0) == pg.rank;
    if (is_root && recount.next_at != 0) {
        uint64_t left = gas_clock_left(recount.next_at);

        if (left > 0 && failures_of(atomic_load(&pg_recount_round)) == known)
            return left;
        recount.next_at = 0;
    }
    if (is_root)
        begin_if_due(known);
    round = atomic_load(&pg_recount_round);
    if (failures_of(round) != known)
        return GAS_FOREVER; /* one of us learns of it soon */
    pthread_mutex_lock(&recount.lock);
    open = pg_record_is_open(&recount.record) || recount.record.broken;
    complete = recount.apply;
    pthread_mutex_unlock(&recount.lock);
    if (!open)
        return GAS_FOREVER;
    if (complete)
        return conclude(round) ? GAS_FOREVER : WAVE_NS;
    if (!pass_on(round) || !tell_owners(round))
        return WAVE_NS;
    if (!make_answer(round, &answer, &more))
        return more ? 0 : GAS_FOREVER;
    if (is_root) {
        decide(&answer);
        return 0;
    }
    if (tell_parent(&answer))
        return GAS_FOREVER;
    pthread_mutex_lock(&recount.lock);
    recount.answered = answer.wave - 1;
    pthread_mutex_unlock(&recount.lock);
    return WAVE_NS;
}

uint64_t pg_recount_tend(void)
{
    uint64_t wait = 0;

    if (!atomic_load(&recount.pending))
        return GAS_FOREVER;
    atomic_store(&recount.pending, false);
    while (wait == 0)
        wait = step();
    if (wait != GAS_FOREVER)
        atomic_store(&recount.pending, true);
    return wait;
}

/* ---- messages ---- */

static void answer_arrived(const note_t *note)
{
    if (note->wave != recount.asked)
        return;
    recount.children_left--;
    recount.missing += note->missing;
    recount.children_broken |= note->broken != 0;
}

static void rows_arrived(gas_job_t *job, const gas_msg_t *msg, uint32_t round)
{
    note_t have = {.kind = HAVE, .round = round};
    gas_am_t am = {.handler = PG_HANDLER_RECOUNT, .header = &have, .header_length = sizeof(have)};

    pthread_mutex_lock(&recount.lock);
    for (size_t i = 0; i < msg->data_length / sizeof(row_t); i++) {
        row_t row;

        memcpy(&row, (const char *)msg->data + i * sizeof(row), sizeof(row));
        pg_record_explain(&recount.record, row.id, row.weight);
    }
    pthread_mutex_unlock(&recount.lock);
    gas_am_send(job, msg->source, &am, NULL, NULL);
}

void pg_recount_arrived(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    note_t note;

    (void)arg;
    if (msg->header_length != sizeof(note) || msg->data_length % sizeof(row_t) != 0) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    memcpy(&note, msg->header, sizeof(note));
    pg_recount_see(note.round);
    if (note.kind == ROWS && note.round == atomic_load(&pg_recount_round))
        rows_arrived(job, msg, note.round);
    pthread_mutex_lock(&recount.lock);
    if (note.round == atomic_load(&pg_recount_round)) { /* else it has been given up */
        if (note.kind == ASK && note.wave > recount.asked)
            recount.asked = note.wave;
        else if (note.kind == ANSWER)
            answer_arrived(&note);
        else if (note.kind == HAVE && recount.not_acknowledged > 0)
            recount.not_acknowledged--;
        else if (note.kind == APPLY)
            recount.apply = true;
    }
    pthread_mutex_unlock(&recount.lock);
    gas_msg_free(job, msg);
    hurry();
}

/* ---- the interface ---- */

bool pg_recount_init(void)
{
    return pg_record_init(&recount.record) && pg_survivors_init(&recount.survivors);
}

void pg_recount_clear(void)
{
    pthread_mutex_lock(&recount.lock);
    pg_record_forget(&recount.record);
    pthread_mutex_unlock(&recount.lock);
}

void pg_recount_rank_failed(void)
{
    hurry();
}

bool pg_recount_is_done(void)
{
    return atomic_load(&recount.done_failures) >= gas_failure_count(pg.job);
}

void pg_recount_after_fork(void)
{
    pthread_mutex_init(&recount.lock, NULL);
}
