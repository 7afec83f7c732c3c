/* Segments when something goes wrong: ranks that are stopped, killed or gone, no shared memory. */
#include "../../gas.h"
#include "../../testing/check.h"
#include "../../testing/onesided.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static const gas_handler_t handlers[GAS_HANDLER_MAX];

static uint64_t number_at(gas_job_t *job, int rank, size_t offset)
{
    uint64_t number;

    get_at(job, rank, offset, &number, sizeof(number));
    return number;
}

static char state_of(pid_t pid)
{
    char path[64], state = '?';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = '?';
        fclose(file);
    }
    return state;
}

static void await_state(pid_t pid, char state)
{
    AWAIT(state_of(pid) == state);
}

/* ---- a rank that does nothing at all ---- */

static void use_stopped(gas_job_t *job)
{
    gas_atomic_t add = {.kind = GAS_ATOMIC_ADD, .type = GAS_ATOMIC_U64, .operand.u64 = 5};
    char *bytes = malloc(32 * MIB);
    uint64_t before;

    memset(bytes, 7, 32 * MIB);
    before = gas_clock_now();
    for (int i = 0; i < 1000; i++)
        CHECK(number_at(job, 1, 8) == 11);
    put_at(job, 1, MIB, bytes, 31 * MIB);
    get_at(job, 1, MIB, bytes, 31 * MIB);
    CHECK(bytes[0] == 7 && bytes[31 * MIB - 1] == 7);
    CHECK(atomic_at(job, 1, 16, add).u64 == 0 && number_at(job, 1, 16) == 5);
    flush_all(job);
    fprintf(stderr, "  1000 gets of 8 B, 31 MiB both ways: %.1f ms\n",
            (double)(gas_clock_now() - before) * 1e-6);
    free(bytes);
}

static void stopped_body(gas_job_t *job)
{
    CHECK(gas_segment_attach(job, 32 * MIB) == GAS_OK);
    if (gas_job_rank(job) == 1) {
        ((uint64_t *)gas_segment_base(job))[0] = (uint64_t)getpid();
        ((uint64_t *)gas_segment_base(job))[1] = 11;
        ranks_barrier(job);
        ranks_barrier(job); /* rank 0 knows this rank's key */
        raise(SIGSTOP);
        CHECK(((uint64_t *)gas_segment_base(job))[2] == 5);
    } else {
        pid_t pid;

        ranks_barrier(job);
        pid = (pid_t)number_at(job, 1, 0);
        ranks_barrier(job);
        await_state(pid, 'T');
        use_stopped(job);
        CHECK(state_of(pid) == 'T');
        kill(pid, SIGCONT);
    }
    ranks_barrier(job);
}

static void test_stopped_target(void)
{
    CHECK(ranks_run(2, handlers, stopped_body));
}

/* ---- ranks that are gone ---- */

static unsigned shm_files(void)
{
    DIR *directory = opendir("/dev/shm");
    unsigned count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void killed_body(gas_job_t *job)
{
    CHECK(gas_segment_attach(job, 8 * MIB) == GAS_OK);
    if (gas_job_rank(job) == 0) {
        memset(gas_segment_base(job), 1, 8 * MIB);
        ((uint64_t *)gas_segment_base(job))[0] = (uint64_t)getpid();
    }
    ranks_barrier(job);
    if (gas_job_rank(job) == 1) {
        pid_t pid = (pid_t)number_at(job, 0, 0);

        kill(pid, SIGKILL);
        await_state(pid, 'Z');
        CHECK(number_at(job, 0, 8 * MIB - 8) == 0x0101010101010101u);
        raise(SIGKILL);
    }
    pause();
}

static void test_killed(void)
{
    unsigned before = shm_files();

    CHECK(!ranks_run(2, handlers, killed_body));
    CHECK(shm_files() == before);
}

static void gone_body(gas_job_t *job)
{
    CHECK(gas_segment_attach(job, 8 * MIB) == GAS_OK);
    ((uint64_t *)gas_segment_base(job))[1] = 99;
    ((uint64_t *)gas_segment_base(job))[0] = (uint64_t)getpid();
    ranks_barrier(job);
    if (gas_job_rank(job) == 1) {
        pid_t pid = (pid_t)number_at(job, 0, 0);

        ranks_barrier(job);
        await_state(pid, 'Z');
        CHECK(number_at(job, 0, 8) == 99);
    } else {
        ranks_barrier(job);
    }
}

static void test_stopped_job(void)
{
    unsigned before = shm_files();

    CHECK(ranks_run(2, handlers, gone_body));
    CHECK(shm_files() == before);
}

/* ---- no shared memory ---- */

static void too_large_body(gas_job_t *job)
{
    struct statvfs shm;

    CHECK(statvfs("/dev/shm", &shm) == 0);
    CHECK(gas_segment_attach(job, (size_t)shm.f_bavail * shm.f_frsize + MIB) == GAS_ERR_NO_MEMORY);
    CHECK(strstr(gas_error_text(), "/dev/shm has ") != NULL);
    CHECK(gas_segment_attach(job, 4096) == GAS_OK);
    ranks_barrier(job); /* who asks between the two is told of the first */
    CHECK(number_at(job, 0, 0) == 0);
    ranks_barrier(job);
}

static void test_more_than_there_is(void)
{
    CHECK(ranks_run(2, handlers, too_large_body));
}

/* True if it is System V shared memory, which UCX falls back to and which is not of /dev/shm. */
static bool is_system_v(const void *base)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    void *begin;
    bool found = false;

    CHECK(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL)
        if (sscanf(line, "%p-", &begin) == 1 && begin == base)
            found = strstr(line, "/SYSV") != NULL;
    fclose(maps);
    return found;
}

/* Everybody attaches at once, more than there is for all. Who was told that it has its segment can
 * write to all of it; the others get the reason. */
static void crowded_body(gas_job_t *job)
{
    size_t size = 40 * MIB;
    uint64_t mine = 0;
    unsigned in_shm = 0;

    ranks_barrier(job);
    if (gas_segment_attach(job, size) == GAS_OK) {
        memset(gas_segment_base(job), 1, size);
        *(uint64_t *)gas_segment_base(job) = is_system_v(gas_segment_base(job));
        mine = 1;
    } else {
        fprintf(stderr, "  rank %d: %s\n", gas_job_rank(job), gas_error_text());
        CHECK(strstr(gas_error_text(), "/dev/shm has ") != NULL);
    }
    ranks_barrier(job);
    if (mine)
        for (int rank = 0; rank < gas_job_size(job); rank++) {
            outcome_t outcome;
            uint64_t there;

            outcome_init(&outcome);
            CHECK(gas_get(job, rank, 0, &there, 8, outcome_set, &outcome) == GAS_OK);
            if (outcome_await(job, &outcome) == GAS_OK)
                in_shm += there == 0;
            else
                CHECK(outcome.status == GAS_ERR_NO_MEMORY);
        }
    CHECK(in_shm < 4);
    ranks_barrier(job);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            fprintf(stderr, "  cannot write %s\n", path);
        close(fd);
    }
}

/* In a child with a /dev/shm of its own, of 128 MiB. Exits with 77 if that cannot be had. */
static void crowd(void)
{
    char map[64];
    unsigned user = getuid(), group = getgid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        exit(77);
    snprintf(map, sizeof(map), "%u %u 1", user, user);
    write_file("/proc/self/uid_map", map);
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "%u %u 1", group, group);
    write_file("/proc/self/gid_map", map);
    if (mount("none", "/dev/shm", "tmpfs", 0, "size=128m") != 0)
        exit(77);
    exit(ranks_run(4, handlers, crowded_body) && shm_files() == 2 ? 0 : 1);
}

static void test_crowded(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        crowd();
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        fprintf(stderr, "  skipped: no user namespaces here\n");
    else
        CHECK(WEXITSTATUS(status) == 0);
}

/* Without a shared-memory transport everything goes by messages. */
static void private_body(gas_job_t *job)
{
    char *bytes = calloc(1, 4 * MIB);

    CHECK(gas_segment_attach(job, 4 * MIB) == GAS_OK);
    for (size_t i = 0; i < 4 * MIB; i++)
        CHECK(((char *)gas_segment_base(job))[i] == 0);
    ranks_barrier(job);
    memset(bytes, 3, 4 * MIB);
    put_at(job, 1 - gas_job_rank(job), 0, bytes, 4 * MIB);
    flush_all(job);
    ranks_barrier(job);
    CHECK(((char *)gas_segment_base(job))[4 * MIB - 1] == 3);
    CHECK(gas_segment_pointer(job, 1 - gas_job_rank(job)) == NULL);
    free(bytes);
    ranks_barrier(job);
}

static void test_no_shared_memory_transport(void)
{
    setenv("PYGAS_UCX_TLS", "tcp,self", 1);
    CHECK(ranks_run(2, handlers, private_body));
    unsetenv("PYGAS_UCX_TLS");
}

int main(void)
{
    RUN(test_stopped_target);
    RUN(test_killed);
    RUN(test_stopped_job);
    RUN(test_more_than_there_is);
    RUN(test_crowded);
    RUN(test_no_shared_memory_transport);
    return 0;
}
