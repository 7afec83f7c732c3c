#include "onesided.h"

#include "check.h"
#include "patience.h"

#include <string.h>

void outcome_init(outcome_t *outcome)
{
    gas_event_init(&outcome->event);
    outcome->status = GAS_OK;
}

void outcome_set(void *arg, gas_status_t status)
{
    outcome_t *outcome = arg;

    outcome->status = status;
    gas_event_set(&outcome->event);
}

gas_status_t outcome_await(gas_job_t *job, outcome_t *outcome)
{
    uint64_t deadline = deadline_in(20);
    gas_status_t status;

    do
        status = gas_wait(job, &outcome->event, deadline, 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK);
    return outcome->status;
}

void put_at(gas_job_t *job, int rank, size_t offset, const void *source, size_t length)
{
    outcome_t outcome;

    outcome_init(&outcome);
    CHECK(gas_put(job, rank, offset, source, length, outcome_set, &outcome) == GAS_OK);
    CHECK(outcome_await(job, &outcome) == GAS_OK);
}

void get_at(gas_job_t *job, int rank, size_t offset, void *landing, size_t length)
{
    outcome_t outcome;

    outcome_init(&outcome);
    CHECK(gas_get(job, rank, offset, landing, length, outcome_set, &outcome) == GAS_OK);
    CHECK(outcome_await(job, &outcome) == GAS_OK);
}

void flush_all(gas_job_t *job)
{
    outcome_t outcome;

    outcome_init(&outcome);
    CHECK(gas_flush(job, outcome_set, &outcome) == GAS_OK);
    CHECK(outcome_await(job, &outcome) == GAS_OK);
}

gas_number_t atomic_at(gas_job_t *job, int rank, size_t offset, gas_atomic_t atomic)
{
    gas_number_t before = {0};
    outcome_t outcome;

    outcome_init(&outcome);
    CHECK(gas_atomic(job, rank, offset, &atomic, &before, outcome_set, &outcome) == GAS_OK);
    CHECK(outcome_await(job, &outcome) == GAS_OK);
    return before;
}

/* ---- contention ---- */

enum {
    AT_ADD32 = 0,
    AT_ADD64 = 8,
    AT_DOUBLE = 16,
    AT_XOR = 24,
    AT_OR = 32,
    AT_AND = 40,
    AT_CAS = 48,
    AT_SWAP = 56,
    AT_CAS32 = 64,
    AT_END = 72
};

static gas_number_t u64_at(gas_job_t *job, size_t offset, gas_atomic_kind_t kind, uint64_t operand)
{
    return atomic_at(job, 0, offset,
                     (gas_atomic_t){.kind = kind, .type = GAS_ATOMIC_U64, .operand.u64 = operand});
}

/* Adds 1 by compare-and-swap. */
static void cas_add(gas_job_t *job, size_t offset, gas_atomic_type_t type)
{
    gas_atomic_t cas = {.kind = GAS_ATOMIC_COMPARE_SWAP, .type = type};
    gas_number_t before;

    for (;;) {
        cas.operand.u64 = cas.compare.u64;
        if (type == GAS_ATOMIC_U32)
            cas.operand.u32++;
        else
            cas.operand.u64++;
        before = atomic_at(job, 0, offset, cas);
        if (before.u64 == cas.compare.u64)
            return;
        cas.compare = before;
    }
}

static void contend_once(gas_job_t *job, unsigned i, uint64_t *seen, uint64_t *swapped)
{
    uint64_t rank = (uint64_t)gas_job_rank(job), bit = 1ull << (rank * 8 + i % 8);

    *seen += u64_at(job, AT_ADD64, GAS_ATOMIC_ADD, 3).u64 % 3 != 0;
    atomic_at(job, 0, AT_ADD32,
              (gas_atomic_t){
                  .kind = GAS_ATOMIC_ADD, .type = GAS_ATOMIC_U32, .operand.u32 = (uint32_t)-1});
    atomic_at(
        job, 0, AT_DOUBLE,
        (gas_atomic_t){.kind = GAS_ATOMIC_ADD, .type = GAS_ATOMIC_DOUBLE, .operand.f64 = 0.25});
    u64_at(job, AT_XOR, GAS_ATOMIC_XOR, bit);
    u64_at(job, AT_OR, GAS_ATOMIC_OR, bit);
    u64_at(job, AT_AND, GAS_ATOMIC_AND, ~bit);
    cas_add(job, AT_CAS, GAS_ATOMIC_U64);
    cas_add(job, AT_CAS32, GAS_ATOMIC_U32);
    *swapped += u64_at(job, AT_SWAP, GAS_ATOMIC_SWAP, rank * 1000000 + i + 1).u64;
}

void contend_atomics(gas_job_t *job, unsigned times, void (*barrier)(gas_job_t *job))
{
    uint64_t size = (uint64_t)gas_job_size(job), all = times * size, seen = 0, swapped = 0;
    uint64_t mask = size == 8 ? UINT64_MAX : (1ull << size * 8) - 1, in = 0;

    if (gas_job_rank(job) == 0)
        u64_at(job, AT_AND, GAS_ATOMIC_STORE, UINT64_MAX);
    barrier(job);
    for (unsigned i = 0; i < times; i++)
        contend_once(job, i, &seen, &swapped);
    CHECK(seen == 0);
    barrier(job);
    CHECK(u64_at(job, AT_ADD64, GAS_ATOMIC_LOAD, 0).u64 == 3 * all);
    CHECK(u64_at(job, AT_ADD32, GAS_ATOMIC_LOAD, 0).u64 == (uint32_t)-all);
    CHECK(u64_at(job, AT_DOUBLE, GAS_ATOMIC_LOAD, 0).f64 == 0.25 * (double)all);
    CHECK(u64_at(job, AT_XOR, GAS_ATOMIC_LOAD, 0).u64 == (times / 8 % 2 ? mask : 0));
    CHECK(u64_at(job, AT_OR, GAS_ATOMIC_LOAD, 0).u64 == mask);
    CHECK(u64_at(job, AT_AND, GAS_ATOMIC_LOAD, 0).u64 == ~mask);
    CHECK(u64_at(job, AT_CAS, GAS_ATOMIC_LOAD, 0).u64 == all);
    CHECK(u64_at(job, AT_CAS32, GAS_ATOMIC_LOAD, 0).u64 == all);
    /* What was swapped out, and what is left, is what was swapped in. */
    u64_at(job, AT_END, GAS_ATOMIC_ADD, swapped);
    barrier(job);
    for (uint64_t rank = 0; rank < size; rank++)
        in += rank * 1000000 * times + (uint64_t)times * (times + 1) / 2;
    CHECK(u64_at(job, AT_END, GAS_ATOMIC_LOAD, 0).u64 +
              u64_at(job, AT_SWAP, GAS_ATOMIC_LOAD, 0).u64 ==
          in);
    barrier(job);
}
