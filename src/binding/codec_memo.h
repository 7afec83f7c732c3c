/* The objects that have a number in a message that is being encoded. */
#ifndef PYGAS_BINDING_CODEC_MEMO_H
#define PYGAS_BINDING_CODEC_MEMO_H

#include <Python.h>

#include <stdint.h>

#define PG_MEMO_ROOM 12

typedef struct pg_memo {
    PyObject **objects; /* by number; kept alive, or another could get the same address */
    size_t count, capacity;
    uint32_t *table; /* number + 1 by address, open addressing; NULL: few enough to look at all */
    size_t mask;
    PyObject *room[PG_MEMO_ROOM];
} pg_memo_t;

void pg_memo_init(pg_memo_t *memo);
void pg_memo_fini(pg_memo_t *memo); /* may run finalizers */

/* The number of `object`; -1: it has none. */
Py_ssize_t pg_memo_find(const pg_memo_t *memo, PyObject *object);

/* Gives `object` the next number. 0, or -1 with an exception. */
int pg_memo_add(pg_memo_t *memo, PyObject *object);

#endif
