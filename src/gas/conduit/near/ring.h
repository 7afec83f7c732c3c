/*
 * A ring of records in memory that two processes share: one writes, one reads.
 *
 * A record is a run of bytes with a tag. It is in one piece, and starts in a cache line of its own
 * behind a word of 4 bytes, so that a record of up to RING_LINE - 4 bytes travels in one line.
 * Whoever writes may die at any moment: what it has not committed is never seen.
 *
 * The two ends are not locked: each is used by one thread at a time.
 */
#ifndef GAS_CONDUIT_NEAR_RING_H
#define GAS_CONDUIT_NEAR_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE 64u
#define RING_WORD 4u
#define RING_TAG_MAX 0xFFu

typedef struct ring_line {
    _Alignas(RING_LINE) _Atomic(uint32_t) word; /* of a record that starts here; 0: none does */
    char bytes[RING_LINE - RING_WORD];
} ring_line_t;

/* What is shared. All zero: an empty ring. */
typedef struct ring {
    _Alignas(RING_LINE) _Atomic(uint64_t) taken; /* lines that the reader has given back, ever */
    ring_line_t lines[];
} ring_t;

/* The writer's end, and the reader's; private. */
typedef struct ring_writer {
    ring_t *ring;
    uint32_t count;   /* of lines */
    uint32_t at;      /* the next line to write */
    uint64_t written; /* lines, ever */
    uint64_t taken;   /* what `taken` was when it was last looked at */
    uint32_t skipped; /* lines between `at` and the record that is being written */
} ring_writer_t;

typedef struct ring_reader {
    ring_t *ring;
    uint32_t count;
    uint32_t at;
    uint64_t read;  /* lines, ever */
    uint64_t given; /* of them, what the writer has been told */
    bool broken;    /* what was there cannot have been written by a ring_writer_t */
} ring_reader_t;

typedef struct ring_record {
    const char *bytes;
    size_t length;
    unsigned tag;
} ring_record_t;

/* Both ends of a ring in `size` bytes at `memory`, a multiple of RING_LINE and at least 1 KiB. */
void ring_writer_init(ring_writer_t *writer, void *memory, size_t size);
void ring_reader_init(ring_reader_t *reader, void *memory, size_t size);

/* The longest record, in bytes. One of that length fits once everything before it has been read. */
size_t ring_record_max(const ring_writer_t *writer);

/* Where to write a record of `length` bytes, at most ring_record_max(), which is to be committed
 * before another one is reserved; NULL: no room now. */
void *ring_reserve(ring_writer_t *writer, size_t length);

/* The record that was reserved last is there: `tag` is at most RING_TAG_MAX. (Sequentially
 * consistent, for those who then look whether the reader sleeps.) */
void ring_commit(ring_writer_t *writer, unsigned tag, size_t length);

/* The next record, which stays where it is until ring_pop(); false: there is none now. */
bool ring_front(ring_reader_t *reader, ring_record_t *record);
void ring_pop(ring_reader_t *reader, const ring_record_t *record);

/* True if there may be one. Sequentially consistent. */
static inline bool ring_has(const ring_reader_t *reader)
{
    return !reader->broken && atomic_load(&reader->ring->lines[reader->at].word) != 0;
}

#endif
