#include "cpu.h"

#include "patience.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* The lines of `file` of a thread of this process that begin with one of `wanted`; all if NULL. */
static void print_lines(const char *thread, const char *file, const char *const *wanted)
{
    char path[300], line[256];
    FILE *stream;

    snprintf(path, sizeof(path), "/proc/self/task/%s/%s", thread, file);
    stream = fopen(path, "r");
    while (stream != NULL && fgets(line, sizeof(line), stream) != NULL) {
        bool print = wanted == NULL;

        for (int i = 0; !print && wanted[i] != NULL; i++)
            print = strncmp(line, wanted[i], strlen(wanted[i])) == 0;
        if (print)
            fprintf(stderr, "    thread %s: %s", thread, line);
    }
    if (stream != NULL)
        fclose(stream);
}

static void print_threads(void)
{
    static const char *const switches[] = {"Name", "voluntary", "nonvoluntary", NULL};
    DIR *threads = opendir("/proc/self/task");
    struct dirent *thread;

    while (threads != NULL && (thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] == '.')
            continue;
        print_lines(thread->d_name, "status", switches);
        print_lines(thread->d_name, "schedstat", NULL); /* ns run, ns waited, times run */
    }
    if (threads != NULL)
        closedir(threads);
}

bool cpu_within(double before, double limit, const char *what)
{
    double used = cpu_seconds() - before;

    fprintf(stderr, "  %s: %.1f ms of CPU\n", what, used * 1e3);
    if (used <= limit * patience())
        return true;
    print_threads();
    return false;
}
