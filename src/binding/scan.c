/*
 * A scan: what this rank's part of the garbage collector across ranks (pygas/cycles.py) has
 * found out.
 *
 * A scan looks once at every container object of the interpreter, in one go, and finds the shared
 * objects of this rank that nothing here refers to but the table of exports: *suspects*. Whether
 * one is garbage depends on those who hold Proxies to it; if these are held by nothing but suspects
 * of their ranks, and so on round, all of them are.
 *
 * Design notes. The method is the interpreter's own (trial deletion; Christopher 1984): of each
 * container object's reference count the references from other container objects are subtracted, as
 * their tp_traverse shows them, and, for shared objects, the one of the table of exports. What is
 * left comes from outside: frames, C code, modules. Objects with something left, and what they
 * refer to, are live on this rank; the others are the *unreached*. Whatever cannot be explained
 * counts as a reference from outside, so a mistake keeps an object.
 *
 * The scan says for which objects of other ranks the unreached hold *all* Proxies of this rank, and
 * how much weight that is (holdings). Their owner adds up: a suspect whose weight is not accounted
 * for in full has a live user, or one in a message. From it the rank marks what it refers to
 * (revive), and tells the owners of the Proxies that it meets, until nothing new is found; what is
 * left of the suspects is garbage.
 *
 * Nobody stops the program's other threads meanwhile. So before anything is let go of, every rank
 * scans again and then votes, without giving up the interpreter lock in between: garbage is still
 * unreached, the weights are what they were, and no message was sent or received since the first
 * scan. If all agree each rank severs its garbage Proxies, still under the lock: it sends their
 * weight home. The rest is the ordinary way in which objects go.
 *
 * One thread at a time uses a scan. It refers to all of the unreached objects, so none goes early.
 */
#include "scan.h"

#include "exports.h"
#include "proxy.h"

/* ---- the nodes ---- */

static size_t *slot_of(const pg_scan_t *scan, const PyObject *object)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u >> 20);

    for (;; at++) {
        size_t *slot = &scan->slots[at & scan->mask];

        if (*slot == 0 || scan->nodes[*slot - 1].object == object)
            return slot;
    }
}

static pg_node_t *node_of(const pg_scan_t *scan, const PyObject *object)
{
    size_t slot = *slot_of(scan, object);

    return slot != 0 ? &scan->nodes[slot - 1] : NULL;
}

/* Room for `count` nodes. -1 with an exception. */
static int reserve(pg_scan_t *scan, size_t count)
{
    size_t slots = 64;

    while (slots < count * 2)
        slots *= 2;
    scan->nodes = malloc((count + 1) * sizeof(*scan->nodes));
    scan->stack = malloc((count + 1) * sizeof(*scan->stack));
    scan->slots = calloc(slots, sizeof(*scan->slots));
    scan->mask = slots - 1;
    scan->capacity = count;
    if (scan->nodes != NULL && scan->stack != NULL && scan->slots != NULL)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int explain(PyObject *object, void *arg)
{
    pg_node_t *node = node_of(arg, object);

    if (node != NULL)
        node->outside--;
    return 0;
}

/*
 * Since 3.14 what a frame has on its stack may be borrowed from its own variables, and its
 * tp_traverse shows it all the same. So one reference of each frame is believed: there may be more,
 * but then it is kept. `scan->showing` is the frame's node.
 */
#if PY_VERSION_HEX >= 0x030E0000

static int explain_once(PyObject *object, void *arg)
{
    const pg_scan_t *scan = arg;
    pg_node_t *node = node_of(scan, object);

    if (node != NULL && node->shown_by != scan->showing + 1) {
        node->shown_by = scan->showing + 1;
        node->outside--;
    }
    return 0;
}

static bool has_a_stack(PyObject *object)
{
    return PyGen_CheckExact(object) || PyCoro_CheckExact(object) || PyAsyncGen_CheckExact(object) ||
           PyFrame_Check(object);
}

#endif

static void follow(PyObject *object, visitproc visit, pg_scan_t *scan)
{
    Py_TYPE(object)->tp_traverse(object, visit, scan);
}

/* Follows what is on the stack, and what that puts there. */
static void follow_all(pg_scan_t *scan, visitproc visit)
{
    while (scan->depth > 0)
        follow(scan->nodes[scan->stack[--scan->depth]].object, visit, scan);
}

static void push(pg_scan_t *scan, const pg_node_t *node)
{
    scan->stack[scan->depth++] = (size_t)(node - scan->nodes);
}

static int reach(PyObject *object, void *arg)
{
    pg_node_t *node = node_of(arg, object);

    if (node != NULL && !node->reached) {
        node->reached = true;
        push(arg, node);
    }
    return 0;
}

static void explain_all(pg_scan_t *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        PyObject *object = scan->nodes[i].object;

#if PY_VERSION_HEX >= 0x030E0000
        scan->showing = i;
        if (has_a_stack(object)) {
            follow(object, explain_once, scan);
            continue;
        }
#endif
        follow(object, explain, scan);
    }
}

/* Every tracked object becomes a node. `tracked`: the only reference that is ours. */
static int add_nodes(pg_scan_t *scan, PyObject *tracked)
{
    if (reserve(scan, (size_t)PyList_GET_SIZE(tracked)) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tracked); i++) {
        PyObject *object = PyList_GET_ITEM(tracked, i);
        size_t *slot = slot_of(scan, object);

        if (*slot != 0 || object == (PyObject *)scan || Py_TYPE(object)->tp_traverse == NULL)
            continue;
        scan->nodes[scan->count] =
            (pg_node_t){.object = object, .outside = (Py_ssize_t)Py_REFCNT(object) - 1};
        *slot = ++scan->count;
    }
    return 0;
}

/* ---- suspects and holdings ---- */

static int add_suspects(pg_scan_t *scan, const pg_export_t *entries, size_t count)
{
    scan->suspects = malloc((count + 1) * sizeof(*scan->suspects));
    if (scan->suspects == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        pg_node_t *node = node_of(scan, entries[i].object);

        if (node != NULL && !node->reached && entries[i].weight > 0)
            scan->suspects[scan->suspect_count++] =
                (pg_suspect_t){entries[i].id, entries[i].weight, 0, (size_t)(node - scan->nodes)};
    }
    return 0;
}

/* A Proxy to an object of another rank; NULL for other objects. */
static pg_proxy_t *as_far_proxy(PyObject *object)
{
    pg_proxy_t *proxy = (pg_proxy_t *)object;

    return PG_PROXY_CHECK(object) && !pg_proxy_is_here(proxy) && proxy->import != NULL ? proxy
                                                                                       : NULL;
}

static int by_import(const void *one, const void *two)
{
    uintptr_t a = (uintptr_t)((const pg_scan_holding_t *)one)->import;
    uintptr_t b = (uintptr_t)((const pg_scan_holding_t *)two)->import;

    return a < b ? -1 : a > b;
}

static pg_scan_holding_t *holding_of(const pg_scan_t *scan, pg_import_t *import)
{
    pg_scan_holding_t key = {.import = import};

    return bsearch(&key, scan->holdings, scan->holding_count, sizeof(key), by_import);
}

/* Counts the unreached Proxies by what they refer to. */
static int add_holdings(pg_scan_t *scan)
{
    size_t count = 0, used = 0;
    pg_scan_holding_t *holdings = malloc((scan->count + 1) * sizeof(*holdings));

    scan->holdings = holdings;
    if (holdings == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < scan->count; i++) {
        pg_proxy_t *proxy = scan->nodes[i].reached ? NULL : as_far_proxy(scan->nodes[i].object);

        if (proxy != NULL)
            holdings[count++] = (pg_scan_holding_t){.import = proxy->import, .count = 1};
    }
    qsort(holdings, count, sizeof(*holdings), by_import);
    for (size_t i = 0; i < count; i++) {
        if (used > 0 && holdings[used - 1].import == holdings[i].import)
            holdings[used - 1].count++;
        else
            holdings[used++] = holdings[i];
    }
    scan->holding_count = used;
    for (size_t i = 0; i < used; i++) {
        uint32_t references;

        pg_import_look(holdings[i].import, &references, &holdings[i].weight);
        holdings[i].complete = references == holdings[i].count;
    }
    return 0;
}

/* ---- scanning ---- */

static void keep_unreached(pg_scan_t *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        if (!scan->nodes[i].reached) {
            scan->nodes[i].kept = true;
            Py_INCREF(scan->nodes[i].object);
        }
}

int pg_scan_run(pg_scan_t *scan, PyObject *tracked, const pg_scan_t *of)
{
    size_t count;
    pg_export_t *entries = pg_exports_list(&count);
    int failed = entries == NULL || add_nodes(scan, tracked) < 0;

    if (!failed)
        explain_all(scan);
    for (size_t i = 0; !failed && i < count; i++) {
        pg_node_t *node = node_of(scan, entries[i].object);
        const pg_node_t *before = of != NULL ? node_of(of, entries[i].object) : NULL;

        if (node == NULL)
            continue;
        node->outside--; /* the reference of the list of entries */
        if (entries[i].pins == 0 && (of == NULL || (before != NULL && !before->reached)))
            node->outside--; /* that of the table */
    }
    for (size_t i = 0; !failed && i < scan->count; i++) {
        pg_node_t *node = &scan->nodes[i];
        const pg_node_t *before = of != NULL ? node_of(of, node->object) : NULL;

        if (before != NULL && before->kept)
            node->outside--; /* the reference of the scan before */
        if (node->outside != 0 && !node->reached) {
            node->reached = true;
            push(scan, node);
            follow_all(scan, reach);
        }
    }
    if (!failed)
        failed = add_suspects(scan, entries, count) < 0 || add_holdings(scan) < 0;
    if (entries != NULL)
        pg_exports_unlist(entries, count);
    if (failed)
        scan->count = 0;
    keep_unreached(scan);
    scan->flow = pg_flow_now();
    return failed ? -1 : 0;
}

PyObject *pg_scan_tracked(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *tracked = gc != NULL ? PyObject_CallMethod(gc, "get_objects", NULL) : NULL;

    Py_XDECREF(gc);
    return tracked;
}

void pg_scan_empty(pg_scan_t *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->nodes[i].kept)
            Py_DECREF(scan->nodes[i].object);
    scan->count = 0;
    free(scan->nodes);
    free(scan->slots);
    free(scan->stack);
    free(scan->suspects);
    free(scan->holdings);
}

/* ---- what is live after all ---- */

/* As reach(), and notes whose owners are to be told. */
static int revive(PyObject *object, void *arg)
{
    pg_scan_t *scan = arg;
    pg_node_t *node = node_of(scan, object);
    pg_proxy_t *proxy;

    if (node == NULL || node->reached)
        return 0;
    node->reached = true;
    push(scan, node);
    proxy = as_far_proxy(object);
    if (proxy != NULL) {
        pg_scan_holding_t *holding = holding_of(scan, proxy->import);

        if (holding != NULL && !holding->told)
            holding->told = holding->fresh = true;
    }
    return 0;
}

pg_suspect_t *pg_scan_suspect(const pg_scan_t *scan, uint64_t id)
{
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (scan->suspects[i].id == id)
            return &scan->suspects[i];
    return NULL;
}

void pg_scan_revive(pg_scan_t *scan, const pg_suspect_t *suspect)
{
    revive(scan->nodes[suspect->node].object, scan);
    follow_all(scan, revive);
}

/* ---- the end of garbage ---- */

bool pg_scan_is_garbage(const pg_scan_t *scan, const pg_suspect_t *suspect)
{
    return !scan->nodes[suspect->node].reached;
}

bool pg_scan_is_confirmed(const pg_scan_t *scan, const pg_scan_t *again)
{
    if (again->flow.sent != scan->flow.sent || again->flow.received != scan->flow.received)
        return false;
    for (size_t i = 0; i < scan->count; i++) {
        const pg_node_t *node =
            scan->nodes[i].reached ? NULL : node_of(again, scan->nodes[i].object);

        if (!scan->nodes[i].reached && (node == NULL || node->reached))
            return false;
    }
    for (size_t i = 0; i < scan->suspect_count; i++) {
        const pg_suspect_t *suspect = pg_scan_suspect(again, scan->suspects[i].id);

        if (pg_scan_is_garbage(scan, &scan->suspects[i]) &&
            (suspect == NULL || suspect->weight != scan->suspects[i].weight))
            return false;
    }
    for (size_t i = 0; i < scan->holding_count; i++) {
        const pg_scan_holding_t *holding = &scan->holdings[i], *now;

        if (!holding->complete || holding->told)
            continue;
        now = holding_of(again, holding->import);
        if (now == NULL || !now->complete || now->weight != holding->weight)
            return false;
    }
    return true;
}

void pg_scan_sever(const pg_scan_t *scan)
{
    for (size_t i = 0; i < scan->holding_count; i++)
        if (scan->holdings[i].complete && !scan->holdings[i].told)
            pg_import_sever(scan->holdings[i].import);
}
