/*
 * An in-process boot: the ranks of a job are threads of one process, as the loopback conduit's
 * tests need it. `get` knows nothing but the rank; what the ranks share is the group's `shared`.
 */
#ifndef GAS_TESTING_INPROC_H
#define GAS_TESTING_INPROC_H

#include "../boot/boot.h"

typedef struct gas_inproc gas_inproc_t;

/* A group of `size` ranks; it outlives their boots. NULL without memory. */
gas_inproc_t *gas_inproc_create(int size, void *shared);
void gas_inproc_destroy(gas_inproc_t *group);

gas_status_t gas_inproc_boot_create(gas_inproc_t *group, int rank, gas_boot_t **boot);

/* Tells every other rank that listens that `rank` has failed, as a launcher would. */
void gas_inproc_fail(gas_inproc_t *group, int rank, int status, const char *reason);

/* What the group of `boot`, which must be an in-process one, was created with. */
void *gas_inproc_shared(gas_boot_t *boot);

#endif
