/*
 * Status codes of the runtime, and the text that goes with the last error of a thread.
 *
 * A function that can fail returns a gas_status_t and sets its outputs only on GAS_OK. Positive
 * values are outcomes, not errors. The runtime never aborts and never exits.
 */
#ifndef GAS_STATUS_H
#define GAS_STATUS_H

typedef enum gas_status {
    GAS_OK = 0,

    GAS_BUSY = 1,        /* not now: poll, then try again */
    GAS_WORK = 2,        /* gas_wait(): work is queued for the caller */
    GAS_TIMEOUT = 3,     /* the deadline passed first */
    GAS_INTERRUPTED = 4, /* the caller should look at its signals, then go on */

    GAS_ERR_NO_MEMORY = -1,
    GAS_ERR_INVALID = -2,     /* an argument or a setting is wrong */
    GAS_ERR_IO = -3,          /* the operating system refused */
    GAS_ERR_PROTOCOL = -4,    /* a malformed message */
    GAS_ERR_CLOSED = -5,      /* the job, or its launcher, is gone */
    GAS_ERR_TRANSPORT = -6,   /* the transport library failed */
    GAS_ERR_UNREACHABLE = -7, /* no transport reaches that rank */
    GAS_ERR_UNSUPPORTED = -8,
    GAS_ERR_RANK_FAILED = -9, /* a rank that this needs has failed (failure.h) */
    GAS_ERR_MISMATCH = -10    /* the ranks of a team disagree about a collective operation */
} gas_status_t;

/* The name of a status, for messages; never NULL. */
const char *gas_status_name(gas_status_t status);

/*
 * Remember what went wrong, for this thread, and return `status`. The text says what to do about it
 * where that is known. Any thread, any context; does not allocate.
 */
gas_status_t gas_error(gas_status_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, of an error that a rank is the cause of. */
gas_status_t gas_error_of_rank(gas_status_t status, int rank, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of this thread's last gas_error(); "" if there was none. Valid until the next one. */
const char *gas_error_text(void);

/* The rank that was the cause of it; -1 if none was. */
int gas_error_rank(void);

#endif
