/*
 * Proxy: a reference to an object that lives on some rank, which behaves like the object.
 *
 * It has no public attributes or methods of its own: everything that is asked of it is asked of the
 * object. Where the object lives on this rank, operations go straight to it; elsewhere they travel.
 * Its type is the one of its object's shape (shape.h).
 */
#ifndef PYGAS_BINDING_PROXY_H
#define PYGAS_BINDING_PROXY_H

#include "imports.h"
#include "shape.h"
#include "state.h"

/* What becomes of results. */
typedef enum pg_mode {
    PG_MODE_VALUE,     /* by value, else by reference */
    PG_MODE_REFERENCE, /* by_ref(): Proxies of this mode */
    PG_MODE_ASYNC,     /* async_(): Futures */
    PG_MODE_COUNT
} pg_mode_t;

typedef struct pg_proxy {
    PyObject_HEAD int owner;
    pg_mode_t mode;
    union {
        pg_import_t *import;       /* of an object of another rank; a reference of the Proxy's */
        _Atomic(uint64_t) kept_id; /* of one of this rank: the entry pinned for pickles; 0: none */
    };
    PyObject *object; /* the object itself on its owner, else NULL */
    gas_home_t *home; /* with it: the thread it belongs to (affinity.h), or NULL */
    pg_shape_t *shape;
    PyObject *weak_references;
} pg_proxy_t;

#define PG_PROXY_CHECK(object) PyObject_TypeCheck(object, pg.proxy_type)

/* A Proxy to an object of this rank, which belongs to the thread of `home` if that is not NULL.
 * NULL with an exception. */
PyObject *pg_proxy_new_local(PyObject *object, gas_home_t *home);

/* The Proxy that a reference from the wire stands for. Asks the owner, and waits for its answer, if
 * it came without weight (a pickle) and this rank has no other. NULL with an exception. */
PyObject *pg_proxy_from_wire(int owner, uint64_t id, pg_shape_t *shape, pg_mode_t mode);

/* The one that a reference stands for which is held already (references.h), and is taken over. NULL
 * with an exception. */
struct pg_reference;
PyObject *pg_proxy_from_held(const struct pg_reference *held, pg_shape_t *shape, pg_mode_t mode);

/* True on the rank that owns the object. */
static inline bool pg_proxy_is_here(const pg_proxy_t *proxy)
{
    return proxy->owner == pg.rank;
}

/* Pins the object's entry in the exports of this rank, which owns it. -1 with an exception. */
int pg_proxy_pin(pg_proxy_t *proxy, uint64_t *id);

/* Where a request has to go: the id, whose entry is pinned for the request if it is one of this
 * rank. -1 with an exception. */
int pg_proxy_address(pg_proxy_t *proxy, uint64_t *id);

/* The object's id, which stays good as long as the Proxy lives. -1 with an exception. */
int pg_proxy_keep_id(pg_proxy_t *proxy, uint64_t *id);

/* How many Proxies there are on this rank. */
size_t pg_proxy_count(void);

/* Lets go of what the Proxy stands for. For the finalizer. */
void pg_proxy_let_go(pg_proxy_t *proxy);

/* Lets go of the object itself, on the thread that it belongs to. */
void pg_proxy_drop_object(pg_proxy_t *proxy);

/* The same reference with another mode. NULL with an exception. */
PyObject *pg_proxy_with_mode(pg_proxy_t *proxy, pg_mode_t mode);

/* True if the object is here, and the calling thread may touch it. */
static inline bool pg_proxy_is_at_hand(const pg_proxy_t *proxy)
{
    return proxy->object != NULL && (proxy->home == NULL || gas_home_is_here(proxy->home));
}

/* True if an operation goes straight to the object. */
static inline bool pg_proxy_is_direct(const pg_proxy_t *proxy)
{
    return proxy->mode == PG_MODE_VALUE && pg_proxy_is_at_hand(proxy);
}

/*
 * `op` on the proxy's object, wherever it is, with the result that the mode asks for. Steals
 * `args`, which may be NULL (an exception is set then). A new reference, or NULL with an exception;
 * NULL without one: an iterator is exhausted. A result that is the object itself is the proxy
 * itself.
 */
PyObject *pg_proxy_operate(pg_proxy_t *proxy, int op, PyObject *args);

/* The same with a Future of the result in every mode, also on the owner. */
PyObject *pg_proxy_operate_async(pg_proxy_t *proxy, int op, PyObject *args);

/* What an operation that was done directly returned (NULL: an exception): the proxy itself if that
 * is its object. Steals `result`. */
PyObject *pg_proxy_own(pg_proxy_t *proxy, PyObject *result);

/* The object itself on its owner, elsewhere a copy. A new reference, or NULL with an exception. */
PyObject *pg_proxy_referent(pg_proxy_t *proxy);

/* The same for operations whose result the interpreter insists on (a length, a truth, a text): by
 * value in every mode; TypeError for async_(). */
PyObject *pg_proxy_operate_now(pg_proxy_t *proxy, int op, PyObject *args);

#endif
