/*
 * Grants: weight (weight.h) for which a rank asks the owner, as it has too little to pass on or
 * knows the id of an object alone. The owner's handler mints and answers in C, also while its
 * program computes.
 */
#ifndef PYGAS_BINDING_GRANTS_H
#define PYGAS_BINDING_GRANTS_H

#include "imports.h"

/* Asks the owner for weight unless that has been done. -1 with an exception. Attached. */
int pg_grant_ask(pg_import_t *import);

/* Waits until the owner, who has been asked, has answered. Attached, after pg_enter(); requests do
 * not run meanwhile. */
void pg_grant_await(pg_import_t *import);

/* Tells the threads that wait for `import`. Under the lock of the imports. */
void pg_grant_over(const pg_import_t *import);

/* The handlers. */
void pg_weight_asked(gas_job_t *job, gas_msg_t *msg, void *arg);
void pg_weight_arrived(gas_job_t *job, gas_msg_t *msg, void *arg);

#endif
