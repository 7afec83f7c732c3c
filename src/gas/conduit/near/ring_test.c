/* The ring: what is written is read, once and in order, and nothing else is believed. */
#include "ring.h"

#include "../../testing/check.h"
#include "../../testing/patience.h"

#include <pthread.h>
#include <string.h>

#define SIZE 4096u
#define MESSAGES 200000u

typedef struct ends {
    ring_writer_t writer;
    ring_reader_t reader;
    void *memory;
} ends_t;

static void ends_open(ends_t *ends)
{
    ends->memory = aligned_alloc(RING_LINE, SIZE);
    memset(ends->memory, 0, SIZE);
    ring_writer_init(&ends->writer, ends->memory, SIZE);
    ring_reader_init(&ends->reader, ends->memory, SIZE);
}

static void ends_close(ends_t *ends)
{
    free(ends->memory);
}

/* Numbers that both sides know. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool try_write(ring_writer_t *writer, uint32_t number, size_t length)
{
    char *at = ring_reserve(writer, length);

    if (at == NULL)
        return false;
    memset(at, (int)(number % 251), length);
    ring_commit(writer, number & RING_TAG_MAX, length);
    return true;
}

static void check_record(const ring_record_t *record, uint32_t number, size_t length)
{
    CHECK(record->length == length && record->tag == (number & RING_TAG_MAX));
    for (size_t i = 0; i < length; i++)
        CHECK((unsigned char)record->bytes[i] == number % 251);
}

static void read_one(ring_reader_t *reader, uint32_t number, size_t length)
{
    ring_record_t record;

    CHECK(ring_has(reader) && ring_front(reader, &record));
    check_record(&record, number, length);
    ring_pop(reader, &record);
}

static void test_each_length(void)
{
    ring_record_t record;
    uint32_t number = 0;
    ends_t ends;

    ends_open(&ends);
    for (unsigned round = 0; round < 3; round++)
        for (size_t length = 0; length <= ring_record_max(&ends.writer); length++, number++) {
            CHECK(!ring_has(&ends.reader) && !ring_front(&ends.reader, &record));
            CHECK(try_write(&ends.writer, number, length));
            read_one(&ends.reader, number, length);
        }
    ends_close(&ends);
}

/* Filled until nothing more fits, and emptied, in steps of all lengths. */
static void test_full(void)
{
    ends_t ends;

    ends_open(&ends);
    for (size_t length = 0; length <= ring_record_max(&ends.writer); length += 7) {
        uint32_t written = 0;

        while (try_write(&ends.writer, written, length))
            written++;
        CHECK(written >= 2 && written <= SIZE / RING_LINE);
        for (uint32_t i = 0; i < written; i++)
            read_one(&ends.reader, i, length);
        CHECK(!ring_has(&ends.reader));
        CHECK(try_write(&ends.writer, 7, ring_record_max(&ends.writer)));
        read_one(&ends.reader, 7, ring_record_max(&ends.writer));
    }
    ends_close(&ends);
}

/* A writer that dies before it commits. */
static void test_uncommitted(void)
{
    for (uint32_t before = 0; before < 200; before++) {
        ring_record_t record;
        ends_t ends;
        char *at;

        ends_open(&ends);
        for (uint32_t i = 0; i < before; i++) {
            CHECK(try_write(&ends.writer, i, 100));
            read_one(&ends.reader, i, 100);
        }
        at = ring_reserve(&ends.writer, 900);
        CHECK(at != NULL);
        memset(at, 0xFF, 900);
        CHECK(!ring_has(&ends.reader) && !ring_front(&ends.reader, &record));
        CHECK(!ends.reader.broken);
        ends_close(&ends);
    }
}

static void *write_all(void *arg)
{
    ring_writer_t *writer = arg;
    uint32_t state = 1, most = (uint32_t)ring_record_max(writer), times = rounds(MESSAGES);

    for (uint32_t i = 0; i < times; i++) {
        uint32_t length = next_random(&state) % (i % 16 == 0 ? most + 1 : 80);

        while (!try_write(writer, i, length))
            usleep(1);
    }
    return NULL;
}

static void test_two_threads(void)
{
    uint32_t state = 1, times = rounds(MESSAGES), most;
    uint64_t deadline = deadline_in(100);
    pthread_t thread;
    ends_t ends;

    ends_open(&ends);
    most = (uint32_t)ring_record_max(&ends.writer);
    CHECK(pthread_create(&thread, NULL, write_all, &ends.writer) == 0);
    for (uint32_t i = 0; i < times; i++) {
        uint32_t length = next_random(&state) % (i % 16 == 0 ? most + 1 : 80);
        ring_record_t record;

        while (!ring_front(&ends.reader, &record)) {
            CHECK(!ends.reader.broken && gas_clock_left(deadline) > 0);
            usleep(1);
        }
        check_record(&record, i, length);
        ring_pop(&ends.reader, &record);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!ring_has(&ends.reader));
    ends_close(&ends);
}

/* Anything may be in the memory: what is read stays inside it, and reading comes to an end. */
static void test_garbage(void)
{
    uint32_t state = 7, broken = 0;

    for (unsigned round = 0; round < 20000; round++) {
        uint32_t pops = 0;
        ring_record_t record;
        uint32_t *words;
        ends_t ends;

        ends_open(&ends);
        words = ends.memory;
        for (size_t i = RING_LINE / 4; i < SIZE / 4; i++)
            words[i] = next_random(&state) << 8 & (round % 2 == 0 ? UINT32_MAX : 0x8FF01FFFu);
        if (round % 3 == 0)
            words[RING_LINE / 4] = 0x80000000u | next_random(&state) % 3000;
        while (ring_front(&ends.reader, &record)) {
            uint32_t sum = 0;

            for (size_t i = 0; i < record.length; i++)
                sum += (unsigned char)record.bytes[i];
            CHECK(sum <= 255 * record.length && ++pops <= SIZE / RING_LINE);
            ring_pop(&ends.reader, &record);
        }
        broken += ends.reader.broken;
        CHECK(!ends.reader.broken || !ring_has(&ends.reader));
        ends_close(&ends);
    }
    CHECK(broken > 0);
}

int main(void)
{
    RUN(test_each_length);
    RUN(test_full);
    RUN(test_uncommitted);
    RUN(test_two_threads);
    RUN(test_garbage);
    return 0;
}
