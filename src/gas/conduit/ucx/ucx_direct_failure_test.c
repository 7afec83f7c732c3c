/* Large buffers that are being read when their sender or receiver is killed, or cannot be read any
 * more; and offers of them that are nonsense. */
#include "../../testing/check.h"
#include "../../testing/parcels.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include "ucx.h"
#include "ucx_wire.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define LARGE (32 * MIB)

static ucx_conduit_t *conduit_of(gas_job_t *job)
{
    return (ucx_conduit_t *)job->conduit;
}

static void poll_times(gas_job_t *job, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        job->conduit->ops->poll(job->conduit);
}

static void await_failure(gas_job_t *job, int rank)
{
    uint64_t deadline = deadline_in(20);

    while (!gas_rank_has_failed(job, rank) && gas_clock_left(deadline) > 0)
        gas_wait(job, NULL, gas_clock_now() + 1000000, 0);
    CHECK(gas_rank_has_failed(job, rank));
}

/* Nothing of this rank is on its way. */
static bool is_quiet(gas_job_t *job)
{
    bool quiet;

    gas_job_lock(job);
    quiet = conduit_of(job)->reads.first == NULL && conduit_of(job)->wanted.first == NULL &&
            job->conduit->ops->outstanding(job->conduit) == 0;
    gas_job_unlock(job);
    return quiet;
}

/* ---- the sender is killed ---- */

/* Until the memory of the process is gone. */
static void await_end(pid_t pid)
{
    uint64_t number = 0;
    struct iovec here = {&number, sizeof(number)}, there = {&number, sizeof(number)};

    AWAIT(process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 && errno == ESRCH);
}

/* Rank 1 is killed when three pieces have been read, of its buffer or its copy of it. Rank 0
 * notices it before it is told; then it hears from rank 2. */
static bool settled;

static void die_midway(gas_job_t *job)
{
    parcel_sent_t sent;

    parcel_send(job, 0, PARCEL_KEEP, 1, 1, LARGE, settled, &sent);
    if (settled)
        CHECK(gas_bulk_settle(job) == GAS_OK);
    step_set((int)getpid());
    step_await(0);
    raise(SIGKILL);
}

static void see_it_die(gas_job_t *job)
{
    pid_t pid;
    parcel_t *parcel;

    gas_job_lock(job); /* so that the progress thread does not read either */
    parcel = parcel_poll_for(job, 0);
    AWAIT(step_get() != 0);
    pid = (pid_t)step_get();
    parcel_receive(parcel);
    poll_times(job, 3);
    CHECK(conduit_of(job)->reads.first != NULL);
    CHECK(conduit_of(job)->peers[1].memory_seen == UCX_MEMORY_OPEN);
    step_set(0);
    await_end(pid);
    poll_times(job, 3);
    CHECK(conduit_of(job)->reads.first == NULL);
    CHECK(conduit_of(job)->peers[1].memory_seen == UCX_MEMORY_OPEN);
    gas_job_unlock(job);
    CHECK(outcome_await(job, &parcel->outcome) == GAS_ERR_RANK_FAILED);
    parcel_free(parcel);
}

static void sender_body(gas_job_t *job)
{
    parcel_sent_t sent;

    if (gas_job_rank(job) == 1)
        die_midway(job);
    if (gas_job_rank(job) == 0) {
        see_it_die(job);
        parcel_check(parcel_await(job, 1));
        CHECK(is_quiet(job));
    } else {
        await_failure(job, 1);
        parcel_send(job, 0, PARCEL_LAND, 2, 1, LARGE, false, &sent);
        parcel_await_sent(job, &sent);
    }
}

static void test_sender_is_killed(void)
{
    for (int i = 0; i < 2; i++) {
        settled = i == 1;
        step_reset();
        CHECK(ranks_run_failing(3, parcel_handlers, sender_body, 1));
    }
}

/* The same at any moment, with several from it and from another on their way. */
static int delay_ms;

static void sometime_body(gas_job_t *job)
{
    enum { EACH = 3 };
    parcel_sent_t sent[EACH];
    unsigned there = 0;

    if (gas_job_rank(job) > 0) {
        for (uint32_t i = 0; i < EACH; i++)
            parcel_send(job, 0, PARCEL_LAND, i + 10u * (uint32_t)gas_job_rank(job), 1, LARGE, false,
                        &sent[i]);
        if (gas_job_rank(job) == 1) {
            usleep((useconds_t)delay_ms * 1000);
            raise(SIGKILL);
        }
        for (uint32_t i = 0; i < EACH; i++)
            parcel_await_sent(job, &sent[i]);
        return;
    }
    await_failure(job, 1);
    for (unsigned i = 0; there < EACH; i++) {
        parcel_t *parcel = parcel_await(job, i);
        gas_status_t status = outcome_await(job, &parcel->outcome);

        there += parcel->seed >= 20;
        CHECK(status == GAS_OK || parcel->seed < 20);
        CHECK(status != GAS_OK || parcel_is(parcel, parcel->seed));
        parcel_free(parcel);
    }
}

static void test_sender_is_killed_at_any_moment(void)
{
    for (delay_ms = 0; delay_ms < 24; delay_ms += 2)
        CHECK(ranks_run_failing(3, parcel_handlers, sometime_body, 1));
}

/* ---- the receiver is killed ---- */

static void receiver_body(gas_job_t *job)
{
    parcel_sent_t sent;
    parcel_t *parcel;

    if (gas_job_rank(job) == 0) {
        parcel_send(job, 1, PARCEL_KEEP, 1, 1, LARGE, true, &sent);
        CHECK(outcome_await(job, &sent.outcome) == GAS_ERR_RANK_FAILED);
        CHECK(gas_bulk_is_settled(job) && is_quiet(job));
        free(sent.memory);
        return;
    }
    gas_job_lock(job);
    parcel = parcel_poll_for(job, 0);
    parcel_receive(parcel);
    poll_times(job, 3);
    raise(SIGKILL);
}

static void test_receiver_is_killed(void)
{
    CHECK(ranks_run_failing(2, parcel_handlers, receiver_body, 1));
}

/* ---- memory that cannot be read ---- */

/* The second half of the buffer cannot be read for a while, by anybody. What has been read does not
 * help: it comes by rendezvous, as does what follows. */
static void close_half(gas_job_t *job)
{
    char *memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t seed = 1;
    gas_iov_t bulk = {memory, LARGE};
    gas_am_t am = {.handler = PARCEL_KEEP,
                   .header = &seed,
                   .header_length = sizeof(seed),
                   .bulk = &bulk,
                   .bulk_count = 1};
    outcome_t outcome;

    CHECK(memory != MAP_FAILED);
    parcel_fill(memory, LARGE, seed);
    outcome_init(&outcome);
    CHECK(gas_am_send(job, 1, &am, outcome_set, &outcome) == GAS_OK);
    gas_job_lock(job); /* nothing is sent of it now */
    CHECK(mprotect(memory + LARGE / 2, LARGE / 2, PROT_NONE) == 0);
    step_set(1);
    step_await(2);
    CHECK(mprotect(memory + LARGE / 2, LARGE / 2, PROT_READ) == 0);
    CHECK(conduit_of(job)->rendezvous == 0);
    gas_job_unlock(job);
    CHECK(outcome_await(job, &outcome) == GAS_OK);
    munmap(memory, LARGE);
}

static void closed_body(gas_job_t *job)
{
    parcel_sent_t sent;
    parcel_t *parcel;

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        close_half(job);
        parcel_send(job, 1, PARCEL_LAND, 2, 2, 3 * MIB, true, &sent);
        parcel_await_sent(job, &sent);
        gas_job_lock(job);
        CHECK(conduit_of(job)->rendezvous == 3);
        gas_job_unlock(job);
    } else {
        step_await(1);
        gas_job_lock(job);
        parcel = parcel_poll_for(job, 0);
        parcel_receive(parcel);
        poll_times(job, 100); /* pieces */
        CHECK(conduit_of(job)->reads.first == NULL && conduit_of(job)->wanted.first != NULL);
        CHECK(conduit_of(job)->peers[0].memory_seen == UCX_MEMORY_CLOSED);
        gas_job_unlock(job);
        step_set(2);
        parcel_check(parcel);
        parcel_check(parcel_await(job, 1));
        CHECK(is_quiet(job));
    }
    ranks_barrier(job);
}

static void test_memory_that_cannot_be_read(void)
{
    step_reset();
    CHECK(ranks_run(2, parcel_handlers, closed_body));
}

/* ---- nonsense ---- */

/* Heads that speak of an offer that there is not; the memory they point at is the sender's. */
static uint64_t fake_memory[2 * MIB / sizeof(uint64_t)];
#define FAKE_PROOF UINT64_C(0x1234567890)
#define FAKE_MOVED UCX_PROOF_MOVED(FAKE_PROOF)
#define HERE 2 /* as an address: that of `fake_memory` */
#define NOWHERE 8

/* What `fake_memory` has, as the random number and then a gas_iov_t; and what the head says. */
static const struct nonsense {
    uint64_t proof, copy, length;
    uint64_t proof_at, place;
    uint32_t places;
    int32_t pid; /* -1: the sender's */
} nonsense[] = {
    {0, 0, 0, HERE, HERE, 8, -1},                      /* another number */
    {FAKE_MOVED, NOWHERE, 2 * MIB, HERE, HERE, 8, -1}, /* copies that are nowhere */
    {FAKE_MOVED, HERE, 1, HERE, HERE, 8, -1},          /* of another length */
    {FAKE_MOVED, 0, 0, HERE, HERE, UINT32_MAX, -1},    /* places that are nowhere */
    {FAKE_PROOF, 0, 0, HERE, HERE, 8, 0},              /* no process */
    {FAKE_PROOF, 0, 0, HERE, HERE, 8, INT32_MAX},      /* another that there is not */
    {FAKE_PROOF, 0, 0, NOWHERE, HERE, 8, -1},          /* a number that is nowhere */
    {FAKE_PROOF, 0, 0, HERE, NOWHERE, 8, -1},          /* a buffer that is nowhere */
};
enum { NONSENSE = sizeof(nonsense) / sizeof(nonsense[0]) };

static uint64_t address(uint64_t what)
{
    return what == HERE ? (uintptr_t)fake_memory : what;
}

static void send_nonsense(gas_job_t *job, const struct nonsense *what)
{
    uint32_t seed = 1;
    wire_head_t head = {.source = (uint32_t)gas_job_rank(job),
                        .handler = PARCEL_KEEP,
                        .header_length = sizeof(seed),
                        .bulk_count = 1,
                        .direct = true};
    wire_direct_t direct = {.pid = what->pid < 0 ? getpid() : what->pid,
                            .places = what->places,
                            .proof_at = address(what->proof_at),
                            .proof = FAKE_PROOF};
    wire_place_t place = {.at = address(what->place), .length = 2 * MIB};
    char bytes[WIRE_HEAD_MAX + sizeof(seed) + sizeof(direct) + sizeof(place)], *at = bytes;

    fake_memory[0] = what->proof;
    fake_memory[1] = address(what->copy);
    fake_memory[2] = what->length;
    gas_job_lock(job);
    head.id = (uint32_t)conduit_of(job)->peers[0].sent++;
    at += wire_head_put(&head, at);
    at = (char *)memcpy(at, &seed, sizeof(seed)) + sizeof(seed);
    at = (char *)memcpy(at, &direct, sizeof(direct)) + sizeof(direct);
    at = (char *)memcpy(at, &place, sizeof(place)) + sizeof(place);
    CHECK(ucx_send_bytes(conduit_of(job), 0, AM_HEAD, bytes, (size_t)(at - bytes)) == GAS_OK);
    gas_job_unlock(job);
}

/* What is asked for then never comes, until the sender has failed. */
static void nonsense_body(gas_job_t *job)
{
    parcel_t *parcels[NONSENSE];

    if (gas_job_rank(job) == 1) {
        for (int i = 0; i < NONSENSE; i++) {
            send_nonsense(job, &nonsense[i]);
            step_await(i + 1);
        }
        raise(SIGKILL);
    }
    for (int i = 0; i < NONSENSE; i++) {
        parcels[i] = parcel_await(job, (unsigned)i);
        gas_job_lock(job);
        atomic_store(&conduit_of(job)->peers[1].memory_seen, UCX_MEMORY_UNKNOWN);
        parcel_receive(parcels[i]);
        poll_times(job, 100);
        CHECK(conduit_of(job)->reads.first == NULL);
        CHECK(conduit_of(job)->peers[1].memory_seen == UCX_MEMORY_CLOSED);
        gas_job_unlock(job);
        step_set(i + 1);
    }
    for (int i = 0; i < NONSENSE; i++) {
        CHECK(outcome_await(job, &parcels[i]->outcome) == GAS_ERR_RANK_FAILED);
        parcel_free(parcels[i]);
    }
    CHECK(is_quiet(job));
}

static void test_nonsense(void)
{
    step_reset();
    CHECK(ranks_run_failing(2, parcel_handlers, nonsense_body, 1));
}

int main(void)
{
    RUN(test_sender_is_killed);
    RUN(test_sender_is_killed_at_any_moment);
    RUN(test_receiver_is_killed);
    RUN(test_memory_that_cannot_be_read);
    RUN(test_nonsense);
    return 0;
}
