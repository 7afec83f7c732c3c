/*
 * Frames: what goes over the socket between a rank and the launcher. {u32 type, u32 length,
 * payload}, in native byte order (one host). The other half of the protocol, and its description,
 * is pygas/launch/protocol.py.
 */
#ifndef GAS_BOOT_FRAME_H
#define GAS_BOOT_FRAME_H

#include "../status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum gas_frame_type {
    GAS_FRAME_PUT = 1,
    GAS_FRAME_FENCE = 2,
    GAS_FRAME_FENCE_DONE = 3,
    GAS_FRAME_GET = 4,
    GAS_FRAME_VALUE = 5,
    GAS_FRAME_BYE = 6,
    GAS_FRAME_ABORT = 7,
    GAS_FRAME_FAILED = 8,
    GAS_FRAME_FINISHED = 9,
    GAS_FRAME_ENDED = 10,
    GAS_FRAME_POLICY = 11,
    GAS_FRAME_POLICY_DONE = 12,
    GAS_FRAME_ASK = 13,
    GAS_FRAME_ANSWER = 14
} gas_frame_type_t;

#define GAS_FRAME_MAX (1u << 20) /* bytes of a payload; of a value's, without its rank */

typedef struct gas_frame {
    uint32_t type;
    uint32_t length;
} gas_frame_t;

/* A frame that has been read; its payload follows, and a zero. */
typedef struct gas_letter {
    struct gas_letter *next; /* the reader's */
    gas_frame_t frame;
    char payload[];
} gas_letter_t;

/* The payload of GAS_FRAME_FAILED; the reason follows. */
typedef struct gas_failed_wire {
    uint32_t rank;
    int32_t status;
} gas_failed_wire_t;

/* Reads the next frame that the launcher may send, of a length that it may have; to be freed.
 * Blocks. NULL, and why: CLOSED, PROTOCOL or NO_MEMORY. */
gas_letter_t *gas_letter_read(int fd, gas_status_t *why);

/* Writes a frame. Blocks while the launcher does not read; one thread at a time. */
gas_status_t gas_frame_write(int fd, uint32_t type, const void *payload, size_t length);

/* The error that the launcher is not there any more. */
gas_status_t gas_launcher_gone(void);

#endif
