/*
 * The sender's side: another rank's memory, and what is kept for it.
 *
 * Design notes. The other rank is found by its process and the numbers of two descriptors in it;
 * that these still are its memory and its bell, and that the process is not another one of the same
 * number (in a container), shows in the device and inode of both. Its memory stays mapped when it
 * ends, so what is written then is lost and harms nobody; so is what is for a rank that has ended
 * before it was first written to. The bell is opened for reading, too: so
 * ringing it when its owner is gone raises no signal.
 *
 * A message goes into the ring at once if nothing is kept for that rank; else it is kept as well,
 * for the order's sake.
 */
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptor `fd` of process `pid`, opened here, if it is what `device` and `inode` say; else -1.
 */
static int open_theirs(int pid, int fd, uint64_t device, uint64_t inode)
{
    struct stat found;
    char path[64];
    int mine;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
    /* First: opening what it is not might do something. */
    if (stat(path, &found) != 0 || found.st_dev != device || found.st_ino != inode)
        return -1;
    mine = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (mine >= 0 &&
        (fstat(mine, &found) != 0 || found.st_dev != device || found.st_ino != inode)) {
        close(mine);
        return -1;
    }
    return mine;
}

/* Maps the memory of the rank that published `card`, and has the pages of this rank's ring in it.
 */
static near_control_t *map_theirs(const near_t *near, const near_card_t *card)
{
    size_t size = near_memory_size(near), offset = NEAR_PAGE + near->mine * near->ring_size;
    int fd = open_theirs(card->pid, card->memory, card->memory_device, card->memory_inode);
    near_control_t *control = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (posix_fallocate(fd, (off_t)offset, (off_t)near->ring_size) == 0)
        control = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    close(fd);
    return control != MAP_FAILED ? control : NULL;
}

/* True if that process is no more, or a zombie, whose descriptors are closed. */
static bool has_ended(const near_card_t *card)
{
    struct stat found;
    char path[64];

    if (card->processes == 0 || card->processes != near_processes())
        return false;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", card->pid, card->memory);
    return stat(path, &found) != 0 && errno == ENOENT;
}

/* Tells the owner that this rank's ring is to be read. */
static void join(const near_t *near, near_control_t *control)
{
    atomic_fetch_or(&control->joined[near->mine / 64], UINT64_C(1) << near->mine % 64);
    atomic_fetch_add(&control->joins, 1);
}

near_link_t *near_open(near_t *near, int rank, const near_card_t *card)
{
    int place = near_place(near, rank);
    near_link_t *link;
    bool ended;

    if (card->magic != NEAR_MAGIC || place < 0 || card->size != near_memory_size(near))
        return NULL;
    link = calloc(1, sizeof(*link));
    if (link == NULL)
        return NULL;
    link->near = near;
    link->bell = open_theirs(card->pid, card->bell, card->bell_device, card->bell_inode);
    if (link->bell >= 0)
        link->control = map_theirs(near, card);
    ended = link->control == NULL && has_ended(card);
    if (link->control == NULL && link->bell >= 0) {
        close(link->bell);
        link->bell = -1;
    }
    if (link->control == NULL && !ended) {
        free(link);
        return NULL;
    }
    if (!ended) {
        ring_writer_init(&link->writer, near_memory_ring(near, link->control, near->mine),
                         near->ring_size);
        join(near, link->control);
    }
    near->links[place] = link;
    return link;
}

void near_link_close(near_link_t *link)
{
    near_t *near = link->near;
    near_link_t **at = &near->keeping;

    while (*at != NULL && *at != link)
        at = &(*at)->next_keeping;
    if (*at != NULL)
        *at = link->next_keeping;
    while (link->first != NULL) {
        near_kept_t *kept = link->first;

        link->first = kept->next;
        free(kept->bytes);
        free(kept);
        near->backlog--;
    }
    for (uint32_t i = 0; i < near->count; i++)
        if (near->links[i] == link)
            near->links[i] = NULL;
    if (link->control != NULL)
        munmap(link->control, near_memory_size(near));
    if (link->bell >= 0)
        close(link->bell);
    free(link);
}

/* A record has been committed: wakes its reader if need be. */
static void ring_bell(near_link_t *link)
{
    uint32_t sleep = atomic_load(&link->control->asleep);
    ssize_t n;

    if (sleep == 0)
        return;
    do
        n = write(link->bell, "", 1);
    while (n < 0 && errno == EINTR); /* if it is full, it has been rung */
    atomic_compare_exchange_strong(&link->control->asleep, &sleep, 0);
}

void *near_begin(near_link_t *link, size_t length)
{
    if (link->first != NULL || link->control == NULL || length > ring_record_max(&link->writer))
        return NULL;
    return ring_reserve(&link->writer, length);
}

void near_end(near_link_t *link, unsigned kind, size_t length)
{
    ring_commit(&link->writer, kind, length);
    ring_bell(link);
}

/* Sends the next piece of it; false if there is no room. */
static bool send_piece(near_link_t *link, near_kept_t *kept)
{
    size_t most = ring_record_max(&link->writer), left = kept->length - kept->sent;
    size_t length = left < most ? left : most;
    void *at = ring_reserve(&link->writer, length);

    if (at == NULL)
        return false;
    memcpy(at, kept->bytes + kept->sent, length);
    near_end(link, kept->kind | (length < left ? NEAR_MORE : 0), length);
    kept->sent += length;
    return true;
}

unsigned near_link_flush(near_link_t *link)
{
    unsigned done = 0;

    while (link->first != NULL) {
        near_kept_t *kept = link->first;

        if (!send_piece(link, kept))
            return done;
        done++;
        if (kept->sent < kept->length)
            continue;
        link->first = kept->next;
        free(kept->bytes);
        free(kept);
        link->near->backlog--;
    }
    return done;
}

gas_status_t near_keep(near_link_t *link, unsigned kind, void *bytes, size_t length)
{
    near_kept_t *kept;
    near_t *near = link->near;

    if (link->control == NULL) {
        free(bytes);
        return GAS_OK;
    }
    kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        free(bytes);
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a message of %zu bytes", length);
    }
    *kept = (near_kept_t){.bytes = bytes, .length = length, .kind = kind};
    near->backlog++;
    if (link->first != NULL) {
        link->last = link->last->next = kept;
        return GAS_OK;
    }
    link->first = link->last = kept;
    near_link_flush(link); /* it may only have been too long for one record */
    if (link->first != NULL) {
        link->next_keeping = near->keeping;
        near->keeping = link;
    }
    return GAS_OK;
}
