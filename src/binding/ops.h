/*
 * Operations, by number: what a request asks for, and what a Proxy does on the object itself where
 * it owns it. One table, ops.def.
 */
#ifndef PYGAS_BINDING_OPS_H
#define PYGAS_BINDING_OPS_H

#include "state.h"

typedef enum pg_op {
#define OP(name, evaluator, arguments) PG_OP_##name,
#include "ops.def"
#undef OP
    PG_OP_COUNT
} pg_op_t;

int pg_ops_init(void);

/* True if `op` acts on an object, not on the rank. */
static inline bool pg_op_has_object(pg_op_t op)
{
    return op < PG_OP_FUNCTION;
}

/* Does `op` on `object` (NULL if it has none) with `args`, a tuple. A new reference, or NULL with
 * the exception that the operation raised; TypeError if `args` has the wrong shape. */
PyObject *pg_op_evaluate(pg_op_t op, PyObject *object, PyObject *args);

/* True if `value` is a method bound to some instance: copying it would copy the instance. */
bool pg_op_is_bound(PyObject *value);

/* True if `value`, just read as an attribute of `object`, is something to call there rather than to
 * copy: a method bound to it or its class, or a function. */
bool pg_op_is_method_of(PyObject *object, PyObject *value);

#endif
