/*
 * Boot over the socket that `pygas run` left open in this process.
 *
 * Design notes. Frames are {u32 type, u32 length, payload}, in native byte order (one host). The
 * other half of the protocol, and its description, is pygas/launch/protocol.py. This side only ever
 * has one question open (a fence or a get), so replies need no matching: `lock` is held from the
 * question to its answer. One-way messages (put, bye, abort) take the same lock for the write.
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum frame_type {
    FRAME_PUT = 1,
    FRAME_FENCE = 2,
    FRAME_FENCE_DONE = 3,
    FRAME_GET = 4,
    FRAME_VALUE = 5,
    FRAME_BYE = 6,
    FRAME_ABORT = 7
};

#define FRAME_MAX (1u << 20)

typedef struct frame {
    uint32_t type;
    uint32_t length;
} frame_t;

typedef struct launcher_boot {
    gas_boot_t super;
    int fd;
    pthread_mutex_t lock; /* one conversation at a time on fd */
} launcher_boot_t;

static gas_status_t gone(void)
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
            return gone();
        at += n;
        length -= (size_t)n;
    }
    return GAS_OK;
}

static gas_status_t read_all(int fd, void *data, size_t length, gas_interrupt_fn interrupt,
                             void *arg)
{
    char *at = data;

    while (length > 0) {
        ssize_t n = recv(fd, at, length, 0);

        if (n < 0 && errno == EINTR) {
            if (interrupt != NULL && interrupt(arg))
                return gas_error(GAS_INTERRUPTED, "interrupted while the job was starting");
            continue;
        }
        if (n <= 0)
            return gone();
        at += n;
        length -= (size_t)n;
    }
    return GAS_OK;
}

static gas_status_t send_frame(launcher_boot_t *self, uint32_t type, const void *payload,
                               size_t length)
{
    frame_t frame = {type, (uint32_t)length};
    gas_status_t status;

    if (length > FRAME_MAX)
        return gas_error(GAS_ERR_INVALID, "a boot message of %zu bytes is too long", length);
    status = write_all(self->fd, &frame, sizeof(frame));
    if (status == GAS_OK && length > 0)
        status = write_all(self->fd, payload, length);
    return status;
}

/* Reads the head of the reply that the open question waits for, of `least` bytes to `most`. */
static gas_status_t expect_frame(launcher_boot_t *self, uint32_t type, frame_t *frame, size_t least,
                                 size_t most, gas_interrupt_fn interrupt, void *arg)
{
    gas_status_t status = read_all(self->fd, frame, sizeof(*frame), interrupt, arg);

    if (status == GAS_OK && (frame->type != type || frame->length < least || frame->length > most))
        return gas_error(GAS_ERR_PROTOCOL, "the launcher answered with frame %u of %u bytes",
                         frame->type, frame->length);
    return status;
}

static gas_status_t launcher_tell(gas_boot_t *boot, uint32_t type, const void *payload,
                                  size_t length)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;
    gas_status_t status;

    pthread_mutex_lock(&self->lock);
    status = send_frame(self, type, payload, length);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static gas_status_t launcher_put(gas_boot_t *boot, const void *address, size_t length)
{
    return launcher_tell(boot, FRAME_PUT, address, length);
}

static gas_status_t launcher_bye(gas_boot_t *boot)
{
    return launcher_tell(boot, FRAME_BYE, NULL, 0);
}

static gas_status_t launcher_abort(gas_boot_t *boot, int code, const char *text)
{
    char payload[sizeof(int32_t) + 1024];
    int32_t code32 = code;
    size_t length = strnlen(text, sizeof(payload) - sizeof(code32));

    memcpy(payload, &code32, sizeof(code32));
    memcpy(payload + sizeof(code32), text, length);
    return launcher_tell(boot, FRAME_ABORT, payload, sizeof(code32) + length);
}

static gas_status_t launcher_fence(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;
    gas_status_t status;
    frame_t frame;

    pthread_mutex_lock(&self->lock);
    status = send_frame(self, FRAME_FENCE, NULL, 0);
    if (status == GAS_OK)
        status = expect_frame(self, FRAME_FENCE_DONE, &frame, 0, 0, interrupt, arg);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static gas_status_t read_value(launcher_boot_t *self, uint32_t rank, void **address, size_t *length)
{
    frame_t frame;
    uint32_t rank_there;
    size_t size;
    char *value;
    gas_status_t status = expect_frame(self, FRAME_VALUE, &frame, sizeof(rank_there),
                                       FRAME_MAX + sizeof(rank_there), NULL, NULL);

    if (status != GAS_OK)
        return status;
    status = read_all(self->fd, &rank_there, sizeof(rank_there), NULL, NULL);
    if (status != GAS_OK)
        return status;
    if (rank_there != rank)
        return gas_error(GAS_ERR_PROTOCOL, "the launcher sent the address of rank %u for %u",
                         rank_there, rank);
    size = frame.length - sizeof(rank_there);
    value = malloc(size > 0 ? size : 1);
    if (value == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an address of %zu bytes", size);
    status = read_all(self->fd, value, size, NULL, NULL);
    if (status != GAS_OK) {
        free(value);
        return status;
    }
    *address = value;
    *length = size;
    return GAS_OK;
}

static gas_status_t launcher_get(gas_boot_t *boot, int rank, void **address, size_t *length)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;
    uint32_t rank32 = (uint32_t)rank;
    gas_status_t status;

    pthread_mutex_lock(&self->lock);
    status = send_frame(self, FRAME_GET, &rank32, sizeof(rank32));
    if (status == GAS_OK)
        status = read_value(self, rank32, address, length);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void launcher_destroy(gas_boot_t *boot)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;

    close(self->fd);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const gas_boot_ops_t launcher_ops = {
    .name = "launcher",
    .put = launcher_put,
    .fence = launcher_fence,
    .get = launcher_get,
    .bye = launcher_bye,
    .abort = launcher_abort,
    .destroy = launcher_destroy,
};

gas_status_t gas_boot_launcher_create(int fd, int rank, int size, gas_boot_t **boot)
{
    launcher_boot_t *self;
    struct stat info;

    if (fstat(fd, &info) != 0 || !S_ISSOCK(info.st_mode))
        return gas_error(GAS_ERR_INVALID,
                         "PYGAS_BOOT names descriptor %d, which is not the launcher's socket: this "
                         "process was started by a rank but is none itself; unset PYGAS_BOOT in "
                         "its environment to let it run as a job of one",
                         fd);
    self = calloc(1, sizeof(*self));
    if (self == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the job");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* If the launcher is killed together with its guard, nobody else ends this rank. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    self->super.ops = &launcher_ops;
    self->super.rank = rank;
    self->super.size = size;
    self->super.one_host = 1;
    self->fd = fd;
    pthread_mutex_init(&self->lock, NULL);
    *boot = &self->super;
    return GAS_OK;
}
