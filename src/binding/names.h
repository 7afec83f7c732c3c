/*
 * Names of attributes and methods on the wire: spelled the first time, a number from then on.
 *
 * With its name spelled a method call does not fit into a cache line, and would take a third longer
 * (heads.h). A rank numbers the names that it uses, for all ranks alike; which of them a rank has
 * been told is known here, what each rank has told this one there. As messages from one rank to
 * another stay in order, a number never comes before its name.
 */
#ifndef PYGAS_BINDING_NAMES_H
#define PYGAS_BINDING_NAMES_H

#include "state.h"

#include <stdbool.h>

#define PG_NAME_LENGTH_MAX 30   /* longer names travel with the arguments */
#define PG_NAME_NUMBER_MAX 1024 /* numbers are below it, and start at 1 */

/* A name in the head of a request. */
typedef struct pg_name {
    uint16_t number;   /* 0: there is no name here */
    uint8_t length;    /* of the spelling; 0: the other rank knows it */
    const char *bytes; /* the spelling, ASCII */
} pg_name_t;

/* ---- who asks ---- */

/* How `text` is to travel to `rank`. False, and it has to go with the arguments: it is not ASCII,
 * too long, not interned (made at run time: there may be many), or there are too many names. */
bool pg_name_for(PyObject *text, int rank, pg_name_t *name);

/* A message with that name, spelled, has been sent to `rank`. */
void pg_name_told(const pg_name_t *name, int rank);

/* ---- who is asked ---- */

typedef struct pg_known_name pg_known_name_t;

/* The name in a request of rank `source`; NULL if it was never spelled, or there is no memory. To
 * be called in the order in which messages arrive: a handler, under the conduit lock. */
pg_known_name_t *pg_name_arrived(int source, const pg_name_t *name);

/* As a string, interned. Attached. A new reference, or NULL with an exception. */
PyObject *pg_name_text(pg_known_name_t *name);

/* ---- */

/* For a job of pg.size ranks, before its handlers run. Not attached. */
gas_status_t pg_names_init(void);

/* No handler runs any more, or ever did. Attached. */
void pg_names_clear(void);

#endif
