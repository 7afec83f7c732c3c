/*
 * Operations, by number: what a request asks for, and what a Proxy does on the object itself where
 * it owns it. One table, ops.def; what the operators are is in slots.def.
 */
#ifndef PYGAS_BINDING_OPS_H
#define PYGAS_BINDING_OPS_H

#include "shape.h"
#include "state.h"

typedef enum pg_op {
#define OP(name, evaluator, arguments) PG_OP_##name,
#include "ops.def"
#undef OP
    PG_OP_COUNT
} pg_op_t;

/*
 * How far a binary operator or comparison goes. The interpreter asks the left operand's class
 * first, then the right one's; where a local object's class has a say, a Proxy must let it speak in
 * its turn.
 */
typedef enum pg_stage {
    PG_STAGE_FULL,    /* object OP other, with all the interpreter's rules */
    PG_STAGE_REVERSE, /* other OP object, likewise */
    PG_STAGE_OWN,     /* only what the object's own class says: maybe NotImplemented */
    PG_STAGE_BOTH,    /* as FULL, but NotImplemented where nobody can answer, no TypeError */
    PG_STAGE_BOTH_REVERSE,
    PG_STAGE_INPLACE /* object OP= other */
} pg_stage_t;

int pg_ops_init(void);

/* True if `op` acts on an object, not on the rank. */
static inline bool pg_op_has_object(pg_op_t op)
{
    return op < PG_OP_FUNCTION;
}

const char *pg_op_name(pg_op_t op);

/* Does `op` on `object` (NULL if it has none) with `args`, a tuple. A new reference, or NULL with
 * the exception that the operation raised; TypeError if `args` has the wrong shape. NULL without an
 * exception: an iterator is exhausted (NEXT). */
PyObject *pg_op_evaluate(pg_op_t op, PyObject *object, PyObject *args);

/* True if `value`, just read as an attribute of `object`, is something to call there rather than to
 * copy: a method bound to it or its class, or a function. */
bool pg_op_is_method_of(PyObject *object, PyObject *value);

/* True if `result` of an operation on `object` is that object, so that a Proxy to it is the answer.
 * A plain value is not: `x + 0` may well be x. */
bool pg_op_is_self(PyObject *object, PyObject *result);

/* True if a result is to come back as a reference though pickle might copy it: a module, an
 * iterator, a bound method. */
bool pg_op_is_reference(PyObject *result);

#endif
