/*
 * Threads of the runtime's own.
 *
 * Signals are for the program's threads, so these block them, but for those that a thread causes
 * itself: a fault that is blocked ends the process without a word, past every handler.
 */
#ifndef GAS_THREAD_H
#define GAS_THREAD_H

#include <pthread.h>

/* As pthread_create(): 0, or an error number. `name`, of at most 15 characters, is for whoever
 * looks at the process with a debugger or `top -H`. */
int gas_thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);

/* The calling thread, which runs rarely and briefly, is to run at once when it is woken, also where
 * the program keeps all processors busy. It gets no larger share of them. */
void gas_thread_hasten(void);

#endif
