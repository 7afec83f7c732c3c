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

/* What a rank can be asked for. */
#define GAS_ASK_PULSE 0  /* a gas_pulse_t */
#define GAS_ASK_REPORT 1 /* text, for people */

#define GAS_ANSWER_MAX (1u << 18)

/* How a rank is. */
typedef struct gas_pulse {
    uint64_t activity; /* grows with each message that arrives */
    uint64_t waiting;  /* for how many milliseconds it has been waiting, doing nothing else; or 0 */
} gas_pulse_t;

/*
 * What the boot has to say unasked. Called from a thread of its own, one call at a time, while no
 * lock of the runtime is held; must not ask the boot for anything, nor wait for a thread that may
 * be asking it.
 */
typedef struct gas_boot_events {
    /* A rank has ended without having finished its part. `status` is its exit code, or minus the
     * signal that killed it, or 0; `reason` says it in words. */
    void (*rank_failed)(void *arg, int rank, int status, const char *reason);

    /* The launcher wants to know how this rank is (`what` is GAS_ASK_PULSE) or where its threads
     * are (GAS_ASK_REPORT): answer with `answer`. */
    void (*asked)(void *arg, uint32_t what);

    /* Every rank has finished its program (`finished`), or has failed; or the launcher is gone. */
    void (*ended)(void *arg);
} gas_boot_events_t;

typedef struct gas_boot_ops {
    const char *name;

    /* Publish this rank's address, once, before the first fence. Does not wait for peers. */
    gas_status_t (*put)(gas_boot_t *boot, const void *address, size_t length);

    /* Has `events` called with `arg` from now on, also for what happened before; NULL: no more, and
     * no call is under way when this returns. `events` stays the caller's. */
    void (*listen)(gas_boot_t *boot, const gas_boot_events_t *events, void *arg);

    /* Collective. Blocks until every rank that has not failed is in its fence. */
    gas_status_t (*fence)(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg);

    /* A peer's address, in memory that the caller frees with free(). */
    gas_status_t (*get)(gas_boot_t *boot, int rank, void **address, size_t *length);

    /* Tell the launcher that this rank has finished its program and goes on serving the others. The
     * event `ended` comes when all ranks have. Does not wait. */
    gas_status_t (*finished)(gas_boot_t *boot);

    /* Have the job go on when a rank fails, or (`go_on` false) be ended. It is so when this
     * returns, for the whole job. */
    gas_status_t (*set_policy)(gas_boot_t *boot, bool go_on);

    /* Answer to the event `asked`, with at most GAS_ANSWER_MAX bytes. Does not wait. */
    gas_status_t (*answer)(gas_boot_t *boot, uint32_t what, const void *data, size_t length);

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
