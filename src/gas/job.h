/*
 * A job, as one of its ranks sees it: boot, conduit, settings, handlers, progress.
 *
 * A process normally has one; the unit tests have several, on a loopback.
 */
#ifndef GAS_JOB_H
#define GAS_JOB_H

#include "boot/boot.h"
#include "collective.h"
#include "conduit/conduit.h"
#include "config.h"
#include "event.h"
#include "failure.h"
#include "gate.h"
#include "home.h"
#include "mailbox.h"
#include "message.h"
#include "progress.h"
#include "segment.h"
#include "team.h"
#include "traffic.h"
#include "wait.h"
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>

/* Handler ids: the first few are the runtime's own. */
#define GAS_HANDLER_COLL 0
#define GAS_HANDLER_MAILBOX 1
#define GAS_HANDLER_PROBE 2
#define GAS_HANDLER_KEY_ASK 3
#define GAS_HANDLER_KEY 4
#define GAS_HANDLER_OP_ASK 5
#define GAS_HANDLER_OP_ANSWER 6
#define GAS_HANDLER_COLL_NOTE 7
#define GAS_HANDLER_USER 8

typedef struct gas_handler {
    gas_handler_fn run;
    void *arg;
} gas_handler_t;

/* Work waits and nobody inside the runtime will drain it: get a thread to call gas_work_drain();
 * `home`, if not NULL, is the one whose thread is needed. Called from any thread, also inside
 * handlers; must not block. `age`: nanoseconds for which the oldest item has waited, 0 when it has
 * just come. Called again while the work is still there. Also called, with an age, while the gate
 * is closed, to make that known: nobody can drain then. */
typedef void (*gas_kick_fn)(void *arg, gas_home_t *home, uint64_t age);

/* Housekeeping of the layer above, called by the progress thread each time it is about to sleep.
 * Must not block, poll or send. Returns for how many nanoseconds it may sleep at most. */
typedef uint64_t (*gas_idle_fn)(void *arg);

/* `rank` has failed: nothing comes from it any more, and nothing can be sent to it. Runs like a
 * handler: must not block, poll, or touch what only the layer above's own threads may. */
typedef void (*gas_failed_fn)(gas_job_t *job, int rank, void *arg);

/* A message has arrived for one of the runtime's own handlers, which has not run yet: the layer
 * above may look at what it has sent by them, and change it. Runs like a handler; `msg` stays the
 * runtime's. */
typedef void (*gas_arrived_fn)(gas_job_t *job, gas_msg_t *msg);

/* Writes where the layer above's threads are, for people, at most `size` bytes; returns how many.
 * Called from a thread of the boot's, at any time between start and stop; may take seconds. */
typedef size_t (*gas_stacks_fn)(char *text, size_t size);

/* The layer above does what it has to do now and then, and may put off, such as sending what it has
 * gathered. Called by the progress thread, without a lock, whenever it looks around; at the latest
 * after the returned number of nanoseconds (GAS_FOREVER: when something has happened), or soon
 * after gas_progress_hurry(). Must not block. */
typedef uint64_t (*gas_tend_fn)(void *arg);

/* Instead of anybody's taking it: a message of an exchange (collective.h) is thrown away unread.
 * Runs like a handler; the message stays the caller's. */
typedef void (*gas_discard_fn)(gas_job_t *job, gas_msg_t *msg);

typedef struct gas_job_params {
    gas_boot_t *boot; /* becomes the job's, also if starting it fails */
    const gas_conduit_ops_t *conduit;
    gas_handler_t handlers[GAS_HANDLER_MAX]; /* from GAS_HANDLER_USER on */
    uint32_t watched;                        /* of them: see traffic.h */
    gas_kick_fn kick;
    void *kick_arg;
    gas_idle_fn idle;     /* may be NULL; gets kick_arg */
    gas_failed_fn failed; /* may be NULL */
    void *failed_arg;
    gas_arrived_fn arrived; /* may be NULL */
    gas_stacks_fn stacks;   /* may be NULL */
    gas_discard_fn discard; /* may be NULL */
    gas_tend_fn tend;       /* may be NULL */
    void *tend_arg;
    gas_interrupt_fn interrupt; /* see boot.h; may be NULL */
    void *interrupt_arg;
} gas_job_params_t;

struct gas_job {
    gas_boot_t *boot;
    gas_conduit_t *conduit;
    gas_config_t config;
    gas_handler_t handlers[GAS_HANDLER_MAX]; /* constant after the start */
    gas_kick_fn kick;
    gas_idle_fn idle;
    void *kick_arg;
    gas_tend_fn tend;
    void *tend_arg;
    gas_discard_fn discard;
    gas_failed_fn failed;
    void *failed_arg;
    gas_arrived_fn arrived;
    gas_stacks_fn stacks;
    atomic_uint_least64_t activity; /* messages that have arrived, but for probes */
    pthread_mutex_t lock;           /* the conduit lock; recursive, as handlers send */
    atomic_size_t backlog;          /* of the conduit, at the last look */
    atomic_size_t dropped; /* messages that named no handler, found no memory or came too late */
    atomic_bool closed;    /* what arrives is dropped */
    gas_workq_t workq;
    gas_gate_t gate;
    gas_progress_t progress;
    gas_teams_t teams;
    gas_colls_t colls;
    gas_mailbox_t mailbox;
    gas_segment_t segment;
    gas_failure_t failure;
    gas_event_t ended; /* set when every rank has finished, or has failed; for gas_job_finish() */
    gas_traffic_t traffic;
};

/*
 * Start this rank's part of the job. Collective: blocks until every rank is in here. *job is set
 * before the first handler runs, which can be before this returns. On an error it is NULL, and
 * nothing is left but the reason in gas_error_text().
 */
gas_status_t gas_job_start(const gas_job_params_t *params, gas_job_t **job);

/*
 * From now on what arrives is dropped, so no handler runs and no work is pushed any more. Call it
 * before taking the remaining work out (gas_work_take()) and stopping. Local. Any thread, not
 * inside handlers.
 */
void gas_job_close(gas_job_t *job);

/*
 * End this rank's part: closes it (gas_job_close()), waits a little for what it has sent to be
 * taken by the transport, then ends it. Local; ranks that may still be sent to should have met in a
 * barrier before. The caller has taken its own work out (gas_work_take()) and no other thread uses
 * the job any more.
 */
void gas_job_stop(gas_job_t *job);

/* The upper layer has something new to do in its idle(): sees to it that it is called soon. Any
 * thread, also inside handlers; cheap if the progress thread is awake. */
void gas_job_rouse(gas_job_t *job);

/*
 * Say that this rank has finished its program and goes on serving the others: `ended` of the job is
 * set when all ranks have, or have failed; one thread may wait for it. Does not wait.
 */
gas_status_t gas_job_finish(gas_job_t *job);

/* Tell the launcher that the end of this process is a proper one. */
gas_status_t gas_job_bye(gas_job_t *job);

static inline int gas_job_rank(const gas_job_t *job)
{
    return job->boot->rank;
}

static inline int gas_job_size(const gas_job_t *job)
{
    return job->boot->size;
}

/* True if `rank` runs on this rank's host. */
static inline bool gas_job_shares_host(const gas_job_t *job, int rank)
{
    return gas_boot_shares_host(job->boot, rank);
}

/* Send an active message: see am_send in conduit.h for the contract. Any thread, also inside
 * handlers. Waits for the conduit lock, which a peer's large buffer may hold for milliseconds. */
gas_status_t gas_am_send(gas_job_t *job, int destination, const gas_am_t *am, gas_done_fn done,
                         void *arg);

/*
 * True if no buffer of a message that says `changeable` is on its way; else gas_bulk_settle()
 * copies those buffers before they are changed, so that their receivers get them as they were when
 * they were sent. It blocks for as long as that takes, with the conduit lock. Any thread, not
 * inside handlers.
 */
bool gas_bulk_is_settled(gas_job_t *job);
gas_status_t gas_bulk_settle(gas_job_t *job);

/* Internal: the conduit lock. */
void gas_job_lock(gas_job_t *job);
void gas_job_unlock(gas_job_t *job);

/* Internal, under the lock: looks at the conduit's backlog. */
void gas_job_note_backlog(gas_job_t *job);

#endif
