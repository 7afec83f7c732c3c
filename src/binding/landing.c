/*
 * Design notes. The memory of a bytes object is Python's own allocator's, so it cannot come from
 * the pool. Instead the last few large bytes objects that were received are kept here, by a
 * reference each: one to which nothing else refers any more is received into again. That is sound
 * for the reason for which the interpreter resizes such an object in place: nobody can look. An
 * object is kept only within the setting's limit, counting also what is in use, and not for longer
 * than the idle time; then the reference is dropped, as a piece of work, since that needs the
 * interpreter. In a free-threaded interpreter a reference count does not tell (enough), and nothing
 * is kept.
 *
 * The progress thread does the housekeeping whenever it is about to sleep. `watched` says that it
 * knows of what is kept and will come back; who keeps something and finds it false rouses it. It is
 * false only after nothing was kept for an idle time, at any look: a program that reads all the
 * time has the memory in use at most of them. So memory that is dropped costs a system call at most
 * once for each idle time.
 */
#include "landing.h"

#define KEPT_MAX 16                          /* bytes objects */
#define BYTES_KEEP_MIN ((size_t)64 << 10)    /* below, the allocator's own memory is warm enough */
#define TOO_LARGE(capacity) ((capacity) / 8) /* how much of an object may be left unused */

typedef struct landing {
    PyObject_HEAD void *memory;
    size_t length;
} landing_t;

typedef struct kept {
    PyObject *object; /* NULL: free */
    size_t capacity;  /* it was made for so many bytes */
    uint64_t since;   /* when it was last received into */
} kept_t;

static struct {
    kept_t kept[KEPT_MAX]; /* attached threads only */
    size_t total;          /* of the capacities */
    uint64_t reused;
    size_t limit;
    uint64_t idle_ns;
    atomic_bool watched;
    uint64_t empty_since;    /* of the progress thread's looks; 0: there was something */
    atomic_bool holding;     /* `kept` may have something */
    _Atomic(uint64_t) since; /* of the last use of `kept` */
    atomic_bool queued;      /* `work` is */
    gas_work_t work;
} landing;

/* Something is kept that has to be given back some time. */
static void watch(void)
{
    /* Exchanges, here and in pg_landing_idle(): who reads what the other wrote also sees what it
     * did before. */
    if (atomic_exchange(&landing.watched, true))
        return;
    if (pg_enter_if_running()) {
        gas_job_rouse(pg.job);
        pg_leave();
    }
}

/* ---- the type ---- */

static PyObject *landing_new(size_t length, uint64_t place)
{
    landing_t *self;
    void *memory = gas_pool_take(length, place != 0 ? place : GAS_POOL_ANYWHERE);

    if (memory == NULL)
        return PyErr_NoMemory();
    self = PyObject_New(landing_t, pg.landing_type);
    if (self == NULL) {
        gas_pool_give(memory, length);
        return NULL;
    }
    self->memory = memory;
    self->length = length;
    return (PyObject *)self;
}

static void Landing_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    gas_pool_give(((landing_t *)self)->memory, ((landing_t *)self)->length);
    PyObject_Free(self);
    Py_DECREF(type);
    watch();
}

static int Landing_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    landing_t *mine = (landing_t *)self;

    return PyBuffer_FillInfo(view, self, mine->memory, (Py_ssize_t)mine->length, 0, flags);
}

static PyType_Slot Landing_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Memory in which a buffer was received.")},
    {Py_tp_dealloc, Landing_dealloc},
    {Py_bf_getbuffer, Landing_getbuffer},
    {0, NULL},
};

static PyType_Spec Landing_spec = {
    .name = "pygas._core.Landing",
    .basicsize = sizeof(landing_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Landing_slots,
};

PyTypeObject *pg_landing_type_create(PyObject *module)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &Landing_spec, NULL);
}

/* ---- bytes ---- */

static PyObject *bytes_new(size_t length)
{
    PyObject *object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);

    if (object != NULL)
        gas_pool_advise(PyBytes_AS_STRING(object), length);
    return object;
}

#ifndef Py_GIL_DISABLED

static void forget(kept_t *kept)
{
    PyObject *object = kept->object;

    kept->object = NULL;
    landing.total -= kept->capacity;
    Py_DECREF(object); /* bytes: runs no code */
}

/* Makes room within the limits; a free place, or NULL if `capacity` is beyond them. */
static kept_t *place_for(size_t capacity)
{
    if (capacity > landing.limit)
        return NULL;
    for (;;) {
        kept_t *vacant = NULL, *oldest = NULL;

        for (kept_t *kept = landing.kept; kept < landing.kept + KEPT_MAX; kept++) {
            if (kept->object == NULL)
                vacant = kept;
            else if (oldest == NULL || kept->since < oldest->since)
                oldest = kept;
        }
        if (vacant != NULL && landing.total + capacity <= landing.limit)
            return vacant;
        forget(oldest);
    }
}

/* Some more than `length`, so that an object serves lengths about the same. */
static size_t capacity_for(size_t length)
{
    unsigned power = 63u - (unsigned)__builtin_clzll(length);
    size_t step = (size_t)1 << power >> 4;

    return (length + step - 1) / step * step;
}

static void set_length(PyObject *bytes, size_t length)
{
    Py_SET_SIZE((PyVarObject *)bytes, (Py_ssize_t)length);
    PyBytes_AS_STRING(bytes)[length] = '\0';
}

/* One that nobody refers to and that has the right size; its length is set. */
static kept_t *reusable(size_t length)
{
    kept_t *best = NULL;

    for (kept_t *kept = landing.kept; kept < landing.kept + KEPT_MAX; kept++)
        if (kept->object != NULL && Py_REFCNT(kept->object) == 1 && kept->capacity >= length &&
            kept->capacity - length <= TOO_LARGE(kept->capacity) &&
            (best == NULL || kept->capacity < best->capacity))
            best = kept;
    if (best == NULL)
        return NULL;
    set_length(best->object, length);
    _Py_COMP_DIAG_PUSH _Py_COMP_DIAG_IGNORE_DEPR_DECLS((PyBytesObject *)best->object)->ob_shash =
        -1; /* not hashed */
    _Py_COMP_DIAG_POP landing.reused++;
    return best;
}

static PyObject *landing_bytes(size_t length)
{
    size_t capacity;
    PyObject *object;
    kept_t *kept;

    if (length < BYTES_KEEP_MIN || length > landing.limit)
        return bytes_new(length);
    kept = reusable(length);
    if (kept == NULL) {
        capacity = capacity_for(length);
        object = bytes_new(capacity);
        if (object == NULL)
            return NULL;
        set_length(object, length);
        kept = place_for(capacity);
        if (kept == NULL)
            return object;
        kept->object = object;
        kept->capacity = capacity;
        landing.total += capacity;
    }
    kept->since = gas_clock_now();
    atomic_store(&landing.since, kept->since);
    atomic_store(&landing.holding, true);
    watch();
    return Py_NewRef(kept->object);
}

/* Forgets what was not received into since `since`. */
static void forget_older(uint64_t since)
{
    bool holding = false;

    for (kept_t *kept = landing.kept; kept < landing.kept + KEPT_MAX; kept++) {
        if (kept->object != NULL && kept->since <= since)
            forget(kept);
        holding |= kept->object != NULL;
    }
    atomic_store(&landing.holding, holding);
}

#else /* free-threaded */

static PyObject *landing_bytes(size_t length)
{
    return bytes_new(length);
}

static void forget_older(uint64_t since)
{
    (void)since;
}

#endif

/* ---- any kind ---- */

static PyObject *landing_bytearray(size_t length)
{
    PyObject *object = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)length);

    if (object != NULL)
        gas_pool_advise(PyByteArray_AS_STRING(object), length);
    return object;
}

pg_land_t pg_land_of(PyObject *object)
{
    if (PyBytes_CheckExact(object))
        return PG_LAND_BYTES;
    return PyByteArray_CheckExact(object) ? PG_LAND_BYTEARRAY : PG_LAND_MEMORY;
}

PyObject *pg_landing_new(pg_land_t land, size_t length, uint64_t place)
{
    if (length > (size_t)PY_SSIZE_T_MAX)
        return PyErr_NoMemory();
    switch (land) {
    case PG_LAND_BYTES:
        return landing_bytes(length);
    case PG_LAND_BYTEARRAY:
        return landing_bytearray(length);
    case PG_LAND_MEMORY:
        break;
    }
    return landing_new(length, place);
}

void *pg_landing_address(PyObject *object)
{
    switch (pg_land_of(object)) {
    case PG_LAND_BYTES:
        return PyBytes_AS_STRING(object);
    case PG_LAND_BYTEARRAY:
        return PyByteArray_AS_STRING(object);
    case PG_LAND_MEMORY:
        break;
    }
    return ((landing_t *)object)->memory;
}

/* ---- housekeeping ---- */

static void sweep_run(gas_work_t *work)
{
    uint64_t now = gas_clock_now();

    (void)work;
    atomic_store(&landing.queued, false);
    forget_older(now > landing.idle_ns ? now - landing.idle_ns : 0);
}

/* When the progress thread should look again after bytes objects that are kept. */
static uint64_t sweep_bytes(void)
{
    uint64_t since, now = gas_clock_now();

    if (!atomic_load(&landing.holding))
        return GAS_FOREVER;
    since = atomic_load(&landing.since);
    if (now - since < landing.idle_ns)
        return since + landing.idle_ns - now + 1;
    if (!atomic_exchange(&landing.queued, true)) {
        landing.work = (gas_work_t){.run = sweep_run, .depth = GAS_WORK_NOTICE};
        gas_work_push(pg.job, &landing.work);
    }
    return landing.idle_ns > 0 ? landing.idle_ns : GAS_FOREVER;
}

/* Nothing is kept at this moment. For how long to come back all the same: what is in use now may be
 * given back, and be in use again, any number of times, and none of them is to rouse anybody. */
static uint64_t still_watched(void)
{
    uint64_t now = gas_clock_now(), empty;

    if (landing.empty_since == 0)
        landing.empty_since = now;
    empty = now - landing.empty_since;
    if (empty < landing.idle_ns)
        return landing.idle_ns - empty;
    landing.empty_since = 0;
    return GAS_FOREVER;
}

uint64_t pg_landing_idle(void *arg)
{
    uint64_t bytes, blocks, left;

    (void)arg;
    if (atomic_load(&pg.phase) != PG_RUNNING)
        return GAS_FOREVER;
    if (!atomic_exchange(&landing.watched, false))
        return GAS_FOREVER;
    blocks = gas_pool_sweep();
    bytes = sweep_bytes();
    left = blocks < bytes ? blocks : bytes;
    if (left != GAS_FOREVER)
        landing.empty_since = 0;
    else
        left = still_watched();
    if (left != GAS_FOREVER)
        atomic_store(&landing.watched, true);
    return left;
}

void pg_landing_open(void)
{
    landing.limit = pg.job->config.landing_keep;
    landing.idle_ns = pg.job->config.landing_idle_ms * 1000000u;
    gas_pool_open(&pg.job->config);
}

void pg_landing_close(void)
{
    landing.limit = 0;
    forget_older(UINT64_MAX);
    gas_pool_close();
}

void pg_landing_after_fork(void)
{
    landing.limit = 0; /* the bytes objects are this process's, too: kept until it ends */
    gas_pool_after_fork();
}

PyObject *pg_landing_stats(PyObject *module, PyObject *unused)
{
    gas_pool_stats_t pool;

    (void)module;
    (void)unused;
    gas_pool_stats(&pool);
    return Py_BuildValue("{s:n,s:K,s:K,s:n,s:K}", "kept", (Py_ssize_t)pool.kept, "reused",
                         (unsigned long long)pool.reused, "fresh", (unsigned long long)pool.fresh,
                         "bytes_kept", (Py_ssize_t)landing.total, "bytes_reused",
                         (unsigned long long)landing.reused);
}
