/*
 * Landing memory: Python objects into whose own memory the large buffers of a message are received,
 * so that nothing has to be copied once they are there.
 *
 * A bytes object or a bytearray where the sender had one; else a Landing, an object with nothing
 * but a writable buffer, which is what the arrays that are rebuilt keep alive. When bytes and
 * Landings are dropped, the memory is kept for a while and used for the next transfer (gas/pool.h;
 * for bytes objects see landing.c).
 */
#ifndef PYGAS_BINDING_LANDING_H
#define PYGAS_BINDING_LANDING_H

#include "state.h"

/* How a buffer of a message is to land; one byte for each in the message (payload.c). */
typedef enum pg_land { PG_LAND_MEMORY, PG_LAND_BYTES, PG_LAND_BYTEARRAY } pg_land_t;

/* How a buffer lands that `object` is the owner of: bytes and bytearrays in their like. */
pg_land_t pg_land_of(PyObject *object);

PyTypeObject *pg_landing_type_create(PyObject *module);

/* An object to receive `length` bytes into, which nobody else refers to yet, with anything in it;
 * or NULL with an exception. `place`: where the sender has them, 0 if that is not known. The memory
 * of a Landing is aligned to GAS_POOL_ALIGN. */
PyObject *pg_landing_new(pg_land_t land, size_t length, uint64_t place);

/* Where to receive: the memory of what pg_landing_new() returned. */
void *pg_landing_address(PyObject *object);

/* Housekeeping, for gas_job_params_t.idle. Not attached. */
uint64_t pg_landing_idle(void *arg);

/* Around the job. */
void pg_landing_open(void);
void pg_landing_close(void);
void pg_landing_after_fork(void);

/* landing_stats() of the module. */
PyObject *pg_landing_stats(PyObject *module, PyObject *unused);

#endif
