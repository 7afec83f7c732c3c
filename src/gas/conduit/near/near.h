/*
 * Messages between the ranks of one host, through memory that they share: a ring (ring.h) for each
 * pair and direction, so that a rank that dies while it writes damages nothing that others use.
 *
 * Part of a conduit, which guards it by its lock; `near_fd` may be slept on without. A message is a
 * run of bytes of any length with a kind; those of one rank to one other arrive in order.
 *
 * Where it can't be had (no /proc, ranks in containers of their own) near_open() says so, and the
 * conduit has to have another way.
 */
#ifndef GAS_CONDUIT_NEAR_NEAR_H
#define GAS_CONDUIT_NEAR_NEAR_H

#include "../../boot/boot.h"
#include "../../status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEAR_KIND_MAX 0x7Fu

typedef struct near near_t;

/* The way to one other rank. */
typedef struct near_link near_link_t;

/* What others need to reach this rank: to be passed on as bytes. */
typedef struct near_card {
    uint64_t magic; /* 0: it cannot be reached in this way */
    int32_t pid;
    int32_t memory; /* descriptors in that process */
    int32_t bell;
    uint32_t reserved;
    uint64_t processes;                   /* the namespace of `pid`; 0: not known */
    uint64_t memory_device, memory_inode; /* which prove that they are the right ones */
    uint64_t bell_device, bell_inode;
    uint64_t size; /* of the memory */
} near_card_t;

/* Called with each message; `bytes` are valid until it returns. It may send, but not poll. */
typedef void (*near_deliver_fn)(void *arg, int source, unsigned kind, char *bytes, size_t length);

/* `boot` outlives it, and is told to end the job if a message has to be given up. *near: NULL with
 * GAS_OK if there is no other rank on this host, or the system has no memory that could be shared
 * so. */
gas_status_t near_create(gas_boot_t *boot, near_deliver_fn deliver, void *arg, near_t **near);

/* Waits for nothing: what near_backlog() counts is lost. */
void near_destroy(near_t *near);

/* `near` may be NULL. */
void near_card(const near_t *near, near_card_t *card);

/* The way to `rank`, which published `card`; NULL: there is none. If its process has ended,
 * messages to it are lost. Once for each rank; its end comes with near_peer_failed() or
 * near_destroy(). */
near_link_t *near_open(near_t *near, int rank, const near_card_t *card);

/* Where to write a message of `length` bytes, to be sent by near_end() before anything else is done
 * here; NULL: not now, but near_keep() will take it. */
void *near_begin(near_link_t *link, size_t length);
void near_end(near_link_t *link, unsigned kind, size_t length);

/* Takes over `bytes`, of malloc(), to be sent by later polls. Without memory they are freed. */
gas_status_t near_keep(near_link_t *link, unsigned kind, void *bytes, size_t length);

/* Delivers what is there, some of it, and sends what was kept. How much was done. */
unsigned near_poll(near_t *near);

/* GAS_OK: from now on near_fd() becomes readable when something arrives. GAS_BUSY: something has.
 */
gas_status_t near_arm(near_t *near);
int near_fd(const near_t *near);

/* How many messages are kept. */
size_t near_backlog(const near_t *near);

/* Drops what was kept for `rank`, and what comes from it from now on. Its link is freed. */
void near_peer_failed(near_t *near, int rank);

#endif
