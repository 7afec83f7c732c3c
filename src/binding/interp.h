/*
 * What CPython does not offer to other threads through its public interface, one function for each
 * behaviour that differs between versions.
 */
#ifndef PYGAS_BINDING_INTERP_H
#define PYGAS_BINDING_INTERP_H

#include <stdbool.h>

/* After Py_AddPendingCall(): make a main thread that runs Python code look at its pending calls at
 * the next opportunity. Up to 3.12 adding one from another thread does not (cpython issue 95820).
 * Any thread, attached or not. */
void pg_interp_interrupt_main(void);

/* True if nobody seems to hold the interpreter lock (a hint: it may be wrong by the time it
 * returns). Always true in a free-threaded build. Any thread, attached or not. */
bool pg_interp_lock_looks_free(void);

#endif
