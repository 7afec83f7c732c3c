/*
 * Design notes. The stacks are best told by Python code (pygas/_stacks.py), on a thread that
 * attaches for the purpose. If that does not come to run in time, since the interpreter is stuck in
 * C code, the frames are read without the lock, as faulthandler.dump_traceback_later() does it
 * (interp.c): nothing moves then, so what is read is whole. That holds without an interpreter lock,
 * too: who wants to see the frames of all threads has to stop them all, waits for the one that is
 * stuck, and the others wait for him.
 *
 * Once the thread has the frames it is only a matter of time, on a crowded machine of seconds;
 * reading frames beside it could not be sound, so then there are none rather than wrong ones.
 *
 * The thread may come too late, at any later time, even when the answer has long been sent: so what
 * it shares with its creator has two references.
 */
#include "stacks.h"

#include "interp.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* The launcher waits for 3 s. */
#define PATIENCE_NS 1000000000u      /* for the thread to come */
#define MORE_PATIENCE_NS 1500000000u /* and to tell */

typedef struct telling {
    atomic_int references;
    sem_t told;
    atomic_bool under_way; /* the thread has come */
    char *text;            /* NULL: it could not be had */
} telling_t;

static void telling_unref(telling_t *telling)
{
    if (atomic_fetch_sub(&telling->references, 1) > 1)
        return;
    sem_destroy(&telling->told);
    free(telling->text);
    free(telling);
}

static void *tell(void *arg)
{
    telling_t *telling = arg;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *module, *frames, *text = NULL;
    const char *string;

#ifndef Py_GIL_DISABLED
    atomic_store(&telling->under_way, true); /* else who is stuck may keep it from the frames */
#endif
    module = PyImport_ImportModule("pygas._stacks");
    frames = module != NULL ? PyObject_CallMethod(module, "frames", NULL) : NULL;
    atomic_store(&telling->under_way, true);
    if (frames != NULL)
        text = PyObject_CallMethod(module, "describe", "O", frames);
    string = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    if (string != NULL)
        telling->text = strdup(string);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(frames);
    Py_XDECREF(module);
    PyGILState_Release(gil);
    sem_post(&telling->told);
    telling_unref(telling);
    return NULL;
}

static bool start_teller(telling_t *telling)
{
    pthread_t thread;

    if (gas_thread_start(&thread, "pygas-stacks", tell, telling) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

/* True if the thread is done. */
static bool await_teller(telling_t *telling, uint64_t patience)
{
    struct timespec limit;
    uint64_t end;

    clock_gettime(CLOCK_REALTIME, &limit);
    end = (uint64_t)limit.tv_nsec + patience;
    limit.tv_sec += (time_t)(end / 1000000000u);
    limit.tv_nsec = (long)(end % 1000000000u);
    while (sem_timedwait(&telling->told, &limit) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

/* Cuts at a whole line. */
static size_t copy(char *text, size_t size, const char *from)
{
    size_t length = strlen(from);

    if (length > size) {
        length = size;
        while (length > 0 && from[length - 1] != '\n')
            length--;
    }
    memcpy(text, from, length);
    return length;
}

/* Without Python code. */
static size_t tell_without(char *text, size_t size)
{
    static const char head[] = "B\n";
    ssize_t length = 0;
    int fd = memfd_create("pygas-stacks", MFD_CLOEXEC);

    if (fd < 0 || size <= sizeof(head))
        return 0;
    memcpy(text, head, sizeof(head) - 1);
    if (!pg_interp_write_stacks(fd))
        dprintf(fd, "(Python %d.%d does not tell)\n", PY_MAJOR_VERSION, PY_MINOR_VERSION);
    if (lseek(fd, 0, SEEK_SET) == 0)
        length = read(fd, text + sizeof(head) - 1, size - sizeof(head) + 1);
    close(fd);
    return sizeof(head) - 1 + (length > 0 ? (size_t)length : 0);
}

size_t pg_stacks(char *text, size_t size)
{
    static const char nothing[] = "B\n(there are none to be had: out of time or memory)\n";
    telling_t *telling = calloc(1, sizeof(*telling));
    size_t length;
    bool told;

    if (telling == NULL)
        return 0;
    atomic_init(&telling->references, 2);
    sem_init(&telling->told, 0, 0);
    if (!start_teller(telling))
        telling_unref(telling);
    told = await_teller(telling, PATIENCE_NS);
    if (!told && atomic_load(&telling->under_way))
        told = await_teller(telling, MORE_PATIENCE_NS);
    if (told && telling->text != NULL)
        length = copy(text, size, telling->text);
    else if (told || atomic_load(&telling->under_way))
        length = copy(text, size, nothing);
    else
        length = tell_without(text, size);
    telling_unref(telling);
    return length;
}
