/*
 * Shapes: what a class can do, and the Proxy types that mirror it.
 *
 * A Proxy must be callable exactly if its object is, iterable exactly if its object is, and so on:
 * callable(), isinstance(p, collections.abc.Sized) and the interpreter's own error messages ask the
 * type. So the type of a Proxy is a subtype of pygas.Proxy with just the slots (slots.def) that the
 * object's class has, and with the class's name. Shapes and their types are made once for each name
 * and set of slots, and kept as long as there are Proxies of them; those that have none go when
 * there are too many.
 */
#ifndef PYGAS_BINDING_SHAPE_H
#define PYGAS_BINDING_SHAPE_H

#include "state.h"

/* A bit for each row of slots.def, the in-place slots of BINARY rows after their row. */
typedef enum pg_slot {
#define BINARY(slot, name, function, inplace, inplace_function) PG_SLOT_##slot, PG_SLOT_##inplace,
#define UNARY(slot, function) PG_SLOT_##slot,
#define SEQUENCE(slot, function) PG_SLOT_##slot,
#define OTHER(slot, function) PG_SLOT_##slot,
#define SPECIAL(name) PG_SLOT_##name,
#include "slots.def"
    PG_SLOT_NO_SEQUENCE, /* it has not even room for a sequence's slots */
    PG_SLOT_CONCAT_ONLY, /* a sequence that is no number: + is sq_concat */
    PG_SLOT_HASHABLE,    /* instances can be hashed */
    PG_SLOT_SEQUENCE,    /* a sequence to the match statement */
    PG_SLOT_MAPPING,     /* a mapping to it */
    PG_SLOT_COUNT
} pg_slot_t;

#define PG_SHAPE_WORDS 2 /* 64 bits each, for PG_SLOT_COUNT bits */

typedef struct pg_shape {
    uint64_t slots[PG_SHAPE_WORDS];
    const char *name;    /* of the class, as the interpreter shows it in messages (tp_name) */
    const uint8_t *wire; /* what stands for it in a stream (shape_wire.h) */
    size_t wire_length;
    PyTypeObject *type;
    atomic_size_t proxies; /* how many there are, and others that hold it */
    uint64_t used;         /* when it was last asked for, in askings; the table's */
    PyMethodDef *methods;  /* of the type */
} pg_shape_t;

static inline bool pg_shape_has(const pg_shape_t *shape, pg_slot_t slot)
{
    return (shape->slots[slot / 64] >> (slot % 64) & 1) != 0;
}

/* True for classes that C code made and the program cannot change: their operators know what to do
 * with the types they know, and with nothing else. */
static inline bool pg_type_is_builtin(PyTypeObject *type)
{
    return (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ||
            PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) &&
           !PyType_IsSubtype(type, pg.proxy_type);
}

int pg_shapes_init(PyObject *module);

/* The shape of an object's class as it is now, held for the caller: pg_shape_let_go(). NULL with an
 * exception. */
pg_shape_t *pg_shape_of(PyObject *object);

/* The shape that came over the wire, likewise. NULL with an exception. */
pg_shape_t *pg_shape_get(const char *name, const uint64_t slots[PG_SHAPE_WORDS]);

/* The same if these bytes are what stands for it in a stream, and it was asked for lately; else
 * NULL, without an exception. */
pg_shape_t *pg_shape_known(const uint8_t *wire, size_t length);

static inline void pg_shape_hold(pg_shape_t *shape)
{
    atomic_fetch_add_explicit(&shape->proxies, 1, memory_order_relaxed);
}

static inline void pg_shape_let_go(pg_shape_t *shape)
{
    atomic_fetch_sub_explicit(&shape->proxies, 1, memory_order_release);
}

#endif
