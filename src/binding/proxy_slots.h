/* The slots of Proxy types: generated from slots.def. */
#ifndef PYGAS_BINDING_PROXY_SLOTS_H
#define PYGAS_BINDING_PROXY_SLOTS_H

#include "shape.h"

/* CPython's id of a slot and our function for it; 0 and NULL for rows that are special methods. */
typedef struct pg_slot_row {
    int id;
    void *function;
} pg_slot_row_t;

extern const pg_slot_row_t pg_slot_rows[PG_SLOT_COUNT];

/* The special methods, as rows of a method table; `slot` says which is which. */
typedef struct pg_special_row {
    pg_slot_t slot;
    PyMethodDef method;
} pg_special_row_t;

extern const pg_special_row_t pg_special_rows[];
extern const size_t pg_special_count;

/* What every Proxy type has. A type with a hash slot of its own must have the comparison as well.
 */
extern const PyType_Slot pg_proxy_common_slots[];
extern const size_t pg_proxy_common_count;
extern const PyType_Slot pg_proxy_hash_slot;
extern PyMethodDef pg_proxy_common_methods[];

#endif
