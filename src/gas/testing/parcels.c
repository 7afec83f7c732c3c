#include "parcels.h"

#include "check.h"
#include "patience.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static parcel_t parcels[PARCELS_MAX];
static atomic_uint arrived;
static atomic_int *step;

static uint64_t word(uint32_t seed, size_t i)
{
    return (uint64_t)seed << 40 | i;
}

void parcel_fill(char *memory, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t here = word(seed, i);

        memcpy(memory + i, &here, length - i < sizeof(here) ? length - i : sizeof(here));
    }
}

static bool holds(const char *memory, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t here = word(seed, i);

        if (memcmp(memory + i, &here, length - i < sizeof(here) ? length - i : sizeof(here)) != 0)
            return false;
    }
    return true;
}

/* ---- sending ---- */

void parcel_send(gas_job_t *job, int to, int handler, uint32_t seed, uint32_t count, size_t length,
                 bool changeable, parcel_sent_t *sent)
{
    gas_iov_t bulk[PARCEL_PARTS_MAX];
    gas_am_t am = {.handler = (uint16_t)handler,
                   .header = &seed,
                   .header_length = sizeof(seed),
                   .bulk = bulk,
                   .bulk_count = count,
                   .changeable = changeable};

    CHECK(count <= PARCEL_PARTS_MAX);
    sent->length = count * length;
    sent->memory = malloc(sent->length);
    CHECK(sent->memory != NULL);
    parcel_fill(sent->memory, sent->length, seed);
    for (uint32_t i = 0; i < count; i++)
        bulk[i] = (gas_iov_t){sent->memory + i * length, length};
    outcome_init(&sent->outcome);
    CHECK(gas_am_send(job, to, &am, outcome_set, &sent->outcome) == GAS_OK);
}

void parcel_change(parcel_sent_t *sent, uint32_t seed)
{
    parcel_fill(sent->memory, sent->length, seed);
}

void parcel_await_sent(gas_job_t *job, parcel_sent_t *sent)
{
    CHECK(outcome_await(job, &sent->outcome) == GAS_OK);
    free(sent->memory);
}

/* ---- arrival ---- */

static parcel_t *arrive(gas_job_t *job, gas_msg_t *msg)
{
    unsigned number = atomic_load(&arrived);
    parcel_t *parcel = &parcels[number];

    CHECK(number < PARCELS_MAX && msg->header_length == sizeof(parcel->seed));
    memset(parcel, 0, sizeof(*parcel));
    parcel->job = job;
    parcel->msg = msg;
    memcpy(&parcel->seed, msg->header, sizeof(parcel->seed));
    outcome_init(&parcel->outcome);
    return parcel;
}

static void keep(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    arrive(job, msg);
    atomic_fetch_add(&arrived, 1);
}

static void land(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    parcel_receive(arrive(job, msg));
    atomic_fetch_add(&arrived, 1);
}

static const gas_handler_t handlers[GAS_HANDLER_MAX] = {
    [PARCEL_LAND] = {land, NULL},
    [PARCEL_KEEP] = {keep, NULL},
};
const gas_handler_t *const parcel_handlers = handlers;

parcel_t *parcel_await(gas_job_t *job, unsigned number)
{
    uint64_t deadline = deadline_in(20);

    while (atomic_load(&arrived) <= number && gas_clock_left(deadline) > 0)
        gas_wait(job, NULL, gas_clock_now() + 1000000, 0);
    CHECK(atomic_load(&arrived) > number);
    return &parcels[number];
}

parcel_t *parcel_poll_for(gas_job_t *job, unsigned number)
{
    uint64_t deadline = deadline_in(20);

    while (atomic_load(&arrived) <= number && gas_clock_left(deadline) > 0)
        job->conduit->ops->poll(job->conduit);
    CHECK(atomic_load(&arrived) > number);
    return &parcels[number];
}

/* ---- landing ---- */

static size_t length_of(const parcel_t *parcel)
{
    size_t length = 0;

    for (uint32_t i = 0; i < parcel->msg->bulk_count; i++)
        length += parcel->msg->bulk[i].length;
    return length;
}

void parcel_make_landing(parcel_t *parcel)
{
    char *at = malloc(length_of(parcel));

    CHECK(at != NULL && parcel->msg->bulk_count <= PARCEL_PARTS_MAX);
    parcel->memory = at;
    for (uint32_t i = 0; i < parcel->msg->bulk_count; i++) {
        parcel->parts[i] = at;
        at += parcel->msg->bulk[i].length;
    }
}

void parcel_receive(parcel_t *parcel)
{
    parcel_make_landing(parcel);
    CHECK(gas_msg_receive(parcel->job, parcel->msg, parcel->parts, outcome_set, &parcel->outcome) ==
          GAS_OK);
}

gas_status_t parcel_copy(parcel_t *parcel)
{
    gas_status_t status;

    parcel_make_landing(parcel);
    status = gas_msg_copy(parcel->job, parcel->msg, parcel->parts);
    if (status == GAS_OK) {
        outcome_set(&parcel->outcome, status);
    } else {
        free(parcel->memory);
        parcel->memory = NULL;
    }
    return status;
}

bool parcel_is(const parcel_t *parcel, uint32_t seed)
{
    return holds(parcel->memory, length_of(parcel), seed);
}

void parcel_free(parcel_t *parcel)
{
    free(parcel->memory);
    gas_msg_free(parcel->job, parcel->msg);
}

void parcel_check(parcel_t *parcel)
{
    CHECK(outcome_await(parcel->job, &parcel->outcome) == GAS_OK);
    CHECK(parcel_is(parcel, parcel->seed));
    parcel_free(parcel);
}

/* ---- steps ---- */

void step_reset(void)
{
    if (step == NULL) {
        step = mmap(NULL, sizeof(*step), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(step != MAP_FAILED);
    }
    atomic_store(step, 0);
}

void step_set(int value)
{
    atomic_store(step, value);
}

int step_get(void)
{
    return atomic_load(step);
}

void step_await(int value)
{
    AWAIT(atomic_load(step) == value);
}
