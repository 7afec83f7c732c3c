/*
 * A scan from inside: what scan.c, which does it, and scan_type.c, the Python type, share. See
 * scan.c. One thread at a time uses a scan. Attached.
 */
#ifndef PYGAS_BINDING_SCAN_H
#define PYGAS_BINDING_SCAN_H

#include "imports.h"
#include "inspect.h"

typedef struct node {
    PyObject *object;
    Py_ssize_t outside; /* references that are not explained */
    size_t shown_by;    /* a frame has shown it: 1 + that one's node */
    bool reached;
    bool kept; /* a reference to it is the scan's */
} pg_node_t;

/* A shared object of this rank that only the table refers to. */
typedef struct suspect {
    uint64_t id, weight;
    uint64_t explained; /* weight that unreached Proxies hold, on all ranks */
    size_t node;
} pg_suspect_t;

/* An object of another rank to which only unreached Proxies of this rank refer. */
typedef struct holding {
    pg_import_t *import; /* kept by the Proxies */
    uint64_t weight;
    uint32_t count; /* Proxies that were found */
    bool complete;  /* and those are all */
    bool told;      /* its owner knows that it is live */
    bool fresh;     /* its owner is to be told */
} pg_scan_holding_t;

typedef struct pg_scan {
    PyObject_HEAD pg_node_t *nodes;
    size_t count, capacity; /* of nodes */
    size_t *slots;          /* a hash table: index + 1 of a node */
    size_t mask;            /* of slots */
    pg_suspect_t *suspects;
    size_t suspect_count;
    pg_scan_holding_t *holdings;
    size_t holding_count;
    size_t *stack; /* of nodes whose references are to be followed */
    size_t depth;
    size_t showing; /* the node whose references are being explained */
    pg_flow_count_t flow;
} pg_scan_t;

/* All objects that the interpreter's collector knows: a new list. */
PyObject *pg_scan_tracked(void);

/* Scans `tracked` into `scan`, all zero. With `of` not NULL, only what that scan has left as
 * garbage loses the table's reference. No Python code runs in here. -1 with an exception. */
int pg_scan_run(pg_scan_t *scan, PyObject *tracked, const pg_scan_t *of);

/* Lets go of all it refers to, and frees what it has. */
void pg_scan_empty(pg_scan_t *scan);

/* NULL if there is none. */
pg_suspect_t *pg_scan_suspect(const pg_scan_t *scan, uint64_t id);

/* It is live, and so is what it refers to: `fresh` in holdings says whose owners are to be told. */
void pg_scan_revive(pg_scan_t *scan, const pg_suspect_t *suspect);

bool pg_scan_is_garbage(const pg_scan_t *scan, const pg_suspect_t *suspect);

/* True if all of a scan's garbage is still garbage, and nothing has happened since, according to
 * another scan. */
bool pg_scan_is_confirmed(const pg_scan_t *scan, const pg_scan_t *again);

/* Lets go of what the garbage's Proxies refer to. */
void pg_scan_sever(const pg_scan_t *scan);

#endif
