/* A peer that is killed: its buffers, and what is on its way to it. */
#include "../../testing/check.h"
#include "../../testing/cpu.h"
#include "../../testing/notes.h"
#include "../../testing/onesided.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEEP = GAS_HANDLER_USER };

#define LENGTH (32u << 20)
#define SENDS 3000 /* more than a peer's queue takes */

static gas_handler_t handlers[GAS_HANDLER_MAX];
static gas_msg_t *kept;

static void keep(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    if (msg->bulk_count > 0)
        kept = msg;
    else
        gas_msg_free(job, msg);
}

static void pause_ms(gas_job_t *job, unsigned ms)
{
    uint64_t end = gas_clock_now() + ms * 1000000u;

    while (gas_clock_left(end) > 0)
        gas_wait(job, NULL, end, 0);
}

static void await_failure(gas_job_t *job, int rank)
{
    uint64_t deadline = deadline_in(10);

    while (!gas_rank_has_failed(job, rank)) {
        CHECK(gas_clock_left(deadline) > 0);
        pause_ms(job, 1);
    }
}

static void send_large(gas_job_t *job, int to, char *memory, outcome_t *outcome)
{
    gas_iov_t bulk = {memory, LENGTH};
    gas_am_t am = {.handler = KEEP, .bulk = &bulk, .bulk_count = 1};

    outcome_init(outcome);
    CHECK(gas_am_send(job, to, &am, outcome_set, outcome) == GAS_OK);
}

/* Rank 1 announces a large buffer and is killed `after_ms` later, before or while it is fetched. */
static int after_ms;
static bool connected; /* rank 0 has sent something to rank 1, too */

static void announcer_body(gas_job_t *job)
{
    gas_am_t small = {.handler = KEEP};
    char *memory = malloc(LENGTH);
    void *landing = memory;
    outcome_t outcome;

    memset(memory, 1, LENGTH);
    if (connected)
        CHECK(gas_am_send(job, 1 - gas_job_rank(job), &small, NULL, NULL) == GAS_OK);
    ranks_barrier(job);
    if (gas_job_rank(job) == 1) {
        send_large(job, 0, memory, &outcome);
        pause_ms(job, (unsigned)after_ms);
        raise(SIGKILL);
    }
    while (kept == NULL && !gas_rank_has_failed(job, 1))
        pause_ms(job, 1);
    if (kept == NULL) { /* it died before the announcement had left it */
        free(memory);
        return;
    }
    if (after_ms == 20)
        usleep(200000); /* not looking, so as to find the peer dead before being told */
    outcome_init(&outcome);
    CHECK(gas_msg_receive(job, kept, &landing, outcome_set, &outcome) == GAS_OK);
    outcome_await(job, &outcome);
    if (after_ms == 20)
        CHECK(outcome.status == GAS_ERR_TRANSPORT || outcome.status == GAS_ERR_RANK_FAILED);
    await_failure(job, 1);
    gas_msg_free(job, kept);
    free(memory);
}

static void test_announcer_dies(void)
{
    handlers[KEEP].run = keep;
    for (int i = 0; i < 8; i++) {
        static const int delays[] = {20, 0, 1, 2};

        after_ms = delays[i / 2];
        connected = i % 2 == 1;
        kept = NULL;
        CHECK(ranks_run_failing(2, handlers, announcer_body, 1));
    }
}

/* Rank 1 stops reading; rank 0 fills its queue, with buffers in between, and goes on without it. */
static void receiver_body(gas_job_t *job)
{
    char bytes[4000] = {0}, *memory = calloc(1, LENGTH);
    gas_am_t small = {.handler = KEEP, .data = bytes, .data_length = sizeof(bytes)};
    outcome_t first, last;
    bool cheap = false;
    double before;

    ranks_barrier(job);
    if (gas_job_rank(job) == 1) {
        gas_job_lock(job); /* so that the progress thread does not read either */
        usleep(300000);
        raise(SIGKILL);
    }
    if (gas_job_rank(job) == 0) {
        send_large(job, 1, memory, &first);
        for (int i = 0; i < SENDS; i++)
            CHECK(gas_am_send(job, 1, &small, NULL, NULL) == GAS_OK);
        send_large(job, 1, memory, &last);
        CHECK(job->conduit->ops->backlog(job->conduit) > 0);
        CHECK(outcome_await(job, &first) == GAS_ERR_RANK_FAILED);
        CHECK(outcome_await(job, &last) == GAS_ERR_RANK_FAILED);
        CHECK(job->conduit->ops->backlog(job->conduit) == 0);
        CHECK(job->conduit->ops->outstanding(job->conduit) == 0);
        CHECK(gas_am_send(job, 1, &small, NULL, NULL) == GAS_ERR_RANK_FAILED);
        CHECK(gas_am_send(job, 2, &small, NULL, NULL) == GAS_OK);
        for (int i = 0; i < 3 && !cheap; i++) { /* the machine may have its own troubles once */
            before = cpu_seconds();
            pause_ms(job, 500);
            cheap = cpu_within(before, 0.1, "0.5 s of waiting");
        }
        CHECK(cheap);
    } else {
        await_failure(job, 1);
    }
    free(memory);
}

static void test_receiver_dies(void)
{
    CHECK(ranks_run_failing(3, handlers, receiver_body, 1));
}

int main(void)
{
    handlers[KEEP].run = keep;
    RUN(test_announcer_dies);
    RUN(test_receiver_dies);
    return 0;
}
