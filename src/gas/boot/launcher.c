/*
 * Boot over the socket that `pygas run` left open in this process.
 *
 * Design notes. A thread, the reader, is the only one that reads. What the launcher says unasked (a
 * rank has failed) it passes on as an event; an answer it leaves in `answer` for the thread that
 * asked. This side only ever has one question open (a fence, a get, a policy), so answers need no
 * matching: `asking` is held from the question to its answer. A thread may ask while it holds the
 * conduit lock, so the reader never waits for that lock, nor do the events.
 *
 * When the stream ends or makes no sense the reader says so in `broken` and is done; every question
 * from then on gets that for an answer.
 *
 * Locks: `asking` > `lock`, `writing`; `telling` > locks of the listener. `writing` keeps frames
 * whole.
 */
#include "../thread.h"
#include "boot.h"
#include "frame.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 100000000 /* between two looks at signals */

typedef struct launcher_boot {
    gas_boot_t super;
    int fd;
    pthread_t reader;
    pthread_mutex_t asking;  /* one question at a time */
    pthread_mutex_t writing; /* one frame at a time */
    pthread_mutex_t lock;    /* guards the next four */
    pthread_cond_t changed;
    bool open;               /* a question is */
    gas_letter_t *answer;    /* to it; NULL: it is not there */
    gas_status_t broken;     /* GAS_OK, or why nothing can be read any more */
    pthread_mutex_t telling; /* guards the rest; held while an event is passed on */
    const gas_boot_events_t *events;
    void *events_arg;
    gas_letter_t *untold, **untold_end; /* events that came before there was a listener */
} launcher_boot_t;

/* ---- the reader ---- */

static bool is_event(const gas_letter_t *letter)
{
    return letter->frame.type == GAS_FRAME_FAILED || letter->frame.type == GAS_FRAME_ENDED ||
           letter->frame.type == GAS_FRAME_ASK;
}

/* Under `telling`; frees the letter. */
static void tell_locked(launcher_boot_t *self, gas_letter_t *letter)
{
    gas_failed_wire_t wire;
    uint32_t what;

    if (letter->frame.type == GAS_FRAME_ASK) {
        memcpy(&what, letter->payload, sizeof(what));
        self->events->asked(self->events_arg, what);
    } else if (letter->frame.type == GAS_FRAME_FAILED) {
        memcpy(&wire, letter->payload, sizeof(wire));
        if (wire.rank < (uint32_t)self->super.size)
            self->events->rank_failed(self->events_arg, (int)wire.rank, wire.status,
                                      letter->payload + sizeof(wire));
    } else {
        self->events->ended(self->events_arg);
    }
    free(letter);
}

static void tell(launcher_boot_t *self, gas_letter_t *letter)
{
    pthread_mutex_lock(&self->telling);
    if (self->events != NULL) {
        tell_locked(self, letter);
    } else {
        *self->untold_end = letter;
        self->untold_end = &letter->next;
    }
    pthread_mutex_unlock(&self->telling);
}

/* False if nobody has asked. */
static bool take_answer(launcher_boot_t *self, gas_letter_t *letter)
{
    bool open;

    pthread_mutex_lock(&self->lock);
    open = self->open;
    if (open) {
        self->open = false;
        self->answer = letter;
        pthread_cond_signal(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    return open;
}

static void *reader_main(void *arg)
{
    launcher_boot_t *self = arg;
    gas_status_t why = GAS_ERR_PROTOCOL;
    gas_letter_t *letter;

    while ((letter = gas_letter_read(self->fd, &why)) != NULL) {
        if (is_event(letter)) {
            tell(self, letter);
        } else if (!take_answer(self, letter)) {
            free(letter);
            why = GAS_ERR_PROTOCOL;
            break;
        }
    }
    pthread_mutex_lock(&self->lock);
    self->broken = why;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_mutex_lock(&self->telling);
    if (self->events != NULL)
        self->events->ended(self->events_arg);
    pthread_mutex_unlock(&self->telling);
    return NULL;
}

static void launcher_listen(gas_boot_t *boot, const gas_boot_events_t *events, void *arg)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;

    pthread_mutex_lock(&self->telling);
    self->events = events;
    self->events_arg = arg;
    while (events != NULL && self->untold != NULL) {
        gas_letter_t *letter = self->untold;

        self->untold = letter->next;
        tell_locked(self, letter);
    }
    if (self->untold == NULL)
        self->untold_end = &self->untold;
    pthread_mutex_unlock(&self->telling);
}

/* ---- telling and asking ---- */

static gas_status_t send_frame(launcher_boot_t *self, uint32_t type, const void *payload,
                               size_t length)
{
    gas_status_t status;

    pthread_mutex_lock(&self->writing);
    status = gas_frame_write(self->fd, type, payload, length);
    pthread_mutex_unlock(&self->writing);
    return status;
}

static gas_status_t broken_error(gas_status_t broken)
{
    if (broken == GAS_ERR_CLOSED)
        return gas_launcher_gone();
    return gas_error(broken, "the launcher's messages cannot be read: %s", gas_status_name(broken));
}

/* Waits for the answer to the open question. NULL, and *status says why. */
static gas_letter_t *await_answer(launcher_boot_t *self, gas_interrupt_fn interrupt, void *arg,
                                  gas_status_t *status)
{
    gas_letter_t *answer;

    *status = GAS_OK;
    pthread_mutex_lock(&self->lock);
    while (self->answer == NULL && self->broken == GAS_OK && *status == GAS_OK) {
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_nsec += LOOK_NS;
        limit.tv_sec += limit.tv_nsec / 1000000000;
        limit.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&self->changed, &self->lock, &limit);
        if (interrupt == NULL || self->answer != NULL || self->broken != GAS_OK)
            continue;
        pthread_mutex_unlock(&self->lock);
        if (interrupt(arg))
            *status = gas_error(GAS_INTERRUPTED, "interrupted while the job was starting");
        pthread_mutex_lock(&self->lock);
    }
    answer = self->answer;
    self->answer = NULL;
    self->open = false;
    if (answer == NULL && *status == GAS_OK)
        *status = broken_error(self->broken);
    pthread_mutex_unlock(&self->lock);
    return answer;
}

/* Asks and waits for an answer of type `expects`, to be freed; NULL, and *status says why. */
static gas_letter_t *ask(launcher_boot_t *self, uint32_t type, const void *payload, size_t length,
                         uint32_t expects, gas_interrupt_fn interrupt, void *arg,
                         gas_status_t *status)
{
    gas_letter_t *answer = NULL;

    pthread_mutex_lock(&self->asking);
    pthread_mutex_lock(&self->lock);
    self->open = true;
    pthread_mutex_unlock(&self->lock);
    *status = send_frame(self, type, payload, length);
    if (*status == GAS_OK)
        answer = await_answer(self, interrupt, arg, status);
    pthread_mutex_unlock(&self->asking);
    if (answer == NULL || answer->frame.type == expects)
        return answer;
    *status = gas_error(GAS_ERR_PROTOCOL, "the launcher answered with frame %u of %u bytes",
                        answer->frame.type, answer->frame.length);
    free(answer);
    return NULL;
}

static gas_status_t launcher_put(gas_boot_t *boot, const void *address, size_t length)
{
    return send_frame((launcher_boot_t *)boot, GAS_FRAME_PUT, address, length);
}

static gas_status_t launcher_finished(gas_boot_t *boot)
{
    return send_frame((launcher_boot_t *)boot, GAS_FRAME_FINISHED, NULL, 0);
}

static gas_status_t launcher_answer(gas_boot_t *boot, uint32_t what, const void *data,
                                    size_t length)
{
    gas_status_t status;
    char *payload;

    if (length > GAS_ANSWER_MAX)
        length = GAS_ANSWER_MAX;
    payload = malloc(sizeof(what) + length);
    if (payload == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an answer to the launcher");
    memcpy(payload, &what, sizeof(what));
    if (length > 0)
        memcpy(payload + sizeof(what), data, length);
    status = send_frame((launcher_boot_t *)boot, GAS_FRAME_ANSWER, payload, sizeof(what) + length);
    free(payload);
    return status;
}

static gas_status_t launcher_bye(gas_boot_t *boot)
{
    return send_frame((launcher_boot_t *)boot, GAS_FRAME_BYE, NULL, 0);
}

static gas_status_t launcher_abort(gas_boot_t *boot, int code, const char *text)
{
    char payload[sizeof(int32_t) + 1024];
    int32_t code32 = code;
    size_t length = strnlen(text, sizeof(payload) - sizeof(code32));

    memcpy(payload, &code32, sizeof(code32));
    memcpy(payload + sizeof(code32), text, length);
    return send_frame((launcher_boot_t *)boot, GAS_FRAME_ABORT, payload, sizeof(code32) + length);
}

static gas_status_t launcher_fence(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg)
{
    gas_status_t status;

    free(ask((launcher_boot_t *)boot, GAS_FRAME_FENCE, NULL, 0, GAS_FRAME_FENCE_DONE, interrupt,
             arg, &status));
    return status;
}

static gas_status_t launcher_set_policy(gas_boot_t *boot, bool go_on)
{
    uint32_t policy = go_on;
    gas_status_t status;

    free(ask((launcher_boot_t *)boot, GAS_FRAME_POLICY, &policy, sizeof(policy),
             GAS_FRAME_POLICY_DONE, NULL, NULL, &status));
    return status;
}

static gas_status_t take_value(const gas_letter_t *answer, uint32_t rank, void **address,
                               size_t *length)
{
    uint32_t rank_there;
    size_t size;
    char *value;

    if (answer->frame.length < sizeof(rank_there))
        return gas_error(GAS_ERR_PROTOCOL, "the launcher answered with frame %u of %u bytes",
                         answer->frame.type, answer->frame.length);
    memcpy(&rank_there, answer->payload, sizeof(rank_there));
    if (rank_there != rank)
        return gas_error(GAS_ERR_PROTOCOL, "the launcher sent the address of rank %u for %u",
                         rank_there, rank);
    size = answer->frame.length - sizeof(rank_there);
    if (size == 0)
        return gas_error_of_rank(GAS_ERR_RANK_FAILED, (int)rank,
                                 "rank %u has failed: it never joined the job", rank);
    value = malloc(size);
    if (value == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an address of %zu bytes", size);
    memcpy(value, answer->payload + sizeof(rank_there), size);
    *address = value;
    *length = size;
    return GAS_OK;
}

static gas_status_t launcher_get(gas_boot_t *boot, int rank, void **address, size_t *length)
{
    uint32_t rank32 = (uint32_t)rank;
    gas_status_t status;
    gas_letter_t *answer = ask((launcher_boot_t *)boot, GAS_FRAME_GET, &rank32, sizeof(rank32),
                               GAS_FRAME_VALUE, NULL, NULL, &status);

    if (answer != NULL)
        status = take_value(answer, rank32, address, length);
    free(answer);
    return status;
}

/* ---- set-up ---- */

static void launcher_destroy(gas_boot_t *boot)
{
    launcher_boot_t *self = (launcher_boot_t *)boot;

    shutdown(self->fd, SHUT_RD); /* ends the reader */
    pthread_join(self->reader, NULL);
    close(self->fd);
    while (self->untold != NULL) {
        gas_letter_t *letter = self->untold;

        self->untold = letter->next;
        free(letter);
    }
    free(self->answer);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    pthread_mutex_destroy(&self->telling);
    pthread_mutex_destroy(&self->writing);
    pthread_mutex_destroy(&self->asking);
    free(self);
}

static const gas_boot_ops_t launcher_ops = {
    .name = "launcher",
    .put = launcher_put,
    .listen = launcher_listen,
    .fence = launcher_fence,
    .get = launcher_get,
    .finished = launcher_finished,
    .set_policy = launcher_set_policy,
    .answer = launcher_answer,
    .bye = launcher_bye,
    .abort = launcher_abort,
    .destroy = launcher_destroy,
};

gas_status_t gas_boot_launcher_create(int fd, int rank, int size, gas_boot_t **boot)
{
    launcher_boot_t *self;
    struct stat info;
    int error;

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
    self->untold_end = &self->untold;
    pthread_mutex_init(&self->asking, NULL);
    pthread_mutex_init(&self->writing, NULL);
    pthread_mutex_init(&self->lock, NULL);
    pthread_mutex_init(&self->telling, NULL);
    pthread_cond_init(&self->changed, NULL);
    error = gas_thread_start(&self->reader, "pygas-boot", reader_main, self);
    if (error != 0) {
        free(self);
        return gas_error(GAS_ERR_IO, "cannot start a thread: %s", strerror(error));
    }
    *boot = &self->super;
    return GAS_OK;
}
