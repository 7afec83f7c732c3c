/*
 * Fetching the large buffers of a Future's reply when it has arrived, before anybody asks for the
 * result: so that the copying overlaps with what the program does meanwhile.
 */
#ifndef PYGAS_BINDING_PREFETCH_H
#define PYGAS_BINDING_PREFETCH_H

#include "fetch.h"

typedef struct pg_call pg_call_t;
typedef struct pg_prefetch pg_prefetch_t;

/* For a reply that has arrived: one, if it is worth while; NULL: none. Not attached. */
pg_prefetch_t *pg_prefetch_new(pg_call_t *call);

/* Has the buffers fetched by whoever drains the queue of work. Takes over a reference to the call.
 * Not attached. */
void pg_prefetch_queue(pg_prefetch_t *prefetch);

/* The caller fetches what there is, or nobody does. False: it is being fetched, or has been, and
 * pg_prefetch_result() has it. */
bool pg_prefetch_claim(pg_prefetch_t *prefetch);

/* What was fetched, decoded: a new reference, or NULL with an exception. May wait for it. Once, if
 * pg_prefetch_claim() is false. Attached. */
PyObject *pg_prefetch_result(pg_prefetch_t *prefetch);

/* Attached, if it was ever queued. NULL is allowed. */
void pg_prefetch_free(pg_prefetch_t *prefetch);

#endif
