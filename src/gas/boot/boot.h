/*
 * Boot: who am I, who are the others, and how do I learn a peer's address.
 *
 * A backend is a table of operations. Calls may come from any thread; each backend has its own
 * lock, which is a leaf: nothing else is taken while it is held. `get` may be called under the
 * conduit's lock, so it must not wait for anything that needs this rank to make progress: after the
 * first fence every peer's address is there, and the answer comes from the launcher at once.
 */
#ifndef GAS_BOOT_BOOT_H
#define GAS_BOOT_BOOT_H

#include "../status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gas_boot gas_boot_t;

/* Called when a signal interrupted a blocking call. Non-zero: give up with GAS_INTERRUPTED. */
typedef int (*gas_interrupt_fn)(void *arg);

typedef struct gas_boot_ops {
    const char *name;

    /* Publish this rank's address, once, before the first fence. Does not wait for peers. */
    gas_status_t (*put)(gas_boot_t *boot, const void *address, size_t length);

    /* Collective. Blocks until every rank is in its fence. */
    gas_status_t (*fence)(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg);

    /* A peer's address, in memory that the caller frees with free(). */
    gas_status_t (*get)(gas_boot_t *boot, int rank, void **address, size_t *length);

    /* Tell the launcher that this rank has ended its part of the job properly. */
    gas_status_t (*bye)(gas_boot_t *boot);

    /* Ask the launcher to end the whole job with `code` and to show `text`. */
    gas_status_t (*abort)(gas_boot_t *boot, int code, const char *text);

    void (*destroy)(gas_boot_t *boot);
} gas_boot_ops_t;

struct gas_boot {
    const gas_boot_ops_t *ops;
    int rank;
    int size;
    int one_host; /* every rank of the job runs on this host */
};

/* True if `rank` runs on this rank's host. A boot that knows of several hosts will say which. */
static inline bool gas_boot_shares_host(const gas_boot_t *boot, int rank)
{
    return boot->one_host || rank == boot->rank;
}

/*
 * The boot that `spec` asks for: NULL or "" is a job of one; otherwise the text that the launcher
 * left in PYGAS_BOOT, "fd:<n>,rank:<r>,size:<s>,key:<hex>", whose descriptor this call takes over.
 */
gas_status_t gas_boot_create(const char *spec, gas_boot_t **boot);

/* Backends. */
gas_status_t gas_boot_single_create(gas_boot_t **boot);
gas_status_t gas_boot_launcher_create(int fd, int rank, int size, gas_boot_t **boot);

#endif
