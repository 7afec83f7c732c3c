/*
 * Affinity: objects whose requests run on one particular thread of their owner, `Proxy(object,
 * thread=True)`.
 *
 * Such a Proxy knows its thread's home (gas/home.h), and so does the object's entry in the table of
 * exports. Requests are queued there as they arrive. The thread runs them while it waits in PyGAS;
 * the main thread also between two bytecodes (attend.h), and the executor whenever it can. When a
 * thread ends, what is queued for it is refused, and so is what comes later.
 */
#ifndef PYGAS_BINDING_AFFINITY_H
#define PYGAS_BINDING_AFFINITY_H

#include "state.h"

/* How a home's thread can be reached while it is not in a PyGAS wait: its `tag`. */
#define PG_HOME_OF_MAIN 1u
#define PG_HOME_OF_EXECUTOR 2u
#define PG_HOME_OF_OTHER 0u

/* The calling thread's home, made if it has none. Borrowed. Attached, inside pg_enter(). NULL with
 * an exception. */
gas_home_t *pg_home_here(void);

/* The calling thread is the executor, for pg_home_here(). */
void pg_home_set_executor(void);

/* Lets go of a reference to an object of `home`, on its thread if that lives, without waiting: for
 * finalizers. Attached. */
void pg_home_drop(gas_home_t *home, PyObject *object);

/* True while the calling thread refuses what is queued for a thread that has ended. */
bool pg_home_is_closing(void);

/* The home that Proxies to results of the running operation get; NULL: none. Sets it; returns what
 * it was. Attached. */
gas_home_t *pg_home_set_of_results(gas_home_t *home);
gas_home_t *pg_home_of_results(void);

/* home_of_request(): the home of the object on which the calling thread runs a request, for push();
 * None if it has none. */
PyObject *pg_home_of_request(PyObject *module, PyObject *unused);

/* *home, borrowed, of what pg_home_of_request() has returned. 0, or -1 with an exception. */
int pg_home_parse(PyObject *object, gas_home_t **home);

#endif
