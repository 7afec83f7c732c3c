/* Real jobs of several processes over UCX. */
#include "../../gas.h"
#include "../../testing/check.h"
#include "../../testing/cpu.h"
#include "../../testing/notes.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MANY 100000u
#define PARTS_MAX 1000u

enum { COUNTED = GAS_HANDLER_USER, BULK };

/* One bulk message that is landing; each part starts with its number. */
typedef struct landing {
    gas_job_t *job;
    gas_msg_t *msg;
    unsigned char **parts;
} landing_t;

typedef struct sent {
    gas_event_t event;
    gas_status_t status;
} sent_t;

static atomic_uint counted, disordered, landed, broken;
static uint64_t next_number[16];
static atomic_int reject;

static gas_handler_t handlers[GAS_HANDLER_MAX];

static void note_number(const gas_msg_t *msg)
{
    uint64_t number;

    memcpy(&number, msg->header, sizeof(number));
    if (number != next_number[msg->source]++)
        atomic_fetch_add(&disordered, 1);
}

static void on_counted(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    note_number(msg);
    gas_msg_free(job, msg);
    atomic_fetch_add(&counted, 1);
}

static unsigned char pattern(size_t part, size_t at)
{
    return (unsigned char)(part * 31 + at * 7 + at / 4096);
}

static void on_landed(void *arg, gas_status_t status)
{
    landing_t *landing = arg;

    for (uint32_t i = 0; i < landing->msg->bulk_count; i++) {
        size_t length = landing->msg->bulk[i].length;

        for (size_t k = 0; k < length; k += length > 65536 ? 4095 : 1)
            if (status != GAS_OK || landing->parts[i][k] != pattern(i, k))
                atomic_fetch_add(&broken, 1);
        if (landing->parts[i][length - 1] != pattern(i, length - 1))
            atomic_fetch_add(&broken, 1);
        free(landing->parts[i]);
    }
    gas_msg_free(landing->job, landing->msg);
    free(landing->parts);
    free(landing);
    atomic_fetch_add(&landed, 1);
}

static void on_bulk(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    landing_t *landing;

    (void)arg;
    note_number(msg);
    atomic_fetch_add(&counted, 1);
    if (atomic_load(&reject)) {
        gas_msg_free(job, msg);
        return;
    }
    landing = malloc(sizeof(*landing));
    landing->job = job;
    landing->msg = msg;
    landing->parts = malloc(msg->bulk_count * sizeof(landing->parts[0]));
    for (uint32_t i = 0; i < msg->bulk_count; i++)
        landing->parts[i] = malloc(msg->bulk[i].length);
    CHECK(gas_msg_receive(job, msg, (void *const *)landing->parts, on_landed, landing) == GAS_OK);
}

static void send_counted(gas_job_t *job, int destination, uint64_t number, size_t data_length)
{
    static char data[1 << 20];
    gas_am_t am = {.handler = COUNTED,
                   .header = &number,
                   .header_length = sizeof(number),
                   .data = data,
                   .data_length = data_length};

    CHECK(gas_am_send(job, destination, &am, NULL, NULL) == GAS_OK);
}

static void on_sent(void *arg, gas_status_t status)
{
    sent_t *sent = arg;

    sent->status = status;
    gas_event_set(&sent->event);
}

/* `count` parts of `length` bytes; free *memory when it is sent. */
static void send_parts(gas_job_t *job, int destination, uint64_t number, size_t count,
                       size_t length, sent_t *sent, void **memory)
{
    gas_iov_t parts[PARTS_MAX];
    gas_am_t am = {.handler = BULK,
                   .header = &number,
                   .header_length = sizeof(number),
                   .bulk = parts,
                   .bulk_count = (uint32_t)count};
    unsigned char *bytes = malloc(count * length);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < length; k++)
            bytes[i * length + k] = pattern(i, k);
        parts[i] = (gas_iov_t){bytes + i * length, length};
    }
    *memory = bytes;
    gas_event_init(&sent->event);
    CHECK(gas_am_send(job, destination, &am, on_sent, sent) == GAS_OK);
}

static void await_event(gas_job_t *job, gas_event_t *event)
{
    gas_status_t status;

    do
        status = gas_wait(job, event, deadline_in(20), 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK);
}

static void await_number(gas_job_t *job, atomic_uint *number, unsigned wanted)
{
    uint64_t deadline = deadline_in(20);

    while (atomic_load(number) < wanted && gas_clock_left(deadline) > 0)
        gas_wait(job, NULL, gas_clock_now() + 1000000, 0);
    CHECK(atomic_load(number) == wanted);
}

/* ---- small messages ---- */

/* Everybody sends to everybody, also to itself, without waiting. */
static void order_body(gas_job_t *job)
{
    int size = gas_job_size(job);

    for (uint64_t i = 0; i < MANY; i++)
        for (int rank = 0; rank < size; rank++)
            send_counted(job, rank, i, i % 1000 == 0 ? 100000 : i % 64);
    await_number(job, &counted, MANY * (unsigned)size);
    CHECK(atomic_load(&disordered) == 0);
    ranks_barrier(job);
}

static void test_order(void)
{
    CHECK(ranks_run(2, handlers, order_body));
}

/* Rank 1 is away; what is sent to it meanwhile arrives all the same. */
static void away_body(gas_job_t *job)
{
    double before;

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        for (uint64_t i = 0; i < MANY; i++)
            send_counted(job, 1, i, 100);
        before = cpu_seconds();
        usleep(500000); /* nor does the sender wait */
        fprintf(stderr, "  sender's CPU in 0.5 s: %.1f ms; backlog %zu\n",
                (cpu_seconds() - before) * 1e3, atomic_load(&job->backlog));
    } else {
        AWAIT(atomic_load(&counted) == MANY);
        CHECK(atomic_load(&disordered) == 0);
        before = cpu_seconds();
        usleep(500000);
        CHECK(cpu_within(before, 0.03, "0.5 s outside"));
    }
    ranks_barrier(job);
}

static void test_receiver_that_does_not_poll(void)
{
    CHECK(ranks_run(2, handlers, away_body));
}

/* ---- bulk ---- */

static void send_all_sizes(gas_job_t *job, int destination, uint64_t *number)
{
    static const struct {
        size_t count, length;
    } shapes[] = {{1, 1},    {1, 4096},         {1, 65536}, {1, 1 << 20}, {1, 64 << 20},
                  {3, 5000}, {PARTS_MAX, 4096}, {50, 1},    {7, 1 << 20}};
    enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };
    sent_t sent[SHAPES];
    void *memory[SHAPES];

    for (size_t i = 0; i < SHAPES; i++) {
        send_counted(job, destination, (*number)++, i);
        send_parts(job, destination, (*number)++, shapes[i].count, shapes[i].length, &sent[i],
                   &memory[i]);
        send_counted(job, destination, (*number)++, 20000);
    }
    for (size_t i = 0; i < SHAPES; i++) {
        await_event(job, &sent[i].event);
        CHECK(sent[i].status == GAS_OK || atomic_load(&reject));
        free(memory[i]);
    }
}

static void bulk_body(gas_job_t *job)
{
    uint64_t number = 0;

    send_all_sizes(job, (gas_job_rank(job) + 1) % gas_job_size(job), &number);
    await_number(job, &counted, 27);
    await_number(job, &landed, 9);
    CHECK(atomic_load(&disordered) == 0 && atomic_load(&broken) == 0);
    ranks_barrier(job);
    atomic_store(&reject, 1);
    ranks_barrier(job);
    send_all_sizes(job, (gas_job_rank(job) + 1) % gas_job_size(job), &number);
    await_number(job, &counted, 54);
    CHECK(atomic_load(&disordered) == 0 && atomic_load(&landed) == 9);
    ranks_barrier(job);
}

static void test_bulk(void)
{
    CHECK(ranks_run(3, handlers, bulk_body));
}

static void test_bulk_to_self(void)
{
    CHECK(ranks_run(1, handlers, bulk_body));
}

/* Bulk and small messages while the receiver is away and the sender computes: its `done` comes. */
static void bulk_away_body(gas_job_t *job)
{
    enum { COUNT = 300 };
    sent_t sent[COUNT];
    void *memory[COUNT];

    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        for (uint64_t i = 0; i < COUNT; i++) {
            for (uint64_t k = 0; k < 10; k++)
                send_counted(job, 1, i * 11 + k, 100);
            send_parts(job, 1, i * 11 + 10, 5, 8192, &sent[i], &memory[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            AWAIT(gas_event_is_set(&sent[i].event));
            CHECK(sent[i].status == GAS_OK);
            free(memory[i]);
        }
    } else {
        AWAIT(atomic_load(&landed) == COUNT && atomic_load(&counted) == COUNT * 11);
        CHECK(atomic_load(&disordered) == 0 && atomic_load(&broken) == 0);
    }
    ranks_barrier(job);
}

static void test_bulk_that_nobody_waits_for(void)
{
    CHECK(ranks_run(2, handlers, bulk_away_body));
}

static gas_msg_t *kept;

static void keep(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)job;
    (void)arg;
    kept = msg;
}

/* A job ends although a buffer that it sent is never fetched. */
static void unfetched_body(gas_job_t *job)
{
    static sent_t sent;
    static void *memory; /* of a send that is never over, so never freed */

    if (gas_job_rank(job) == 0)
        send_parts(job, 1, 0, 3, 100000, &sent, &memory);
    ranks_barrier(job);
    if (gas_job_rank(job) == 1)
        gas_msg_free(job, kept);
    ranks_barrier(job);
    if (gas_job_rank(job) == 0) {
        await_event(job, &sent.event);
        free(memory);
        send_parts(job, 1, 0, 3, 100000, &sent, &memory);
    }
    ranks_barrier(job);
}

static void test_end_with_unfetched_bulk(void)
{
    gas_handler_t keeping[GAS_HANDLER_MAX];
    uint64_t before = gas_clock_now();

    memcpy(keeping, handlers, sizeof(keeping));
    keeping[BULK].run = keep;
    CHECK(ranks_run(2, keeping, unfetched_body));
    CHECK(gas_clock_now() - before < UINT64_C(5000000000) * patience());
}

int main(void)
{
    handlers[COUNTED].run = on_counted;
    handlers[BULK].run = on_bulk;
    RUN(test_order);
    RUN(test_receiver_that_does_not_poll);
    RUN(test_bulk);
    RUN(test_bulk_to_self);
    RUN(test_bulk_that_nobody_waits_for);
    RUN(test_end_with_unfetched_bulk);
    return 0;
}
