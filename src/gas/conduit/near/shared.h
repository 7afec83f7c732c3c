/* The memory through which the ranks of one host send to each other, and the two sides of it: for
 * the files of this folder. How it works is said in near.c. */
#ifndef GAS_CONDUIT_NEAR_SHARED_H
#define GAS_CONDUIT_NEAR_SHARED_H

#include "near.h"
#include "ring.h"

#include <assert.h>

#define NEAR_RANKS_MAX 4096u /* of one host */
#define NEAR_PAGE 4096u
#define NEAR_MAGIC 0x5059474153303031u /* of this layout */
#define NEAR_MORE 0x80u                /* in a tag: the message goes on in the next record */

/* The first page of a rank's memory. */
typedef struct near_control {
    uint64_t magic;
    /* Whoever commits a record is to ring the bell, unless this is 0: the number of the sleep. */
    _Alignas(RING_LINE) _Atomic(uint32_t) asleep;
    _Alignas(RING_LINE) _Atomic(uint64_t) joins;   /* counts them */
    _Atomic(uint64_t) joined[NEAR_RANKS_MAX / 64]; /* a bit for each place of the host */
} near_control_t;

static_assert(sizeof(near_control_t) <= NEAR_PAGE, "the control has one page");

/* A message that was kept: it owns `bytes`, of which the first `sent` are gone. */
typedef struct near_kept {
    struct near_kept *next;
    char *bytes;
    size_t length, sent;
    unsigned kind;
} near_kept_t;

struct near_link {
    near_t *near;
    ring_writer_t writer;
    near_control_t *control; /* of the other rank, with all of its memory; NULL: it has ended */
    int bell;                /* -1: likewise */
    near_kept_t *first, *last;
    near_link_t *next_keeping;
};

/* What comes from one other rank. */
typedef struct near_source {
    ring_reader_t reader;
    int rank;
    bool joined, failed;
    char *bytes; /* the pieces of a message that is not complete */
    size_t length, room;
} near_source_t;

/* Ranks are known by their places on the host, from 0. Guarded by the conduit lock. */
struct near {
    gas_boot_t *boot;
    near_deliver_fn deliver;
    void *arg;
    near_control_t *control; /* this rank's own, and its memory behind it */
    int memory;              /* which is this file */
    int bell[2];             /* a pipe */
    uint32_t sleeps;         /* the number of the last one */
    uint32_t count;          /* of the ranks of this host */
    uint32_t mine;           /* the place of this one */
    size_t ring_size;        /* the same on all of them */
    int *ranks;              /* by place, ascending */
    near_source_t *sources;  /* by place */
    near_link_t **links;     /* by place */
    uint32_t *active;        /* the places that have joined */
    uint32_t actives;        /* how many have */
    uint64_t joins;          /* that have been noticed */
    near_link_t *keeping;    /* links that have kept messages */
    size_t backlog;
};

/* How much memory a rank has, and where in it the ring of a place is. */
size_t near_memory_size(const near_t *near);
char *near_memory_ring(const near_t *near, near_control_t *control, uint32_t place);

/* The place of `rank`; -1: it is on another host. */
int near_place(const near_t *near, int rank);

/* The namespace of this process's number; 0: not known. */
uint64_t near_processes(void);

/* link.c. Sends what was kept, as far as there is room; how much was done. */
unsigned near_link_flush(near_link_t *link);

/* Drops what is kept, and frees it. */
void near_link_close(near_link_t *link);

#endif
