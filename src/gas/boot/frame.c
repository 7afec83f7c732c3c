#include "frame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define FAILED_MAX 1024u

gas_status_t gas_launcher_gone(void)
{
    return gas_error(GAS_ERR_CLOSED, "the launcher (pygas run) is gone");
}

static gas_status_t write_all(int fd, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gas_launcher_gone();
        at += n;
        length -= (size_t)n;
    }
    return GAS_OK;
}

static bool read_all(int fd, void *data, size_t length)
{
    char *at = data;

    while (length > 0) {
        ssize_t n = recv(fd, at, length, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

/* True if the launcher may send such a frame. */
static bool is_sound(const gas_frame_t *frame)
{
    switch (frame->type) {
    case GAS_FRAME_VALUE:
        return frame->length <= GAS_FRAME_MAX + sizeof(uint32_t);
    case GAS_FRAME_FAILED:
        return frame->length >= sizeof(gas_failed_wire_t) && frame->length <= FAILED_MAX;
    case GAS_FRAME_ASK:
        return frame->length == sizeof(uint32_t);
    case GAS_FRAME_FENCE_DONE:
    case GAS_FRAME_POLICY_DONE:
    case GAS_FRAME_ENDED:
        return frame->length == 0;
    default:
        return false;
    }
}

gas_letter_t *gas_letter_read(int fd, gas_status_t *why)
{
    gas_letter_t *letter;
    gas_frame_t frame;

    *why = GAS_ERR_CLOSED;
    if (!read_all(fd, &frame, sizeof(frame)))
        return NULL;
    if (!is_sound(&frame)) {
        *why = GAS_ERR_PROTOCOL;
        return NULL;
    }
    letter = malloc(sizeof(*letter) + frame.length + 1);
    if (letter == NULL) {
        *why = GAS_ERR_NO_MEMORY;
        return NULL;
    }
    letter->next = NULL;
    letter->frame = frame;
    letter->payload[frame.length] = '\0';
    if (!read_all(fd, letter->payload, frame.length)) {
        free(letter);
        return NULL;
    }
    return letter;
}

gas_status_t gas_frame_write(int fd, uint32_t type, const void *payload, size_t length)
{
    gas_frame_t frame = {type, (uint32_t)length};
    gas_status_t status;

    if (length > GAS_FRAME_MAX)
        return gas_error(GAS_ERR_INVALID, "a boot message of %zu bytes is too long", length);
    status = write_all(fd, &frame, sizeof(frame));
    if (status == GAS_OK && length > 0)
        status = write_all(fd, payload, length);
    return status;
}
