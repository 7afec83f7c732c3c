/* Encoding objects by their reductions: the part that codec_object.c and codec_reduce.c share. */
#ifndef PYGAS_BINDING_CODEC_OBJECT_H
#define PYGAS_BINDING_CODEC_OBJECT_H

#include "codec_write.h"

int pg_object_init(void);
int pg_reduce_init(void);

/* Writes what `object` says by its hooks, or cloudpickle about it. Needs PG_RIGOUR_HOOKS.
 * `reducer`: copyreg's function for it, or NULL. */
int pg_put_by_hooks(pg_writer_t *writer, PyObject *object, PyObject *reducer);

/* The exception that is set says that `object` cannot be copied: writes what cloudpickle has to
 * say, or leaves the exception. */
int pg_put_by_cloud(pg_writer_t *writer, PyObject *object);

/* Writes what cloudpickle says; pickle would make a copy that is of no use. */
int pg_put_by_cloud_first(pg_writer_t *writer, PyObject *object);

/* What follows a construction: NULL for what does not. `recurs`: the object gets a number. */
typedef struct pg_after {
    PyObject *items, *pairs, *state, *setter;
} pg_after_t;

int pg_put_after(pg_writer_t *writer, PyObject *object, bool recurs, const pg_after_t *after);

#endif
