/*
 * What is on its way must arrive as it was when it was sent: a result is that of its request, not
 * of a later one.
 *
 * Large buffers are sent from where they are. Before anything runs on this rank that may change one
 * which its receiver has not taken yet, it is copied (gas_bulk_settle()). That costs nothing when
 * nothing is on its way, which is the rule: a caller that waits takes its result at once.
 */
#ifndef PYGAS_BINDING_SETTLE_H
#define PYGAS_BINDING_SETTLE_H

#include "ops.h"

/* Before `op` on `object` with `args`: settles unless the operation only reads. 0, or -1 with an
 * exception. */
int pg_settle_before(pg_op_t op, PyObject *object, PyObject *args);

/* Before the program goes on to change what it likes. 0, or -1 with an exception. */
int pg_settle(void);

#endif
