/*
 * Design notes. Every line is free (its word is 0), or the first of a record (its word says how
 * long it is), or inside one. The writer fills a record in and then stores its word; the reader,
 * when it has done with the record, sets the word of each of its lines to 0, as any of them may be
 * the first of one in the next round; then it gives the lines back, all with one store each quarter
 * of the ring, so that the line with `taken` is rarely written. So a small message costs each side
 * one line that changes hands, and nothing else. (In-band signals: FastForward, Giacomoni and
 * others 2008.)
 *
 * A record that does not fit before the end starts at the beginning. The line where it would have
 * started then says so (SKIP); that is stored after the record's own word, so that a reader who has
 * seen it finds the record.
 */
#include "ring.h"

#include <string.h>

/* The word: there is a record, or only a hint to go on at the beginning; its tag; its length. */
#define THERE 0x80000000u
#define SKIP 0x40000000u
#define TAG_SHIFT 20u
#define LENGTH_MASK 0xFFFFFu

static uint32_t lines_of(size_t length)
{
    return (uint32_t)((length + RING_WORD + RING_LINE - 1) / RING_LINE);
}

static uint32_t count_of(size_t size)
{
    return (uint32_t)((size - sizeof(ring_t)) / RING_LINE);
}

/* A record takes a quarter of the ring at most, and so does what is skipped for it; another quarter
 * may have been read and not given back. */
static uint32_t record_lines_max(uint32_t count)
{
    uint32_t most = LENGTH_MASK / RING_LINE;

    return count / 4 < most ? count / 4 : most;
}

void ring_writer_init(ring_writer_t *writer, void *memory, size_t size)
{
    *writer = (ring_writer_t){.ring = memory, .count = count_of(size)};
}

void ring_reader_init(ring_reader_t *reader, void *memory, size_t size)
{
    *reader = (ring_reader_t){.ring = memory, .count = count_of(size)};
}

size_t ring_record_max(const ring_writer_t *writer)
{
    return (size_t)record_lines_max(writer->count) * RING_LINE - RING_WORD;
}

static bool has_room(ring_writer_t *writer, uint32_t lines)
{
    if (writer->written + lines - writer->taken <= writer->count)
        return true;
    writer->taken = atomic_load_explicit(&writer->ring->taken, memory_order_acquire);
    return writer->written + lines - writer->taken <= writer->count;
}

void *ring_reserve(ring_writer_t *writer, size_t length)
{
    uint32_t lines = lines_of(length);
    uint32_t skipped = writer->at + lines > writer->count ? writer->count - writer->at : 0;

    if (!has_room(writer, lines + skipped))
        return NULL;
    writer->skipped = skipped;
    return writer->ring->lines[skipped > 0 ? 0 : writer->at].bytes;
}

void ring_commit(ring_writer_t *writer, unsigned tag, size_t length)
{
    uint32_t word = THERE | (uint32_t)tag << TAG_SHIFT | (uint32_t)length, lines = lines_of(length);
    ring_line_t *at = writer->ring->lines;

    if (writer->skipped > 0) {
        atomic_store_explicit(&at[0].word, word, memory_order_release);
        atomic_store(&at[writer->at].word, THERE | SKIP);
        writer->at = 0;
    } else {
        atomic_store(&at[writer->at].word, word);
    }
    writer->at += lines;
    if (writer->at == writer->count)
        writer->at = 0;
    writer->written += lines + writer->skipped;
    writer->skipped = 0;
}

/* `lines` lines have been read, in which any word may be left. */
static void give_back(ring_reader_t *reader, uint32_t lines)
{
    ring_line_t *at = &reader->ring->lines[reader->at];

    for (uint32_t i = 0; i < lines; i++)
        atomic_store_explicit(&at[i].word, 0, memory_order_relaxed);
    reader->at += lines;
    if (reader->at == reader->count)
        reader->at = 0;
    reader->read += lines;
    if (reader->read - reader->given < reader->count / 4)
        return;
    reader->given = reader->read;
    atomic_store_explicit(&reader->ring->taken, reader->read, memory_order_release);
}

static uint32_t word_at(const ring_reader_t *reader)
{
    return atomic_load_explicit(&reader->ring->lines[reader->at].word, memory_order_acquire);
}

bool ring_front(ring_reader_t *reader, ring_record_t *record)
{
    uint32_t word;

    if (reader->broken)
        return false;
    word = word_at(reader);
    if (word == (THERE | SKIP) && reader->at > 0) {
        give_back(reader, reader->count - reader->at);
        word = word_at(reader);
    }
    if (word == 0)
        return false;
    record->bytes = reader->ring->lines[reader->at].bytes;
    record->length = word & LENGTH_MASK;
    record->tag = (word & ~(THERE | SKIP)) >> TAG_SHIFT;
    reader->broken = (word & THERE) == 0 || (word & SKIP) != 0 || record->tag > RING_TAG_MAX ||
                     lines_of(record->length) > record_lines_max(reader->count) ||
                     lines_of(record->length) > reader->count - reader->at;
    return !reader->broken;
}

void ring_pop(ring_reader_t *reader, const ring_record_t *record)
{
    give_back(reader, lines_of(record->length));
}
