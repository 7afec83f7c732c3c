#include "ranks.h"

#include "check.h"
#include "collect.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANKS_MAX 16

/* Mirrors pygas/launch/protocol.py. */
enum { PUT = 1, FENCE = 2, FENCE_DONE = 3, GET = 4, VALUE = 5, BYE = 6, FAILED = 8 };

typedef struct frame {
    uint32_t type;
    uint32_t length;
} frame_t;

typedef struct launched {
    pid_t pid;
    int fd;
    char *address;
    uint32_t length;
} launched_t;

static void ignore_kick(void *arg, gas_home_t *home, uint64_t age)
{
    (void)arg;
    (void)home;
    (void)age;
}

void ranks_barrier(gas_job_t *job)
{
    collect_barrier(job);
}

static void be_rank(int fd, int rank, int size, const gas_handler_t *handlers, rank_fn body)
{
    gas_job_params_t params = {.conduit = gas_conduit_default(), .kick = ignore_kick};
    char spec[128];
    gas_job_t *job;

    memcpy(params.handlers, handlers, sizeof(params.handlers));
    snprintf(spec, sizeof(spec), "fd:%d,rank:%d,size:%d,key:%032d", fd, rank, size, 0);
    CHECK(gas_boot_create(spec, &params.boot) == GAS_OK);
    if (gas_job_start(&params, &job) != GAS_OK) {
        fprintf(stderr, "rank %d: %s\n", rank, gas_error_text());
        exit(1);
    }
    body(job);
    CHECK(gas_job_bye(job) == GAS_OK);
    gas_job_stop(job);
    exit(0);
}

static bool read_exactly(int fd, void *to, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = read(fd, (char *)to + done, length - done);

        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void say(int fd, uint32_t type, const uint32_t *rank, const void *bytes, uint32_t length)
{
    frame_t frame = {type, length + (rank != NULL ? 4 : 0)};

    /* A rank that has died is noticed by its exit code. */
    send(fd, &frame, sizeof(frame), MSG_NOSIGNAL);
    if (rank != NULL)
        send(fd, rank, 4, MSG_NOSIGNAL);
    if (length > 0)
        send(fd, bytes, length, MSG_NOSIGNAL);
}

/* One frame of `self`; false at the end of file. */
static bool serve(launched_t *self, launched_t *all, int size, int *fenced)
{
    frame_t frame;
    uint32_t rank;

    if (!read_exactly(self->fd, &frame, sizeof(frame)))
        return false;
    switch (frame.type) {
    case PUT:
        self->address = malloc(frame.length);
        self->length = frame.length;
        return read_exactly(self->fd, self->address, frame.length);
    case FENCE:
        if (++*fenced == size)
            for (int i = 0; i < size; i++)
                say(all[i].fd, FENCE_DONE, NULL, NULL, 0);
        return true;
    case GET:
        if (!read_exactly(self->fd, &rank, 4)) /* killed within its question */
            return false;
        CHECK(rank < (uint32_t)size);
        say(self->fd, VALUE, &rank, all[rank].address, all[rank].length);
        return true;
    default:
        CHECK(frame.type == BYE);
        return true;
    }
}

/* Rank `i` has closed its socket. If it is the first that fails, the others would wait for it. It
 * stays a zombie, as under the launcher, so that its number means nobody else. */
static bool ended_well(const launched_t *all, int i, int size, bool first)
{
    siginfo_t info;

    CHECK(waitid(P_PID, (id_t)all[i].pid, &info, WEXITED | WNOWAIT) == 0);
    if (info.si_code == CLD_EXITED && info.si_status == 0)
        return true;
    fprintf(stderr, "rank %d ended with %s %d\n", i, info.si_code == CLD_EXITED ? "code" : "signal",
            info.si_status);
    for (int k = 0; first && k < size; k++)
        kill(all[k].pid, SIGKILL);
    return false;
}

/* Waits until `rank` is dead, as a launcher does, and tells the others. */
static void tell_failed(const launched_t *all, int size, int rank)
{
    struct {
        uint32_t rank;
        int32_t status;
        char reason[21];
    } wire = {(uint32_t)rank, -SIGKILL, "was killed by SIGKILL"};
    siginfo_t info;

    CHECK(waitid(P_PID, (id_t)all[rank].pid, &info, WEXITED | WNOWAIT) == 0);
    for (int i = 0; i < size; i++)
        if (i != rank)
            say(all[i].fd, FAILED, NULL, &wire, 8 + sizeof(wire.reason));
}

bool ranks_run(int size, const gas_handler_t *handlers, rank_fn body)
{
    return ranks_run_failing(size, handlers, body, -1);
}

bool ranks_run_failing(int size, const gas_handler_t *handlers, rank_fn body, int victim)
{
    launched_t all[RANKS_MAX];
    struct pollfd fds[RANKS_MAX];
    int open = size, fenced = 0, status;
    bool well = true;

    memset(all, 0, sizeof(all));
    CHECK(size <= RANKS_MAX);
    for (int i = 0; i < size; i++) {
        int pair[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        all[i].fd = pair[0];
        all[i].pid = fork();
        CHECK(all[i].pid >= 0);
        if (all[i].pid == 0) {
            for (int k = 0; k <= i; k++)
                close(all[k].fd);
            be_rank(pair[1], i, size, handlers, body);
        }
        close(pair[1]);
        fds[i] = (struct pollfd){.fd = pair[0], .events = POLLIN};
    }
    while (open > 0) {
        CHECK(poll(fds, (nfds_t)size, -1) > 0);
        for (int i = 0; i < size; i++)
            if (fds[i].fd >= 0 && fds[i].revents != 0 && !serve(&all[i], all, size, &fenced)) {
                fds[i].fd = -1;
                open--;
                if (i == victim)
                    tell_failed(all, size, i);
                else
                    well &= ended_well(all, i, size, well);
            }
    }
    for (int i = 0; i < size; i++) {
        CHECK(waitpid(all[i].pid, &status, 0) == all[i].pid);
        if (i == victim)
            well &= WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        close(all[i].fd);
        free(all[i].address);
    }
    return well;
}
