/*
 * What CPython does not offer to other threads through its public interface, one function for each
 * behaviour that differs between versions.
 */
#ifndef PYGAS_BINDING_INTERP_H
#define PYGAS_BINDING_INTERP_H

#include <Python.h>

#include <stdbool.h>

/* After Py_AddPendingCall(): make a main thread that runs Python code look at its pending calls at
 * the next opportunity. Up to 3.12 adding one from another thread does not (cpython issue 95820),
 * and without an interpreter lock it may be forgotten; so to be called again while there is need.
 * Any thread, attached or not. */
void pg_interp_interrupt_main(void);

/* The interpreter's main thread, where signal handlers and pending calls run, as
 * PyThread_get_thread_ident() names it: a pthread_t. Any thread. */
unsigned long pg_interp_main_thread(void);

/* True if the running thread has room for some more Python calls, one within the other. Attached.
 */
bool pg_interp_has_room(void);

/* True if nobody seems to hold the interpreter lock (a hint: it may be wrong by the time it
 * returns). Always true without one. Any thread, attached or not. */
bool pg_interp_lock_looks_free(void);

/* False in a free-threaded interpreter, unless somebody has switched the lock on. */
#ifdef Py_GIL_DISABLED
bool pg_interp_has_lock(void);
#else
static inline bool pg_interp_has_lock(void)
{
    return true;
}
#endif

/* Without an interpreter lock only the thread that made an object frees it: what another thread
 * dropped last waits for the first to run bytecode, for ever if that waits here. True if there is
 * something of the thread whose state this is. That thread, attached or not. */
#ifdef Py_GIL_DISABLED
bool pg_interp_has_dropped(PyThreadState *state);

/* Lets go of it, as bytecode would, which may run finalizers. 0, or -1 with an exception, which is
 * that of a signal handler. Attached. */
int pg_interp_let_go(void);
#else
static inline int pg_interp_let_go(void)
{
    return 0;
}
#endif

/* Writes the stacks of all threads that have frames to `fd`, as CPython's crash reporter does, for
 * when nobody comes to run Python code: what it reads must not move. False if this version's
 * frames are not known here. Any thread, not attached. */
bool pg_interp_write_stacks(int fd);

/* True if the running bytecode is the first half of a method call, `object.name(...)`, and has
 * asked for the attribute `name` to call it at once. False when in doubt: always, on versions whose
 * frames this file does not know. Attached. */
bool pg_interp_is_calling(PyObject *name);

/* True if the running bytecode is an in-place operator (`a += b`). False when in doubt. Attached.
 */
bool pg_interp_is_inplace(void);

#endif
