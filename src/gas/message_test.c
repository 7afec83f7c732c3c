#include "message.h"

#include "testing/check.h"
#include "testing/patience.h"
#include "testing/world.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PARTS 50

/* What the handler is to do with a message, by its header's first byte. */
enum { IN_HANDLER = 'h', KEEP = 'k', REJECT = 'r' };

typedef struct landed {
    gas_job_t *job;
    gas_msg_t *msg;
    unsigned char *parts[PARTS];
    gas_event_t event;
    gas_status_t status;
} landed_t;

static landed_t landed;
static gas_event_t kept;

static void all_landed(void *arg, gas_status_t status)
{
    landed_t *self = arg;

    self->status = status;
    gas_msg_free(self->job, self->msg);
    gas_event_set(&self->event);
}

static void fetch(gas_job_t *job, gas_msg_t *msg)
{
    landed.job = job;
    landed.msg = msg;
    for (uint32_t i = 0; i < msg->bulk_count; i++)
        landed.parts[i] = malloc(msg->bulk[i].length);
    CHECK(gas_msg_receive(job, msg, (void *const *)landed.parts, all_landed, &landed) == GAS_OK);
}

static void arrive(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    (void)arg;
    CHECK(msg->source == 0 && msg->handler == GAS_HANDLER_USER && msg->header_length == 3);
    CHECK(msg->data_length == 5 && memcmp(msg->data, "bytes", 5) == 0);
    switch (*(const char *)msg->header) {
    case IN_HANDLER:
        fetch(job, msg);
        break;
    case KEEP:
        landed.msg = msg;
        gas_event_set(&kept);
        break;
    default:
        gas_msg_free(job, msg);
        break;
    }
}

typedef struct sent {
    gas_event_t event;
    gas_status_t status;
} sent_t;

static void all_sent(void *arg, gas_status_t status)
{
    sent_t *sent = arg;

    sent->status = status;
    gas_event_set(&sent->event);
}

static void wait_for(gas_job_t *job, gas_event_t *event)
{
    gas_status_t status;
    uint64_t deadline = deadline_in(5);

    do
        status = gas_wait(job, event, deadline, 0);
    while (status == GAS_INTERRUPTED);
    CHECK(status == GAS_OK);
}

static void send_parts(world_t *world, char what, sent_t *sent, unsigned char **memory)
{
    char header[3] = {what, 0, 0};
    gas_iov_t parts[PARTS];
    gas_am_t am = {.handler = GAS_HANDLER_USER,
                   .header = header,
                   .header_length = 3,
                   .data = "bytes",
                   .data_length = 5,
                   .bulk = parts,
                   .bulk_count = PARTS};

    for (int i = 0; i < PARTS; i++) {
        parts[i].length = (size_t)(1 + i * 100);
        memory[i] = malloc(parts[i].length);
        memset(memory[i], i, parts[i].length);
        parts[i].base = memory[i];
    }
    gas_event_init(&sent->event);
    gas_event_init(&landed.event);
    gas_event_init(&kept);
    memset(landed.parts, 0, sizeof(landed.parts));
    CHECK(gas_am_send(world->jobs[0], 1, &am, all_sent, sent) == GAS_OK);
}

static void free_parts(unsigned char **memory)
{
    for (int i = 0; i < PARTS; i++)
        free(memory[i]);
}

static void check_parts(void)
{
    for (int i = 0; i < PARTS; i++)
        for (int k = 0; k < 1 + i * 100; k++)
            CHECK(landed.parts[i][k] == i);
    free_parts(landed.parts);
}

static void exchange(const gas_loopback_options_t *options, int fails)
{
    gas_job_params_t params = {.handlers[GAS_HANDLER_USER] = {arrive, NULL}};
    unsigned char *memory[PARTS];
    sent_t sent;
    world_t world;

    world_start(&world, 2, options, &params, NULL);
    send_parts(&world, IN_HANDLER, &sent, memory);
    wait_for(world.jobs[0], &sent.event);
    free_parts(memory);
    wait_for(world.jobs[1], &landed.event);
    CHECK((landed.status != GAS_OK) == fails && (sent.status != GAS_OK) == fails);
    if (fails)
        free_parts(landed.parts);
    else
        check_parts();

    send_parts(&world, KEEP, &sent, memory);
    wait_for(world.jobs[1], &kept);
    CHECK(gas_wait(world.jobs[0], &sent.event, gas_clock_now() + 5000000, 0) == GAS_TIMEOUT);
    fetch(world.jobs[1], landed.msg);
    wait_for(world.jobs[1], &landed.event);
    wait_for(world.jobs[0], &sent.event);
    free_parts(memory);
    if (fails)
        free_parts(landed.parts);
    else
        check_parts();

    send_parts(&world, REJECT, &sent, memory);
    wait_for(world.jobs[0], &sent.event);
    free_parts(memory);
    world_stop(&world);
}

static void test_bulk(void)
{
    exchange(NULL, 0);
}

static void test_bulk_deferred(void)
{
    exchange(&(gas_loopback_options_t){.defer_landing = 1, .queue_max = 1}, 0);
}

static void test_bulk_that_fails(void)
{
    exchange(&(gas_loopback_options_t){.fail_every = 7}, 1);
}

/* A message with the data of a packed one, as it arrives. */
static gas_msg_t *packed_msg(const void *data, size_t length)
{
    gas_arrival_t arrival = {
        .handler = GAS_HANDLER_USER | GAS_HANDLER_PACKED, .data = data, .data_length = length};
    gas_msg_t *msg = gas_msg_create(&arrival);

    CHECK(msg != NULL);
    return msg;
}

static void test_packing(void)
{
    const gas_iov_t parts[] = {{"one", 3}, {"fifteen", 7}, {"!", 1}};
    gas_am_t am = {.handler = GAS_HANDLER_USER,
                   .header = "h",
                   .header_length = 1,
                   .data = "data",
                   .data_length = 4,
                   .bulk = parts,
                   .bulk_count = 3};
    char one[3], fifteen[7], mark[1];
    void *landing[] = {one, fifteen, mark};
    gas_am_t packed;
    void *block = gas_msg_pack(&am, &packed);
    gas_msg_t *msg;

    CHECK(block != NULL && packed.bulk_count == 0 && packed.header_length == 1);
    CHECK(packed.handler == (GAS_HANDLER_USER | GAS_HANDLER_PACKED));
    msg = packed_msg(packed.data, packed.data_length);
    CHECK(gas_msg_unpack(msg) && msg->handler == GAS_HANDLER_USER && msg->bulk_count == 3);
    CHECK(msg->data_length == 4 && memcmp(msg->data, "data", 4) == 0);
    CHECK(gas_msg_copy(NULL, msg, landing) == GAS_OK);
    CHECK(memcmp(one, "one", 3) == 0 && memcmp(fifteen, "fifteen", 7) == 0 && *mark == '!');
    gas_msg_free(NULL, msg);

    for (size_t length = 0; length < packed.data_length; length++) { /* cut short */
        msg = packed_msg(packed.data, length);
        if (gas_msg_unpack(msg)) /* only the data proper may be shorter */
            CHECK(msg->data_length < 4 && length >= packed.data_length - 4);
        gas_msg_free(NULL, msg);
    }
    for (unsigned word = 0; word < 4; word++) { /* wrong counts and lengths */
        static const uint64_t values[] = {0, 1u << 21, UINT64_MAX, UINT64_MAX / 8, 1u << 20};

        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            if (word > 0 && values[i] == 0)
                continue; /* a buffer may be empty */
            memcpy((char *)block + word * 8, &values[i], 8);
            msg = packed_msg(block, packed.data_length);
            CHECK(!gas_msg_unpack(msg));
            gas_msg_free(NULL, msg);
            memcpy((char *)block + word * 8,
                   word == 0 ? (uint64_t[]){3} : (uint64_t[]){parts[word - 1].length}, 8);
        }
    }
    free(block);
}

int main(void)
{
    RUN(test_packing);
    RUN(test_bulk);
    RUN(test_bulk_deferred);
    RUN(test_bulk_that_fails);
    return 0;
}
