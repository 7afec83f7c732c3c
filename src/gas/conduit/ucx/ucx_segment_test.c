/* Segments of real ranks over UCX: what arrives, and how fast. */
#include "../../gas.h"
#include "../../testing/check.h"
#include "../../testing/onesided.h"
#include "../../testing/patience.h"
#include "../../testing/ranks.h"

#include <string.h>
#include <sys/mman.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const char *const modes[] = {"auto", "rdma", "message"};
#define MODES 3

static const gas_handler_t handlers[GAS_HANDLER_MAX];

static bool run(int size, const char *mode, rank_fn body)
{
    bool well;

    fprintf(stderr, "  %s\n", mode);
    setenv("PYGAS_ONE_SIDED", mode, 1);
    well = ranks_run(size, handlers, body);
    unsetenv("PYGAS_ONE_SIDED");
    return well;
}

static bool is_direct(gas_job_t *job)
{
    return strcmp(job->config.one_sided, "auto") == 0;
}

static void attach(gas_job_t *job, size_t size)
{
    if (gas_segment_attach(job, size) != GAS_OK)
        fprintf(stderr, "  rank %d: %s\n", gas_job_rank(job), gas_error_text());
    CHECK(gas_segment_size(job) >= size);
}

/* ---- put and get ---- */

static uint32_t word(uint32_t salt, size_t at)
{
    return salt * 2654435761u + (uint32_t)at * 2246822519u;
}

static void fill(void *to, size_t length, uint32_t salt)
{
    for (size_t i = 0; i < length / 4; i++) {
        uint32_t value = word(salt, i); /* `to` need not be aligned */

        memcpy((char *)to + 4 * i, &value, sizeof(value));
    }
    memset((char *)to + length / 4 * 4, (int)salt, length % 4);
}

static void check_filled(const void *bytes, size_t length, uint32_t salt)
{
    for (size_t i = 0; i < length / 4; i++) {
        uint32_t value;

        memcpy(&value, (const char *)bytes + 4 * i, sizeof(value));
        CHECK(value == word(salt, i));
    }
    for (size_t i = length / 4 * 4; i < length; i++)
        CHECK(((const unsigned char *)bytes)[i] == (unsigned char)salt);
}

/* Each rank writes to and reads from its neighbour, and looks at what was written to itself. */
static void transfer(gas_job_t *job, size_t offset, size_t length, void *bytes)
{
    int size = gas_job_size(job), rank = gas_job_rank(job), target = (rank + 1) % size;
    uint32_t salt = (uint32_t)(length * 16) + (uint32_t)rank;

    fill(bytes, length, salt);
    put_at(job, target, offset, bytes, length);
    fill(bytes, length, 0);
    flush_all(job);
    ranks_barrier(job);
    check_filled((char *)gas_segment_base(job) + offset, length,
                 (uint32_t)(length * 16) + (uint32_t)((rank + size - 1) % size));
    get_at(job, target, offset, bytes, length);
    check_filled(bytes, length, salt);
    ranks_barrier(job);
}

static void transfers_body(gas_job_t *job)
{
    static const size_t lengths[] = {1,    7,        8,       100,     4096,     4097,
                                     8192, 64 * KIB, MIB - 1, 8 * MIB, 64 * MIB, 256 * MIB};
    size_t most = rounds(256) * MIB;
    void *bytes = malloc(most);

    CHECK(bytes != NULL);
    attach(job, most + 4096);
    CHECK(gas_job_shares_host(job, 0));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i] > most)
            break;
        transfer(job, 0, lengths[i], bytes);
        transfer(job, 12, lengths[i], bytes);
        transfer(job, gas_segment_size(job) - lengths[i], lengths[i], bytes);
    }
    for (int rank = 0; rank < gas_job_size(job); rank++)
        if (is_direct(job) && rank != gas_job_rank(job) &&
            rank != (gas_job_rank(job) + 1) % gas_job_size(job))
            CHECK(gas_segment_pointer(job, rank) == NULL); /* never used, so never opened */
    CHECK((gas_segment_pointer(job, (gas_job_rank(job) + 1) % gas_job_size(job)) != NULL) ==
          is_direct(job));
    free(bytes);
    ranks_barrier(job);
}

static void test_transfers(void)
{
    for (int mode = 0; mode < MODES; mode++)
        CHECK(run(3, modes[mode], transfers_body));
    CHECK(run(1, "message", transfers_body));
}

/* ---- atomics ---- */

static void atomics_body(gas_job_t *job)
{
    attach(job, 4096);
    contend_atomics(job, 8 * rounds(strcmp(job->config.one_sided, "auto") == 0 ? 1000 : 50),
                    ranks_barrier);
}

static void test_atomics(void)
{
    for (int mode = 0; mode < MODES; mode++)
        CHECK(run(4, modes[mode], atomics_body));
}

/* ---- bounds ---- */

static void expect(gas_status_t status, const char *text)
{
    CHECK(status == GAS_ERR_INVALID && strstr(gas_error_text(), text) != NULL);
}

static void bounds_body(gas_job_t *job)
{
    char byte = 0;

    expect(gas_put(job, 0, 0, &byte, 1, outcome_set, NULL), "no segment");
    attach(job, 5000);
    CHECK(gas_segment_size(job) == 8192);
    expect(gas_put(job, 1, 8192, &byte, 1, outcome_set, NULL), "not inside the segment of rank 1");
    expect(gas_get(job, 0, 8191, &byte, 2, outcome_set, NULL), "not inside the segment of rank 0");
    expect(gas_get(job, 0, SIZE_MAX, &byte, 2, outcome_set, NULL), "not inside");
    expect(gas_get(job, 7, 0, &byte, 1, outcome_set, NULL), "no rank 7");
    put_at(job, 1, 8191, &byte, 1);
    ranks_barrier(job);
}

static void test_bounds(void)
{
    for (int mode = 0; mode < MODES; mode++)
        CHECK(run(2, modes[mode], bounds_body));
}

/* ---- how fast ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

enum what { COPY, GET, PUT, WHATS };

static void do_once(gas_job_t *job, enum what what, void *bytes, const void *other, size_t length)
{
    if (what == GET)
        get_at(job, 1, 0, bytes, length);
    else if (what == PUT)
        put_at(job, 1, 0, bytes, length);
    else
        memcpy(bytes, other, length);
    __asm__ volatile("" ::"r"(bytes) : "memory");
}

/* The median time of one transfer of `length` bytes, in nanoseconds, for each of the three, taken
 * by turns since the machine is not always as fast. */
static void medians(gas_job_t *job, void *bytes, const void *other, size_t length,
                    double median[WHATS])
{
    unsigned batch = rounds(length < 4096 && is_direct(job) ? 1000 : 1);
    unsigned turns = rounds(length < 32 * MIB ? 300 : 30);
    double took[WHATS][300];

    for (unsigned i = 0; i < turns; i++)
        for (unsigned what = 0; what < WHATS; what++) {
            unsigned times = what == COPY && length < 4096 ? rounds(1000) : batch;
            uint64_t before = gas_clock_now();

            for (unsigned k = 0; k < times; k++)
                do_once(job, (enum what)what, bytes, other, length);
            took[what][i] = (double)(gas_clock_now() - before) / times;
        }
    for (unsigned what = 0; what < WHATS; what++) {
        qsort(took[what], turns, sizeof(took[what][0]), compare);
        median[what] = took[what][turns / 2];
    }
}

static void ignore(void *arg, gas_status_t status)
{
    (void)arg;
    CHECK(status == GAS_OK);
}

/* Without waiting for an event, as there is nothing to wait for. */
static void bare_get(gas_job_t *job)
{
    unsigned times = rounds(1000000);
    uint64_t before = gas_clock_now(), number;

    for (unsigned i = 0; i < times; i++) {
        CHECK(gas_get(job, 1, 8 * (i % 512), &number, 8, ignore, NULL) == GAS_OK);
        __asm__ volatile("" ::"r"(&number) : "memory");
    }
    fprintf(stderr, "         8 B: gas_get alone %.1f ns\n",
            (double)(gas_clock_now() - before) / times);
}

static void *warm_memory(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    memset(memory, 1, length);
    return memory;
}

static void speed_body(gas_job_t *job)
{
    static const size_t lengths[] = {8, 4 * KIB, MIB, 32 * MIB};
    void *bytes = warm_memory(32 * MIB), *other = warm_memory(32 * MIB);
    uint64_t before = gas_clock_now();

    attach(job, 64 * MIB);
    if (gas_job_rank(job) == 0)
        fprintf(stderr, "  attaching 64 MiB: %.1f ms\n", (double)(gas_clock_now() - before) * 1e-6);
    ranks_barrier(job);
    for (size_t i = 0; gas_job_rank(job) == 0 && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        double median[WHATS];

        medians(job, bytes, other, lengths[i], median);
        fprintf(stderr,
                "  %8zu B: get %10.1f ns, put %10.1f, memcpy %10.1f; get %5.1f GB/s, %.2f of "
                "memcpy\n",
                lengths[i], median[GET], median[PUT], median[COPY],
                (double)lengths[i] / median[GET], median[COPY] / median[GET]);
        if (is_direct(job) && lengths[i] == 8)
            CHECK(median[GET] < 200 * patience() * median[COPY]);
        if (is_direct(job) && lengths[i] == 32 * MIB)
            CHECK(median[GET] < 2 * patience() * median[COPY]);
    }
    if (gas_job_rank(job) == 0 && is_direct(job))
        bare_get(job);
    ranks_barrier(job);
}

static void test_speed(void)
{
    for (int mode = 0; mode < MODES; mode++)
        CHECK(run(2, modes[mode], speed_body));
}

int main(void)
{
    RUN(test_transfers);
    RUN(test_atomics);
    RUN(test_bounds);
    RUN(test_speed);
    return 0;
}
