/*
 * The UCX conduit: reading buffers out of the memory of another process of this host.
 *
 * Design notes. Each system call takes in the offer's random number as well, as its last piece (the
 * kernel copies the pieces of a call in their order). The sender changes that number once, after it
 * has made copies of the buffers and noted in its table of places where they are, and only then
 * changes what was copied. So what has been read while the number was the old one is right; and
 * when it is the new one everything is read again, from the copies: where they are is read out of
 * the table, for each call again. Copies never move, and live until the receiver has said that it
 * is done (AM_OVER).
 *
 * Any other number means that this is not the process that sent the message: one of another
 * container, or one that was given its process id.
 *
 * A process that ends in between is known by ESRCH, which otherwise says that its process id means
 * nothing here: so a peer that could be read is remembered.
 */
#include "ucx_direct.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define BATCH 64                   /* buffers read by one system call */
#define CALL_MAX ((size_t)1 << 30) /* bytes, likewise; the kernel's limit is 2 GiB */

/* Pieces of one system call, here and there; the last is for the random number. */
typedef struct pieces {
    struct iovec here[BATCH + 1], there[BATCH + 1];
    unsigned count; /* without it */
    size_t total;   /* bytes, likewise */
} pieces_t;

static void add(pieces_t *pieces, void *here, uint64_t there, size_t length)
{
    pieces->here[pieces->count] = (struct iovec){here, length};
    pieces->there[pieces->count] = (struct iovec){(void *)(uintptr_t)there, length};
    pieces->count++;
    pieces->total += length;
}

/* Copies them, or the first of them; how much of them, -1 if nothing can be read. *proof: the
 * random number, 0 if the call did not come so far. */
static ssize_t copy(const ucx_direct_t *direct, pieces_t *pieces, uint64_t *proof)
{
    unsigned last = pieces->count;
    ssize_t got;

    pieces->here[last] = (struct iovec){proof, sizeof(*proof)};
    pieces->there[last] = (struct iovec){(void *)(uintptr_t)direct->wire.proof_at, sizeof(*proof)};
    *proof = 0;
    got = process_vm_readv(direct->wire.pid, pieces->here, last + 1, pieces->there, last + 1, 0);
    if (got <= 0)
        return -1;
    if ((size_t)got < pieces->total + sizeof(*proof))
        *proof = 0;
    return (size_t)got < pieces->total ? got : (ssize_t)pieces->total;
}

/* How many buffers the next call reads at most. */
static uint32_t batch_of(const ucx_read_t *read)
{
    uint32_t left = read->count - read->index;

    return left < BATCH ? left : BATCH;
}

/* Where the sender has its copies of the next buffers. */
static bool find_copies(const ucx_read_t *read, gas_iov_t *places)
{
    const wire_direct_t *wire = &read->direct->wire;
    const gas_bulk_t *bulk = read->bulk + read->index;
    uint32_t count = batch_of(read);
    pieces_t pieces = {.count = 0};
    uint64_t proof;

    add(&pieces, places, wire->proof_at + wire->places + bulk->index * sizeof(*places),
        count * sizeof(*places));
    if (copy(read->direct, &pieces, &proof) < 0 || proof != UCX_PROOF_MOVED(wire->proof))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (places[i].length != bulk[i].length)
            return false;
    return true;
}

static void lay_out(const ucx_read_t *read, const gas_iov_t *copies, size_t room, pieces_t *pieces)
{
    const gas_bulk_t *bulk = read->bulk + read->index;
    size_t offset = read->offset;

    for (uint32_t i = 0; i < batch_of(read) && room > 0; i++) {
        uint64_t place = read->settled ? (uintptr_t)copies[i].base : bulk[i].place;
        size_t length = bulk[i].length - offset;

        length = length < room ? length : room;
        add(pieces, (char *)read->landing[read->index + i] + offset, place + offset, length);
        room -= length;
        offset = 0;
    }
}

static void advance(ucx_read_t *read, size_t length)
{
    while (read->index < read->count) {
        size_t left = read->bulk[read->index].length - read->offset;

        if (length < left) {
            read->offset += length;
            return;
        }
        length -= left;
        read->index++;
        read->offset = 0;
    }
}

/* The random number was right, whatever comes: this is the sender's memory. */
static void note_open(const ucx_direct_t *direct)
{
    atomic_int *memory = &direct->self->peers[direct->source].memory_seen;
    int unknown = UCX_MEMORY_UNKNOWN;

    if (atomic_load_explicit(memory, memory_order_relaxed) == unknown)
        atomic_compare_exchange_strong(memory, &unknown, UCX_MEMORY_OPEN);
}

/* From the beginning, from the copies. */
static ucx_outcome_t begin_anew(ucx_read_t *read)
{
    read->settled = true;
    read->index = 0;
    read->offset = 0;
    return UCX_READ_ON;
}

static ucx_outcome_t read_on(ucx_read_t *read, size_t most)
{
    uint64_t first = read->direct->wire.proof, moved = UCX_PROOF_MOVED(first), proof;
    pieces_t pieces = {.count = 0};
    gas_iov_t copies[BATCH];
    ssize_t got;

    if (read->settled && !find_copies(read, copies))
        return UCX_READ_FAILED;
    lay_out(read, copies, most < CALL_MAX ? most : CALL_MAX, &pieces);
    got = copy(read->direct, &pieces, &proof);
    if (got < 0)
        return UCX_READ_FAILED;
    if ((size_t)got < pieces.total) { /* the next call will tell what keeps it from going on */
        advance(read, (size_t)got);
        return UCX_READ_ON;
    }
    if (proof != first && proof != moved)
        return UCX_READ_FAILED;
    note_open(read->direct);
    if (read->settled != (proof == moved))
        return read->settled ? UCX_READ_FAILED : begin_anew(read);
    advance(read, (size_t)got);
    return read->index < read->count ? UCX_READ_ON : UCX_READ_OVER;
}

ucx_outcome_t ucx_read_on(ucx_read_t *read, size_t most)
{
    atomic_int *memory = &read->direct->self->peers[read->direct->source].memory_seen;
    ucx_outcome_t outcome;

    if (atomic_load_explicit(memory, memory_order_relaxed) == UCX_MEMORY_CLOSED)
        return UCX_READ_FAILED;
    errno = 0;
    outcome = read_on(read, most);
    if (outcome != UCX_READ_FAILED)
        return outcome;
    if (errno == ESRCH && atomic_load(memory) == UCX_MEMORY_OPEN)
        return UCX_READ_GONE;
    atomic_store(memory, UCX_MEMORY_CLOSED);
    return UCX_READ_FAILED;
}
