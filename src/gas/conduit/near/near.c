/*
 * Design notes. Each rank that has others on its host owns a piece of anonymous memory (memfd): a
 * page of control, then one ring for each rank of the host, which that rank writes and the owner
 * reads. Only what is used is there: who sends for the first time opens the owner's memory through
 * /proc, allocates the pages of its ring, so that no store can fail later, and joins, which is a
 * bit that the owner notices when it polls. Nothing has a name, so nothing is left behind by
 * anybody.
 *
 * Sleeping. The bell is a pipe. The owner says that it is `asleep` and then looks at each ring and
 * for joins once more; a sender commits a record and then looks whether the owner is: if so, it
 * rings, and then takes the word back, so that others need not. All of these are sequentially
 * consistent, so one of both sees the other. In that order, so that a sender that dies in between
 * has not silenced the others; and the word is the number of the sleep, so that what is taken back
 * is not a later one. An owner that polls again leaves the word as it is, since another of its
 * threads may rely on it; so there may be one ring for nothing.
 *
 * A message that is too long for one record goes in pieces, each but the last with NEAR_MORE, and
 * is put together by the reader.
 *
 * What others write is not trusted further than that it is bytes of their messages. Of a ring in
 * which a message cannot be told from the next one, or taken for want of memory, nothing is read
 * any more; others may wait for what is lost with it, so the job is ended.
 */
#include "near.h"

#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOTAL_MAX                                                                                  \
    (4u << 20) /* what the rings of one rank take, unless that is too little for each */
#define RING_MAX (64u << 10)
#define RING_MIN (16u << 10)
#define BURST 16u /* records of one ring in one poll */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3; some systems demand it */
#endif

size_t near_memory_size(const near_t *near)
{
    return NEAR_PAGE + near->count * near->ring_size;
}

char *near_memory_ring(const near_t *near, near_control_t *control, uint32_t place)
{
    return (char *)control + NEAR_PAGE + place * near->ring_size;
}

int near_place(const near_t *near, int rank)
{
    uint32_t low = 0, high = near->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (near->ranks[middle] < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low < near->count && near->ranks[low] == rank ? (int)low : -1;
}

/* ---- set-up ---- */

static size_t ring_size(uint32_t count)
{
    size_t size = RING_MAX;

    while (size > RING_MIN && size * count > TOTAL_MAX)
        size /= 2;
    return size;
}

static uint32_t count_ranks(const gas_boot_t *boot)
{
    uint32_t count = 0;

    for (int rank = 0; rank < boot->size; rank++)
        count += gas_boot_shares_host(boot, rank) ? 1 : 0;
    return count;
}

static gas_status_t make_tables(near_t *near, const gas_boot_t *boot)
{
    uint32_t place = 0;

    near->ranks = calloc(near->count, sizeof(*near->ranks));
    near->sources = calloc(near->count, sizeof(*near->sources));
    near->links = calloc(near->count, sizeof(near_link_t *));
    near->active = calloc(near->count, sizeof(*near->active));
    if (near->ranks == NULL || near->sources == NULL || near->links == NULL || near->active == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for %u ranks of this host", near->count);
    for (int rank = 0; rank < boot->size; rank++) {
        if (!gas_boot_shares_host(boot, rank))
            continue;
        if (rank == boot->rank)
            near->mine = place;
        near->sources[place].rank = rank;
        near->ranks[place++] = rank;
    }
    return GAS_OK;
}

/* Anonymous memory; -1: this system has none. */
static int open_memory(void)
{
    int fd = memfd_create("pygas", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    return fd < 0 && errno == EINVAL ? memfd_create("pygas", MFD_CLOEXEC) : fd;
}

static gas_status_t make_memory(near_t *near)
{
    size_t size = near_memory_size(near);
    void *memory;

    if (ftruncate(near->memory, (off_t)size) != 0)
        return gas_error(GAS_ERR_IO, "cannot make shared memory: %s", strerror(errno));
    /* So that it is there, and a store to it cannot fail. */
    errno = posix_fallocate(near->memory, 0, NEAR_PAGE);
    if (errno != 0)
        return gas_error(GAS_ERR_NO_MEMORY, "no shared memory: %s", strerror(errno));
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, near->memory, 0);
    if (memory == MAP_FAILED)
        return gas_error(GAS_ERR_NO_MEMORY, "cannot map %zu bytes of shared memory: %s", size,
                         strerror(errno));
    near->control = memory;
    near->control->magic = NEAR_MAGIC;
    return GAS_OK;
}

gas_status_t near_create(gas_boot_t *boot, near_deliver_fn deliver, void *arg, near_t **near)
{
    uint32_t count = count_ranks(boot);
    near_t *self;
    gas_status_t status;
    int memory;

    *near = NULL;
    if (count < 2 || count > NEAR_RANKS_MAX)
        return GAS_OK;
    memory = open_memory();
    if (memory < 0 && errno != EMFILE && errno != ENFILE)
        return GAS_OK;
    if (memory < 0)
        return gas_error(GAS_ERR_IO, "cannot make shared memory: %s (ulimit -n)", strerror(errno));
    self = calloc(1, sizeof(*self));
    if (self == NULL) {
        close(memory);
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the ranks of this host");
    }
    self->boot = boot;
    self->deliver = deliver;
    self->arg = arg;
    self->count = count;
    self->ring_size = ring_size(count);
    self->memory = memory;
    self->bell[0] = self->bell[1] = -1;
    status = make_tables(self, boot);
    if (status == GAS_OK)
        status = make_memory(self);
    if (status == GAS_OK && pipe2(self->bell, O_CLOEXEC | O_NONBLOCK) != 0)
        status = gas_error(GAS_ERR_IO, "cannot make a pipe: %s (ulimit -n)", strerror(errno));
    if (status != GAS_OK) {
        near_destroy(self);
        return status;
    }
    *near = self;
    return GAS_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void near_destroy(near_t *near)
{
    if (near == NULL)
        return;
    for (uint32_t i = 0; near->links != NULL && i < near->count; i++)
        if (near->links[i] != NULL)
            near_link_close(near->links[i]);
    for (uint32_t i = 0; near->sources != NULL && i < near->count; i++)
        free(near->sources[i].bytes);
    if (near->control != NULL)
        munmap(near->control, near_memory_size(near));
    close_fd(near->memory);
    close_fd(near->bell[0]);
    close_fd(near->bell[1]);
    free(near->ranks);
    free(near->sources);
    free(near->links);
    free(near->active);
    free(near);
}

uint64_t near_processes(void)
{
    struct stat found;

    return stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

void near_card(const near_t *near, near_card_t *card)
{
    struct stat memory, bell;

    memset(card, 0, sizeof(*card));
    if (near == NULL || fstat(near->memory, &memory) != 0 || fstat(near->bell[0], &bell) != 0)
        return;
    *card = (near_card_t){
        .magic = NEAR_MAGIC,
        .pid = getpid(),
        .memory = near->memory,
        .bell = near->bell[1],
        .processes = near_processes(),
        .memory_device = memory.st_dev,
        .memory_inode = memory.st_ino,
        .bell_device = bell.st_dev,
        .bell_inode = bell.st_ino,
        .size = near_memory_size(near),
    };
}

/* ---- arrival ---- */

/* Adds those that have joined since to the active ones. */
static void notice_joins(near_t *near, uint64_t joins)
{
    near->joins = joins;
    for (uint32_t place = 0; place < near->count; place++) {
        near_source_t *source = &near->sources[place];

        if (source->joined ||
            (atomic_load(&near->control->joined[place / 64]) & UINT64_C(1) << place % 64) == 0)
            continue;
        source->joined = true;
        ring_reader_init(&source->reader, near_memory_ring(near, near->control, place),
                         near->ring_size);
        near->active[near->actives++] = place;
    }
}

static bool append(near_source_t *source, const ring_record_t *record)
{
    size_t needed = source->length + record->length;

    if (needed > source->room) {
        size_t room = needed > 2 * source->room ? needed : 2 * source->room;
        char *bytes = realloc(source->bytes, room);

        if (bytes == NULL)
            return false;
        source->bytes = bytes;
        source->room = room;
    }
    memcpy(source->bytes + source->length, record->bytes, record->length);
    source->length = needed;
    return true;
}

static void give_up(near_t *near, near_source_t *source, const char *why)
{
    char text[128];

    source->reader.broken = true;
    source->failed = true;
    snprintf(text, sizeof(text), "rank %d cannot go on: a message of rank %d %s", near->boot->rank,
             source->rank, why);
    near->boot->ops->abort(near->boot, 1, text);
}

/* A piece of a message that has more than one. */
static void take_piece(near_t *near, near_source_t *source, const ring_record_t *record)
{
    if (!append(source, record)) {
        give_up(near, source, "has no room in its memory");
        return;
    }
    if ((record->tag & NEAR_MORE) != 0)
        return;
    near->deliver(near->arg, source->rank, record->tag, source->bytes, source->length);
    free(source->bytes);
    source->bytes = NULL;
    source->length = source->room = 0;
}

static unsigned read_ring(near_t *near, near_source_t *source)
{
    ring_record_t record;
    unsigned done = 0;

    while (done < BURST && !source->failed && ring_front(&source->reader, &record)) {
        if (record.tag <= NEAR_KIND_MAX && source->bytes == NULL)
            near->deliver(near->arg, source->rank, record.tag, (char *)record.bytes, record.length);
        else
            take_piece(near, source, &record);
        ring_pop(&source->reader, &record);
        done++;
    }
    if (source->reader.broken && !source->failed)
        give_up(near, source, "is none: its shared memory was overwritten");
    return done;
}

static void flush_all(near_t *near, unsigned *done)
{
    near_link_t **at = &near->keeping;

    while (*at != NULL) {
        near_link_t *link = *at;

        *done += near_link_flush(link);
        if (link->first == NULL)
            *at = link->next_keeping;
        else
            at = &link->next_keeping;
    }
}

unsigned near_poll(near_t *near)
{
    uint64_t joins = atomic_load_explicit(&near->control->joins, memory_order_acquire);
    unsigned done = 0;

    if (joins != near->joins)
        notice_joins(near, joins);
    for (uint32_t i = 0; i < near->actives; i++)
        done += read_ring(near, &near->sources[near->active[i]]);
    if (near->keeping != NULL)
        flush_all(near, &done);
    return done;
}

static void empty_bell(near_t *near)
{
    char bytes[64];

    while (read(near->bell[0], bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
        ;
}

gas_status_t near_arm(near_t *near)
{
    empty_bell(near);
    near->sleeps += near->sleeps == UINT32_MAX ? 2 : 1; /* never 0 */
    atomic_store(&near->control->asleep, near->sleeps);
    if (atomic_load(&near->control->joins) != near->joins)
        return GAS_BUSY;
    for (uint32_t i = 0; i < near->actives; i++) {
        const near_source_t *source = &near->sources[near->active[i]];

        if (!source->failed && ring_has(&source->reader))
            return GAS_BUSY;
    }
    return GAS_OK;
}

int near_fd(const near_t *near)
{
    return near->bell[0];
}

size_t near_backlog(const near_t *near)
{
    return near->backlog;
}

void near_peer_failed(near_t *near, int rank)
{
    int place = near_place(near, rank);
    near_source_t *source;

    if (place < 0)
        return;
    source = &near->sources[place];
    source->failed = true;
    free(source->bytes);
    source->bytes = NULL;
    source->length = source->room = 0;
    if (near->links[place] != NULL)
        near_link_close(near->links[place]);
}
