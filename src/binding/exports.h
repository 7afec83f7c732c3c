/*
 * The table of objects that this rank has let others refer to.
 *
 * An object's id on the wire is its index in the table and the generation of that entry, so that a
 * stale or invented id is noticed. An object exported twice keeps its id. In this version entries
 * live until the job ends.
 */
#ifndef PYGAS_BINDING_EXPORTS_H
#define PYGAS_BINDING_EXPORTS_H

#include "state.h"

int pg_exports_init(void);

/* Lets go of every object. Attached. */
void pg_exports_clear(void);

/* The id of `object`, which the table keeps alive from now on. 0, or -1 with an exception. */
int pg_exports_add(PyObject *object, uint64_t *id);

/* The object of `id`, a new reference; NULL with ReferenceError if there is none. */
PyObject *pg_exports_get(uint64_t id);

#endif
