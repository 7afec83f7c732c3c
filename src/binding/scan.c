/*
 * The type Scan: what this rank's part of the garbage collector across ranks (pygas/cycles.py) has
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
#include "agree.h"
#include "exports.h"
#include "imports.h"
#include "inspect.h"
#include "proxy.h"

#define AS_SCAN(object) ((scan_t *)(object))

typedef struct node {
    PyObject *object;
    Py_ssize_t outside; /* references that are not explained */
    bool reached;
    bool kept; /* a reference to it is the scan's */
} node_t;

/* A shared object of this rank that only the table refers to. */
typedef struct suspect {
    uint64_t id, weight;
    uint64_t explained; /* weight that unreached Proxies hold, on all ranks */
    size_t node;
} suspect_t;

/* An object of another rank to which only unreached Proxies of this rank refer. */
typedef struct holding {
    pg_import_t *import; /* kept by the Proxies */
    uint64_t weight;
    uint32_t count; /* Proxies that were found */
    bool complete;  /* and those are all */
    bool told;      /* its owner knows that it is live */
    bool fresh;     /* its owner is to be told */
} holding_t;

typedef struct scan {
    PyObject_HEAD node_t *nodes;
    size_t count, capacity; /* of nodes */
    size_t *slots;          /* a hash table: index + 1 of a node */
    size_t mask;            /* of slots */
    suspect_t *suspects;
    size_t suspect_count;
    holding_t *holdings;
    size_t holding_count;
    size_t *stack; /* of nodes whose references are to be followed */
    size_t depth;
    pg_flow_count_t flow;
} scan_t;

/* ---- the nodes ---- */

static size_t *slot_of(const scan_t *scan, const PyObject *object)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u >> 20);

    for (;; at++) {
        size_t *slot = &scan->slots[at & scan->mask];

        if (*slot == 0 || scan->nodes[*slot - 1].object == object)
            return slot;
    }
}

static node_t *node_of(const scan_t *scan, const PyObject *object)
{
    size_t slot = *slot_of(scan, object);

    return slot != 0 ? &scan->nodes[slot - 1] : NULL;
}

/* Room for `count` nodes. -1 with an exception. */
static int reserve(scan_t *scan, size_t count)
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
    node_t *node = node_of(arg, object);

    if (node != NULL)
        node->outside--;
    return 0;
}

static void follow(PyObject *object, visitproc visit, scan_t *scan)
{
    Py_TYPE(object)->tp_traverse(object, visit, scan);
}

/* Follows what is on the stack, and what that puts there. */
static void follow_all(scan_t *scan, visitproc visit)
{
    while (scan->depth > 0)
        follow(scan->nodes[scan->stack[--scan->depth]].object, visit, scan);
}

static void push(scan_t *scan, const node_t *node)
{
    scan->stack[scan->depth++] = (size_t)(node - scan->nodes);
}

static int reach(PyObject *object, void *arg)
{
    node_t *node = node_of(arg, object);

    if (node != NULL && !node->reached) {
        node->reached = true;
        push(arg, node);
    }
    return 0;
}

/* Every tracked object becomes a node. `tracked`: the only reference that is ours. */
static int add_nodes(scan_t *scan, PyObject *tracked)
{
    if (reserve(scan, (size_t)PyList_GET_SIZE(tracked)) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tracked); i++) {
        PyObject *object = PyList_GET_ITEM(tracked, i);
        size_t *slot = slot_of(scan, object);

        if (*slot != 0 || object == (PyObject *)scan || Py_TYPE(object)->tp_traverse == NULL)
            continue;
        scan->nodes[scan->count] =
            (node_t){.object = object, .outside = (Py_ssize_t)Py_REFCNT(object) - 1};
        *slot = ++scan->count;
    }
    return 0;
}

/* ---- suspects and holdings ---- */

static int add_suspects(scan_t *scan, const pg_export_t *entries, size_t count)
{
    scan->suspects = malloc((count + 1) * sizeof(*scan->suspects));
    if (scan->suspects == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        node_t *node = node_of(scan, entries[i].object);

        if (node != NULL && !node->reached && entries[i].weight > 0)
            scan->suspects[scan->suspect_count++] =
                (suspect_t){entries[i].id, entries[i].weight, 0, (size_t)(node - scan->nodes)};
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
    uintptr_t a = (uintptr_t)((const holding_t *)one)->import;
    uintptr_t b = (uintptr_t)((const holding_t *)two)->import;

    return a < b ? -1 : a > b;
}

static holding_t *holding_of(const scan_t *scan, pg_import_t *import)
{
    holding_t key = {.import = import};

    return bsearch(&key, scan->holdings, scan->holding_count, sizeof(key), by_import);
}

/* Counts the unreached Proxies by what they refer to. */
static int add_holdings(scan_t *scan)
{
    size_t count = 0, used = 0;
    holding_t *holdings = malloc((scan->count + 1) * sizeof(*holdings));

    scan->holdings = holdings;
    if (holdings == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < scan->count; i++) {
        pg_proxy_t *proxy = scan->nodes[i].reached ? NULL : as_far_proxy(scan->nodes[i].object);

        if (proxy != NULL)
            holdings[count++] = (holding_t){.import = proxy->import, .count = 1};
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

static void keep_unreached(scan_t *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        if (!scan->nodes[i].reached) {
            scan->nodes[i].kept = true;
            Py_INCREF(scan->nodes[i].object);
        }
}

/* Scans. With `of` not NULL, only what that scan has left as garbage loses the table's reference.
 * No Python code runs in here. -1 with an exception. */
static int scan_run(scan_t *scan, PyObject *tracked, const scan_t *of)
{
    size_t count;
    pg_export_t *entries = pg_exports_list(&count);
    int failed = entries == NULL || add_nodes(scan, tracked) < 0;

    for (size_t i = 0; !failed && i < scan->count; i++)
        follow(scan->nodes[i].object, explain, scan);
    for (size_t i = 0; !failed && i < count; i++) {
        node_t *node = node_of(scan, entries[i].object);
        const node_t *before = of != NULL ? node_of(of, entries[i].object) : NULL;

        if (node == NULL)
            continue;
        node->outside--; /* the reference of the list of entries */
        if (entries[i].pins == 0 && (of == NULL || (before != NULL && !before->reached)))
            node->outside--; /* that of the table */
    }
    for (size_t i = 0; !failed && i < scan->count; i++) {
        node_t *node = &scan->nodes[i];
        const node_t *before = of != NULL ? node_of(of, node->object) : NULL;

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

static PyObject *tracked_objects(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *tracked = gc != NULL ? PyObject_CallMethod(gc, "get_objects", NULL) : NULL;

    Py_XDECREF(gc);
    return tracked;
}

static void scan_empty(scan_t *scan)
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
    scan_t *scan = arg;
    node_t *node = node_of(scan, object);
    pg_proxy_t *proxy;

    if (node == NULL || node->reached)
        return 0;
    node->reached = true;
    push(scan, node);
    proxy = as_far_proxy(object);
    if (proxy != NULL) {
        holding_t *holding = holding_of(scan, proxy->import);

        if (holding != NULL && !holding->told)
            holding->told = holding->fresh = true;
    }
    return 0;
}

static suspect_t *suspect_of(const scan_t *scan, uint64_t id)
{
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (scan->suspects[i].id == id)
            return &scan->suspects[i];
    return NULL;
}

static void revive_suspect(scan_t *scan, const suspect_t *suspect)
{
    revive(scan->nodes[suspect->node].object, scan);
    follow_all(scan, revive);
}

/* The objects whose owners are to be told that they are live: a list of (owner, id). */
static PyObject *fresh_ones(scan_t *scan)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < scan->holding_count; i++) {
        holding_t *holding = &scan->holdings[i];
        PyObject *row;

        if (!holding->fresh)
            continue;
        holding->fresh = false;
        row =
            Py_BuildValue("(iK)", holding->import->owner, (unsigned long long)holding->import->id);
        if (row == NULL || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

/* ---- the end of garbage ---- */

static bool is_garbage(const scan_t *scan, const suspect_t *suspect)
{
    return !scan->nodes[suspect->node].reached;
}

/* True if all of a scan's garbage is still garbage, and nothing has happened since, according to
 * another scan. */
static bool is_confirmed(const scan_t *scan, const scan_t *again)
{
    if (again->flow.sent != scan->flow.sent || again->flow.received != scan->flow.received)
        return false;
    for (size_t i = 0; i < scan->count; i++) {
        const node_t *node = scan->nodes[i].reached ? NULL : node_of(again, scan->nodes[i].object);

        if (!scan->nodes[i].reached && (node == NULL || node->reached))
            return false;
    }
    for (size_t i = 0; i < scan->suspect_count; i++) {
        const suspect_t *suspect = suspect_of(again, scan->suspects[i].id);

        if (is_garbage(scan, &scan->suspects[i]) &&
            (suspect == NULL || suspect->weight != scan->suspects[i].weight))
            return false;
    }
    for (size_t i = 0; i < scan->holding_count; i++) {
        const holding_t *holding = &scan->holdings[i], *now;

        if (!holding->complete || holding->told)
            continue;
        now = holding_of(again, holding->import);
        if (now == NULL || !now->complete || now->weight != holding->weight)
            return false;
    }
    return true;
}

static void sever_all(const scan_t *scan)
{
    for (size_t i = 0; i < scan->holding_count; i++)
        if (scan->holdings[i].complete && !scan->holdings[i].told)
            pg_import_sever(scan->holdings[i].import);
}

/* ---- the type ---- */

static PyObject *Scan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *tracked = NULL;
    scan_t *scan;
    int failed;

    (void)kwargs;
    if (!PyArg_ParseTuple(args, ":Scan"))
        return NULL;
    if (pg_enter() < 0)
        return NULL;
    scan = (scan_t *)type->tp_alloc(type, 0);
    tracked = scan != NULL ? tracked_objects() : NULL;
    failed = tracked == NULL || scan_run(scan, tracked, NULL) < 0;
    pg_leave();
    Py_XDECREF(tracked);
    if (failed)
        Py_CLEAR(scan);
    return (PyObject *)scan;
}

static void Scan_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    scan_empty(AS_SCAN(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Scan_flow(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("(KK)", (unsigned long long)AS_SCAN(self)->flow.sent,
                         (unsigned long long)AS_SCAN(self)->flow.received);
}

static PyObject *Scan_holdings(PyObject *self, PyObject *unused)
{
    const scan_t *scan = AS_SCAN(self);
    PyObject *list = PyList_New(0);

    (void)unused;
    for (size_t i = 0; list != NULL && i < scan->holding_count; i++) {
        const holding_t *holding = &scan->holdings[i];
        PyObject *row;

        if (!holding->complete)
            continue;
        row =
            Py_BuildValue("(iKK)", holding->import->owner, (unsigned long long)holding->import->id,
                          (unsigned long long)holding->weight);
        if (row == NULL || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *Scan_settle(PyObject *self, PyObject *rows)
{
    scan_t *scan = AS_SCAN(self);

    if (!PyList_Check(rows))
        return PyErr_Format(PyExc_TypeError, "a list of (id, weight) is needed");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        unsigned long long id, weight;
        suspect_t *suspect;

        if (!PyArg_ParseTuple(PyList_GET_ITEM(rows, i), "KK", &id, &weight))
            return NULL;
        suspect = suspect_of(scan, id);
        if (suspect != NULL)
            suspect->explained += weight;
    }
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (scan->suspects[i].explained != scan->suspects[i].weight)
            revive_suspect(scan, &scan->suspects[i]);
    return fresh_ones(scan);
}

static PyObject *Scan_revive(PyObject *self, PyObject *ids)
{
    scan_t *scan = AS_SCAN(self);

    if (!PyList_Check(ids))
        return PyErr_Format(PyExc_TypeError, "a list of ids is needed");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ids); i++) {
        uint64_t id = PyLong_AsUnsignedLongLong(PyList_GET_ITEM(ids, i));
        suspect_t *suspect = suspect_of(scan, id);

        if (PyErr_Occurred())
            return NULL;
        if (suspect != NULL)
            revive_suspect(scan, suspect);
    }
    return fresh_ones(scan);
}

static PyObject *Scan_garbage(PyObject *self, PyObject *unused)
{
    const scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->suspect_count; i++)
        count += is_garbage(scan, &scan->suspects[i]);
    return PyLong_FromSize_t(count);
}

static PyObject *Scan_finalize(PyObject *self, PyObject *unused)
{
    const scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->count; i++) {
        PyObject *object = scan->nodes[i].object;

        if (scan->nodes[i].reached || Py_TYPE(object)->tp_finalize == NULL ||
            PyObject_GC_IsFinalized(object))
            continue;
        PyObject_CallFinalizer(object);
        count++;
    }
    return PyLong_FromSize_t(count);
}

static PyObject *Scan_sever(PyObject *self, PyObject *unused)
{
    PyObject *tracked;
    scan_t again = {.count = 0};
    bool agreed = false, confirmed;

    (void)unused;
    if (pg_enter() < 0)
        return NULL;
    tracked = tracked_objects();
    confirmed = tracked != NULL && scan_run(&again, tracked, AS_SCAN(self)) == 0 &&
                is_confirmed(AS_SCAN(self), &again);
    PyErr_Clear(); /* without memory: not confirmed */
    agreed = pg_agree(confirmed);
    if (agreed)
        sever_all(AS_SCAN(self));
    pg_leave();
    scan_empty(&again);
    Py_XDECREF(tracked);
    return PyBool_FromLong(agreed);
}

static PyObject *Scan_left(PyObject *self, PyObject *unused)
{
    const scan_t *scan = AS_SCAN(self);
    size_t count = 0;

    (void)unused;
    for (size_t i = 0; i < scan->suspect_count; i++)
        if (is_garbage(scan, &scan->suspects[i]))
            count += pg_exports_has(scan->suspects[i].id);
    return PyLong_FromSize_t(count);
}

static PyMethodDef Scan_methods[] = {
    {"flow", Scan_flow, METH_NOARGS,
     PyDoc_STR("flow($self, /)\n--\n\n"
               "Messages about objects that had been sent and received: (sent, received).")},
    {"holdings", Scan_holdings, METH_NOARGS,
     PyDoc_STR("holdings($self, /)\n--\n\n"
               "(owner, id, weight) of what only unreached Proxies of this rank refer to.")},
    {"settle", Scan_settle, METH_O,
     PyDoc_STR("settle($self, rows, /)\n--\n\n"
               "Take the (id, weight) that all ranks hold like that; what has more is live.\n\n"
               "Return the (owner, id) that are live because of that.")},
    {"revive", Scan_revive, METH_O,
     PyDoc_STR("revive($self, ids, /)\n--\n\n"
               "These are live. Return the (owner, id) that are live because of that.")},
    {"garbage", Scan_garbage, METH_NOARGS,
     PyDoc_STR("garbage($self, /)\n--\n\nHow many shared objects are garbage.")},
    {"finalize", Scan_finalize, METH_NOARGS,
     PyDoc_STR("finalize($self, /)\n--\n\n"
               "Call the finalizers of the garbage that have not been called; return how many.")},
    {"sever", Scan_sever, METH_NOARGS,
     PyDoc_STR("sever($self, /)\n--\n\n"
               "If all ranks find that the garbage still is garbage, let go of what its Proxies "
               "refer to.\n\nCollective. Return whether they do.")},
    {"left", Scan_left, METH_NOARGS,
     PyDoc_STR("left($self, /)\n--\n\nHow much of the garbage is still shared.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Scan_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Scan()\n--\n\nThis rank's part of a collection; see pygas.collect().")},
    {Py_tp_new, Scan_new},
    {Py_tp_dealloc, Scan_dealloc},
    {Py_tp_methods, Scan_methods},
    {0, NULL},
};

static PyType_Spec Scan_spec = {
    .name = "pygas._core.Scan",
    .basicsize = sizeof(scan_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Scan_slots,
};

PyTypeObject *pg_scan_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Scan_spec, NULL);
}
