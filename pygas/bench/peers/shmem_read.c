/*
 * Reading n bytes from another process in compiled C: OpenSHMEM's get, and memcpy as the limit.
 *
 *   oshcc -O2 -o shmem_read shmem_read.c && oshrun -n 2 ./shmem_read POWER_MAX
 *
 * In pairs: each odd rank reads from its left neighbour. Prints what pygas.bench.timing reads: a
 * line of JSON with the median time of each size, in seconds.
 */
#include <shmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WARM_UP 3
#define COUNT_MAX 300

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static char *landing, *remote, *local;
static int peer;

static void get(size_t n)
{
    shmem_getmem(landing, remote, n, peer);
}

static void copy(size_t n)
{
    memcpy(landing, local, n);
}

/* As an allocator does it for large arrays: new memory from the system each time. */
static void copy_to_new(size_t n)
{
    char *fresh = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fresh == MAP_FAILED)
        exit(1);
    memcpy(fresh, local, n);
    munmap(fresh, n);
}

static double median_time(void (*operation)(size_t), size_t n, int count)
{
    double times[COUNT_MAX];

    for (int i = -WARM_UP; i < count; i++) {
        double start = now();

        operation(n);
        __asm__ volatile("" ::: "memory");
        if (i >= 0)
            times[i] = now() - start;
    }
    qsort(times, (size_t)count, sizeof(times[0]), compare);
    return times[count / 2];
}

int main(int argc, char **argv)
{
    int power_max = argc > 1 ? atoi(argv[1]) : 25;
    size_t most = (size_t)1 << power_max;
    const char *separator = "";

    shmem_init();
    peer = shmem_my_pe() ^ 1;
    remote = shmem_malloc(most);
    landing = malloc(most);
    local = malloc(most);
    if (remote == NULL || landing == NULL || local == NULL)
        return 1;
    memset(remote, 0xa5, most);
    memset(landing, 1, most);
    memset(local, 0xa5, most);
    shmem_barrier_all();
    if (shmem_my_pe() == 1)
        printf("pygas-bench: {");
    for (size_t n = 1; n <= most; n *= 2) {
        int count = (64 << 20) / (int)n;

        count = count < 7 ? 7 : count > COUNT_MAX ? COUNT_MAX : count;
        shmem_barrier_all();
        if (shmem_my_pe() % 2 == 1) {
            double times[3] = {median_time(get, n, count), median_time(copy, n, count),
                               median_time(copy_to_new, n, count)};

            if (shmem_my_pe() == 1) {
                printf("%s\"OpenSHMEM get in C @ %zu\": %.9f, \"memcpy in C @ %zu\": %.9f, "
                       "\"memcpy in C, new memory @ %zu\": %.9f",
                       separator, n, times[0], n, times[1], n, times[2]);
                separator = ", ";
            }
        }
        shmem_barrier_all();
    }
    if (shmem_my_pe() == 1)
        printf("}\n");
    fflush(stdout);
    shmem_barrier_all();
    shmem_global_exit(0); /* Open MPI 4.1.4 as Debian has it crashes in shmem_finalize() */
}
