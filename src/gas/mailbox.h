/*
 * The mailbox: messages (handler GAS_HANDLER_MAILBOX, header beginning with a u64 tag) that a rank
 * expects by tag and source, whichever comes first, the message or the one who expects it.
 * The end of a job stands on it (pygas/_job.py).
 *
 * It also finds out about collectives that can never end, because the rank that is waited for has
 * finished its program: the waiting rank probes it now and then; a rank that is ending says so; if
 * the message is still not there then (messages of one rank to another keep their order), the
 * waiting rank tells the ending one, which gives up its end of the job (gas_mailbox_abandoned()).
 */
#ifndef GAS_MAILBOX_H
#define GAS_MAILBOX_H

#include "event.h"
#include "message.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A message that is waited for; the caller's memory, from expect to take or cancel. */
typedef struct gas_parcel gas_parcel_t;
struct gas_parcel {
    uint64_t tag;
    int source;
    size_t failures;   /* that who waits knows of: it is a matter of the others */
    gas_event_t event; /* set when msg is there, or will not come */
    gas_msg_t *msg;    /* NULL if it will not come: one more rank has failed, or source has ended */
    gas_parcel_t *next; /* guarded by the conduit lock, as all of the mailbox */
};

typedef struct gas_mailbox {
    gas_msg_t *early; /* messages that nobody has expected yet, oldest first */
    gas_msg_t **early_end;
    gas_parcel_t *wanted; /* messages that are waited for */
    atomic_bool ending;   /* this rank has finished its program */
    atomic_int abandoned; /* 1 + a rank that waits in vain for this one; 0: none */
} gas_mailbox_t;

void gas_mailbox_init(gas_mailbox_t *mailbox);

/* Frees what nobody took. Before the conduit is closed. */
void gas_mailbox_fini(gas_job_t *job);

/*
 * Begins to wait for the message `tag` of `source`. At most one parcel for a tag and source.
 * Parcels belong to collectives of all ranks but for the first `failures` that have failed: when
 * one more has failed, no message comes that is not there already, since its source may be waiting
 * for that one.
 */
void gas_mailbox_expect(gas_job_t *job, gas_parcel_t *parcel, uint64_t tag, int source,
                        size_t failures);

/* Stops waiting. Returns the message if it came after all (the caller's to free), else NULL. */
gas_msg_t *gas_mailbox_cancel(gas_job_t *job, gas_parcel_t *parcel);

/* Asks the parcel's source whether it is ending. For a wait that is taking long. */
gas_status_t gas_mailbox_probe(gas_job_t *job, const gas_parcel_t *parcel);

/* This rank has finished its program: from now on it answers probes. */
void gas_mailbox_set_ending(gas_job_t *job);

/* The rank that waits in vain for this one, which is ending; -1 if there is none. */
int gas_mailbox_abandoned(gas_job_t *job);

/* Internal, under the conduit lock: what is waited for will not come, as `rank` has failed. */
void gas_mailbox_peer_failed(gas_job_t *job, int rank);

/* Handlers. */
void gas_mailbox_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);
void gas_mailbox_probed(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
