/* Messages through shared memory: between two ends in one process, and of processes that are
 * killed. */
#include "near.h"

#include "../../testing/check.h"
#include "../../testing/patience.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG (1u << 20)
#define WRITERS 30 /* ranks that are killed, one after the other, and one that lives */

/* What has arrived at one rank. */
typedef struct inbox {
    uint64_t count;
    uint64_t from[WRITERS + 2]; /* by rank */
    unsigned kind;
    size_t length;
    char last;
    char *copy; /* of the last one's bytes, if that is not NULL */
} inbox_t;

static void take(void *arg, int source, unsigned kind, char *bytes, size_t length)
{
    inbox_t *inbox = arg;

    inbox->count++;
    inbox->from[source]++;
    inbox->kind = kind;
    inbox->length = length;
    inbox->last = length > 0 ? bytes[length - 1] : 0;
    if (inbox->copy != NULL)
        memcpy(inbox->copy, bytes, length);
}

static unsigned ended;

static gas_status_t end_job(gas_boot_t *boot, int code, const char *text)
{
    (void)boot;
    CHECK(code == 1 && strstr(text, "rank 0 cannot go on: a message of rank 1") == text);
    ended++;
    return GAS_OK;
}

static const gas_boot_ops_t boot_ops = {.abort = end_job};

static near_t *open_rank(int rank, int size, inbox_t *inbox)
{
    static gas_boot_t boots[WRITERS + 2];
    near_t *near;

    boots[rank] = (gas_boot_t){.ops = &boot_ops, .rank = rank, .size = size, .one_host = 1};
    memset(inbox, 0, sizeof(*inbox));
    CHECK(near_create(&boots[rank], take, inbox, &near) == GAS_OK && near != NULL);
    return near;
}

static near_link_t *link_of(near_t *from, near_t *to, int rank)
{
    near_card_t card;
    near_link_t *link;

    near_card(to, &card);
    link = near_open(from, rank, &card);
    CHECK(link != NULL);
    return link;
}

/* Sends now, or keeps. */
static void send_bytes(near_link_t *link, unsigned kind, const char *bytes, size_t length)
{
    char *at = near_begin(link, length);

    if (at != NULL) {
        memcpy(at, bytes, length);
        near_end(link, kind, length);
        return;
    }
    at = malloc(length);
    memcpy(at, bytes, length);
    CHECK(near_keep(link, kind, at, length) == GAS_OK);
}

static void test_alone(void)
{
    gas_boot_t boot = {.rank = 0, .size = 1, .one_host = 1};
    near_card_t card;
    near_t *near;

    CHECK(near_create(&boot, take, NULL, &near) == GAS_OK && near == NULL);
    near_card(near, &card);
    CHECK(card.magic == 0);
    near_destroy(near);
}

/* Short, long and very long ones, more than fit: all come, in order. */
static void test_order(void)
{
    static const size_t lengths[] = {0, 1, 59, 60, 61, 4000, 20000, 100000, LONG, 3, 5000};
    enum { TIMES = 40, COUNT = sizeof(lengths) / sizeof(lengths[0]) };
    char *bytes = malloc(LONG), *copy = malloc(LONG);
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]), *b = open_rank(1, 2, &boxes[1]);
    near_link_t *link = link_of(a, b, 1);
    unsigned next = 0;

    boxes[1].copy = copy;
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    for (unsigned i = 0; i < TIMES; i++)
        for (unsigned k = 0; k < COUNT; k++)
            send_bytes(link, i, bytes + k, lengths[k] < LONG - k ? lengths[k] : LONG - k);
    CHECK(near_backlog(a) > 0);
    while (next < TIMES * COUNT) {
        uint64_t before = boxes[1].count;

        CHECK(near_poll(b) > 0 || near_poll(a) > 0);
        if (boxes[1].count == before)
            continue;
        /* One poll delivers several: the last one is looked at. */
        next = (unsigned)boxes[1].count;
        CHECK(boxes[1].kind == (next - 1) / COUNT);
        CHECK(boxes[1].length == (lengths[(next - 1) % COUNT] < LONG - (next - 1) % COUNT
                                      ? lengths[(next - 1) % COUNT]
                                      : LONG - (next - 1) % COUNT));
        CHECK(memcmp(copy, bytes + (next - 1) % COUNT, boxes[1].length) == 0);
    }
    CHECK(near_backlog(a) == 0 && boxes[1].from[0] == TIMES * COUNT);
    CHECK(near_poll(b) == 0 && near_poll(a) == 0);
    near_destroy(a);
    near_destroy(b);
    free(bytes);
    free(copy);
}

static bool rings(near_t *near)
{
    struct pollfd fd = {.fd = near_fd(near), .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

static void test_sleep(void)
{
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]), *b = open_rank(1, 2, &boxes[1]);
    near_link_t *link;

    CHECK(near_arm(b) == GAS_OK && !rings(b));
    link = link_of(a, b, 1); /* a first message is noticed like any other */
    send_bytes(link, 1, "x", 1);
    CHECK(rings(b));
    CHECK(near_arm(b) == GAS_BUSY);
    CHECK(near_poll(b) == 1 && boxes[1].count == 1);
    CHECK(near_arm(b) == GAS_OK && !rings(b));
    CHECK(near_arm(b) == GAS_OK);
    send_bytes(link, 1, "x", 1);
    send_bytes(link, 1, "x", 1);
    CHECK(rings(b));
    CHECK(near_poll(b) == 2);
    send_bytes(link, 1, "x", 1); /* nobody sleeps: no ring, but it is seen */
    CHECK(near_arm(b) == GAS_BUSY && !rings(b));
    CHECK(near_poll(b) == 1 && near_arm(b) == GAS_OK);
    near_destroy(b); /* its bell is gone, its memory is not */
    send_bytes(link, 1, "x", 1);
    near_destroy(a);
}

static void test_failed(void)
{
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]), *b = open_rank(1, 2, &boxes[1]);
    near_link_t *there = link_of(a, b, 1), *back = link_of(b, a, 0);
    char bytes[4000] = {0};

    while (near_backlog(a) < 10)
        send_bytes(there, 1, bytes, sizeof(bytes));
    send_bytes(back, 1, bytes, sizeof(bytes));
    near_peer_failed(a, 1);
    CHECK(near_backlog(a) == 0);
    CHECK(near_poll(a) == 0 && boxes[0].count == 0);
    CHECK(near_arm(a) == GAS_OK);
    near_peer_failed(a, 5); /* not of this host */
    near_destroy(a);
    near_destroy(b);
}

/* Without its memory, or when that is not what the card says, there is no way. */
static void test_wrong_card(void)
{
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]), *b = open_rank(1, 2, &boxes[1]);
    near_card_t card, wrong;

    near_card(b, &card);
    wrong = card;
    wrong.magic = 0;
    CHECK(near_open(a, 1, &wrong) == NULL);
    wrong = card;
    wrong.memory_inode++;
    CHECK(near_open(a, 1, &wrong) == NULL);
    wrong = card;
    wrong.bell_device++;
    CHECK(near_open(a, 1, &wrong) == NULL);
    wrong = card;
    wrong.size += 4096;
    CHECK(near_open(a, 1, &wrong) == NULL);
    wrong = card;
    wrong.memory = 1 << 20;
    wrong.processes++; /* another namespace: its number says nothing */
    CHECK(near_open(a, 1, &wrong) == NULL);
    CHECK(near_open(a, 2, &card) == NULL);
    CHECK(near_open(a, 1, &card) != NULL);
    near_destroy(a);
    near_destroy(b);
}

/* What is for a rank that has ended before it was first written to is lost, and no more. */
static void test_ended_before(void)
{
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]);
    near_card_t card;
    near_link_t *link;
    int ends[2];
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        near_card(open_rank(1, 2, &boxes[1]), &card);
        _exit(write(ends[1], &card, sizeof(card)) == (ssize_t)sizeof(card) ? 0 : 1);
    }
    CHECK(read(ends[0], &card, sizeof(card)) == (ssize_t)sizeof(card));
    CHECK(waitpid(child, NULL, 0) == child);
    link = near_open(a, 1, &card);
    CHECK(link != NULL);
    send_bytes(link, 1, "x", 1);
    CHECK(near_backlog(a) == 0 && near_poll(a) == 0);
    near_peer_failed(a, 1);
    near_destroy(a);
    close(ends[0]);
    close(ends[1]);
}

/* Somebody has written where only ring_writer_t should: the job is told to end, once. */
static void test_overwritten(void)
{
    inbox_t boxes[2];
    near_t *a = open_rank(0, 2, &boxes[0]), *b = open_rank(1, 2, &boxes[1]);
    near_link_t *link = link_of(b, a, 0);
    char *at;

    send_bytes(link, 1, "x", 1);
    at = near_begin(link, 1);
    memset(at - 4, 0x7F, 4);
    CHECK(near_poll(a) == 1 && boxes[0].count == 1 && ended == 1);
    CHECK(near_poll(a) == 0 && near_arm(a) == GAS_OK && ended == 1);
    near_destroy(a);
    near_destroy(b);
}

/* A rank that is killed within a message: what it had sent before comes, and what others send. */
static void test_killed_within_a_message(void)
{
    inbox_t boxes[3];
    near_t *a = open_rank(0, 3, &boxes[0]), *b = open_rank(1, 3, &boxes[1]);
    near_link_t *link = link_of(b, a, 0);
    near_card_t card;
    int status;
    pid_t child;

    near_card(a, &card);
    send_bytes(link, 1, "x", 1);
    child = fork();
    if (child == 0) {
        near_link_t *mine = near_open(open_rank(2, 3, &boxes[2]), 0, &card);

        for (unsigned i = 0; i < 5; i++)
            send_bytes(mine, 2, "yy", 2);
        memset(near_begin(mine, 5000), 0xFF, 5000);
        raise(SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(near_arm(a) == GAS_BUSY);
    for (unsigned i = 0; i < 1000; i++) {
        send_bytes(link, 1, "x", 1);
        near_poll(a);
        near_poll(b);
    }
    while (near_poll(a) > 0)
        ;
    CHECK(boxes[0].from[1] == 1001 && boxes[0].from[2] == 5);
    CHECK(near_arm(a) == GAS_OK);
    send_bytes(link, 1, "x", 1);
    CHECK(rings(a) && near_poll(a) == 1);
    near_destroy(a);
    near_destroy(b);
}

/* Writes for ever: short messages and such as take many lines, all of one value. */
static void write_for_ever(int rank, const near_card_t *card)
{
    char bytes[9000];
    inbox_t inbox;
    near_t *near = open_rank(rank, WRITERS + 2, &inbox);
    near_link_t *link = near_open(near, 0, card);

    CHECK(link != NULL);
    memset(bytes, rank, sizeof(bytes));
    for (unsigned i = 0;; i++) {
        size_t length = i % 3 == 0 ? 1 : i % 3 == 1 ? 3000 : 200;
        char *at = near_begin(link, length);

        if (at == NULL) {
            sched_yield();
            continue;
        }
        memcpy(at, bytes, length);
        near_end(link, 1, length);
    }
}

static void poll_for(near_t *near, inbox_t *inbox, int rank, uint64_t messages)
{
    uint64_t deadline = deadline_in(20), until = inbox->from[rank] + messages;

    while (inbox->from[rank] < until) {
        CHECK(gas_clock_left(deadline) > 0);
        if (near_poll(near) == 0)
            sched_yield();
        CHECK(inbox->count == 0 || inbox->length == 0 || inbox->last > 0);
    }
}

/* Ranks are killed in the middle of writing, and the others' messages go on coming. */
static void test_killed_writers(void)
{
    inbox_t inbox;
    near_t *near = open_rank(0, WRITERS + 2, &inbox);
    near_card_t card;
    pid_t survivor;

    near_card(near, &card);
    survivor = fork();
    if (survivor == 0)
        write_for_ever(WRITERS + 1, &card);
    for (int rank = 1; rank <= WRITERS; rank++) {
        pid_t victim = fork();

        if (victim == 0)
            write_for_ever(rank, &card);
        poll_for(near, &inbox, rank, 50);
        usleep((unsigned)rank * 37);
        CHECK(kill(victim, SIGKILL) == 0 && waitpid(victim, NULL, 0) == victim);
        poll_for(near, &inbox, WRITERS + 1, 200);
        if (rank % 2 == 0) /* of some it is never reported */
            near_peer_failed(near, rank);
    }
    poll_for(near, &inbox, WRITERS + 1, 1000);
    CHECK(kill(survivor, SIGKILL) == 0 && waitpid(survivor, NULL, 0) == survivor);
    near_destroy(near);
}

int main(void)
{
    RUN(test_alone);
    RUN(test_order);
    RUN(test_sleep);
    RUN(test_failed);
    RUN(test_wrong_card);
    RUN(test_ended_before);
    RUN(test_overwritten);
    RUN(test_killed_within_a_message);
    RUN(test_killed_writers);
    return 0;
}
