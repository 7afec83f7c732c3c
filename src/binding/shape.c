/*
 * Design notes. A program may make classes without end (a namedtuple in a function), and a class of
 * another rank is only a name and some bits: so shapes without a Proxy are dropped when there are
 * more than SHAPES_MOST, but for those that were asked for lately, which somebody may be about to
 * use. Dropping one forgets its type, which the interpreter's collector then frees; the type's
 * dictionary holds what the type was made from, and frees that.
 *
 * `recent` remembers the shapes of classes by the interpreter's version tag, which is another one
 * for each class and each time that a class is changed. Free-threaded builds do without: a class
 * may be changed between the looks at its slots and at its tag.
 *
 * `known` remembers shapes by what stands for them in a stream: a Proxy that arrives is mostly of a
 * class that was seen before, and to make the key of `shapes` takes longer than all the rest of it.
 *
 * Whoever is given a shape holds it, as a Proxy does: it counts among `proxies`. So a thread that
 * drops shapes leaves it alone. Types are made outside the mutex, since code of anybody may run
 * meanwhile; if two threads make the same, the first to enter it in the table wins.
 */
#include "shape.h"

#include "compat.h"
#include "proxy_slots.h"
#include "shape_wire.h"

_Static_assert(PG_SLOT_COUNT <= 64 * PG_SHAPE_WORDS, "a shape needs more words");

#define SHAPES_MOST 1024
#define LATELY 512 /* askings */
#define RECENT 256
#define KNOWN 256

static struct {
    PyObject *module;
    pg_mutex_t mutex; /* guards the next five, and `used` of the shapes */
    uint64_t askings;
    Py_ssize_t limit; /* of shapes, before those are dropped that are not needed */
    struct {
        unsigned version;
        pg_shape_t *shape;
    } recent[RECENT];
    pg_shape_t *known[KNOWN];
    PyObject *shapes;                       /* dict: (name, words) -> the type; plain keys only */
    PyObject *special_names[PG_SLOT_COUNT]; /* by slot; NULL for slots that are none */
} table;

int pg_shapes_init(PyObject *module)
{
    table.module = module;
    table.shapes = PyDict_New();
    table.limit = SHAPES_MOST;
    for (size_t i = 0; i < pg_special_count; i++) {
        const pg_special_row_t *row = &pg_special_rows[i];

        table.special_names[row->slot] = PyUnicode_InternFromString(row->method.ml_name);
        if (table.special_names[row->slot] == NULL)
            return -1;
    }
    return table.shapes != NULL ? 0 : -1;
}

static void set(uint64_t *slots, pg_slot_t slot)
{
    slots[slot / 64] |= (uint64_t)1 << (slot % 64);
}

/* Which slots `type` has. A sequence without numbers gets nb_add as well: the Proxy has to help
 * when it stands at the right of a +. */
static void read_slots(PyTypeObject *type, uint64_t *slots)
{
    for (int slot = 0; slot < PG_SLOT_COUNT; slot++) {
        if (table.special_names[slot] != NULL) {
            PyObject *found = pg_type_find(type, table.special_names[slot]);

            if (found != NULL)
                set(slots, slot);
            pg_found_drop(found);
        } else if (pg_slot_rows[slot].id != 0 &&
                   PyType_GetSlot(type, pg_slot_rows[slot].id) != NULL) {
            set(slots, slot);
        }
    }
    if (PyType_GetSlot(type, Py_sq_concat) != NULL && PyType_GetSlot(type, Py_nb_add) == NULL) {
        set(slots, PG_SLOT_nb_add);
        set(slots, PG_SLOT_CONCAT_ONLY);
    }
    if (type->tp_hash != PyObject_HashNotImplemented)
        set(slots, PG_SLOT_HASHABLE);
    if (type->tp_as_sequence == NULL)
        set(slots, PG_SLOT_NO_SEQUENCE);
    if (PyType_HasFeature(type, Py_TPFLAGS_SEQUENCE))
        set(slots, PG_SLOT_SEQUENCE);
    if (PyType_HasFeature(type, Py_TPFLAGS_MAPPING))
        set(slots, PG_SLOT_MAPPING);
}

/* Makes the type of a new shape. The tables it is made from have to live as long as it does. It
 * calls itself pygas.<class>, but messages show the name of the class alone. */
static PyTypeObject *make_type(pg_shape_t *shape)
{
    const char *dot = strrchr(shape->name, '.');
    PyObject *name = PyUnicode_FromFormat("pygas.%s", dot != NULL ? dot + 1 : shape->name);
    PyType_Slot *slots = PyMem_Calloc(PG_SLOT_COUNT + pg_proxy_common_count + 3, sizeof(*slots));
    PyMethodDef *methods = PyMem_Calloc(pg_special_count + 1, sizeof(*methods));
    PyType_Spec spec = {
        .name = name != NULL ? PyUnicode_AsUTF8(name) : NULL,
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                 Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    PyObject *type = NULL;
    size_t count = 0, method_count = 0;

    if (spec.name == NULL)
        goto out;
    if (slots == NULL || methods == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (int slot = 0; slot < PG_SLOT_COUNT; slot++)
        if (pg_slot_rows[slot].id != 0 && pg_shape_has(shape, slot))
            slots[count++] = (PyType_Slot){pg_slot_rows[slot].id, pg_slot_rows[slot].function};
    for (size_t i = 0; i < pg_special_count; i++)
        if (pg_shape_has(shape, pg_special_rows[i].slot))
            methods[method_count++] = pg_special_rows[i].method;
    if (method_count > 0)
        slots[count++] = (PyType_Slot){Py_tp_methods, methods};
    for (size_t i = 0; i < pg_proxy_common_count; i++)
        slots[count++] = pg_proxy_common_slots[i];
    if (pg_shape_has(shape, PG_SLOT_HASHABLE))
        slots[count++] = pg_proxy_hash_slot;
    else
        slots[count++] = (PyType_Slot){Py_tp_hash, PyObject_HashNotImplemented};
    if (pg_shape_has(shape, PG_SLOT_SEQUENCE))
        spec.flags |= Py_TPFLAGS_SEQUENCE;
    if (pg_shape_has(shape, PG_SLOT_MAPPING))
        spec.flags |= Py_TPFLAGS_MAPPING;
    type = PyType_FromModuleAndSpec(table.module, &spec, (PyObject *)pg.proxy_type);
    if (type != NULL) {
        ((PyTypeObject *)type)->tp_name = shape->name;
        if (pg_shape_has(shape, PG_SLOT_NO_SEQUENCE)) /* the interpreter asks that, too */
            ((PyTypeObject *)type)->tp_as_sequence = NULL;
    }
out:
    Py_XDECREF(name);
    PyMem_Free(slots);
    shape->methods = methods;
    return (PyTypeObject *)type;
}

/* Pickling goes by the exact type, so every Proxy type is registered. */
static int register_pickling(PyTypeObject *type)
{
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *reduce = PyObject_GetAttrString(table.module, "reduce_proxy");
    PyObject *done = NULL;

    if (copyreg != NULL && reduce != NULL)
        done = PyObject_CallMethod(copyreg, "pickle", "OO", type, reduce);
    Py_XDECREF(copyreg);
    Py_XDECREF(reduce);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int unregister_pickling(PyTypeObject *type)
{
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *registered =
        copyreg != NULL ? PyObject_GetAttrString(copyreg, "dispatch_table") : NULL;
    int failed = registered == NULL || PyObject_DelItem(registered, (PyObject *)type) < 0;

    Py_XDECREF(registered);
    Py_XDECREF(copyreg);
    return failed ? -1 : 0;
}

/* The type, and all that refers to it, has gone. */
static void shape_free(PyObject *capsule)
{
    pg_shape_t *shape = PyCapsule_GetPointer(capsule, NULL);

    PyMem_Free(shape->methods);
    PyMem_Free(shape);
}

/* Makes the type of the shape, which then belongs to it. A new reference to the type, whose last
 * one frees the shape. NULL with an exception. */
static PyTypeObject *give_type(pg_shape_t *shape)
{
    PyTypeObject *type = shape->type = make_type(shape);
    PyObject *owner = type != NULL ? PyCapsule_New(shape, NULL, shape_free) : NULL;

    if (owner == NULL) {
        Py_XDECREF(type);
        PyMem_Free(shape->methods);
        PyMem_Free(shape);
        return NULL;
    }
    if (PyDict_SetItemString(type->tp_dict, "__shape__", owner) < 0)
        Py_CLEAR(type);
    Py_DECREF(owner);
    return type;
}

static pg_shape_t *shape_of_type(PyObject *type)
{
    PyObject *owner = PyDict_GetItemString(((PyTypeObject *)type)->tp_dict, "__shape__");

    return PyCapsule_GetPointer(owner, NULL);
}

/* Forgets the shapes that nobody needs. A list of their types, NULL with an exception. */
static PyObject *take_out_unneeded(void)
{
    PyObject *unneeded = PyList_New(0), *items = NULL;
    int failed = 0;

    pg_mutex_lock(&table.mutex);
    if (unneeded != NULL)
        items = PyDict_Items(table.shapes);
    for (Py_ssize_t i = 0; items != NULL && !failed && i < PyList_GET_SIZE(items); i++) {
        PyObject *key = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 0);
        PyObject *type = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 1);
        pg_shape_t *shape = shape_of_type(type);

        if (atomic_load(&shape->proxies) > 0 || shape->used + LATELY > table.askings)
            continue;
        failed = PyList_Append(unneeded, type) < 0 || PyDict_DelItem(table.shapes, key) < 0;
    }
    memset(table.recent, 0, sizeof(table.recent));
    memset(table.known, 0, sizeof(table.known));
    table.limit = PyDict_GET_SIZE(table.shapes) * 2;
    if (table.limit < SHAPES_MOST)
        table.limit = SHAPES_MOST;
    pg_mutex_unlock(&table.mutex);
    if (items == NULL || failed)
        Py_CLEAR(unneeded);
    Py_XDECREF(items);
    return unneeded;
}

/* -1 with an exception. */
static int drop_shapes(void)
{
    PyObject *unneeded = take_out_unneeded();
    int failed = unneeded == NULL;

    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(unneeded); i++)
        failed = unregister_pickling((PyTypeObject *)PyList_GET_ITEM(unneeded, i)) < 0;
    Py_XDECREF(unneeded);
    return failed ? -1 : 0;
}

/* Where the shape is that these bytes stand for, if it is known. */
static pg_shape_t **known_at(const uint8_t *wire, size_t length)
{
    uint64_t hash = length, word;

    for (size_t done = 0; done < length; done += sizeof(word)) {
        size_t left = length - done;

        word = 0;
        memcpy(&word, wire + done, left < sizeof(word) ? left : sizeof(word));
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return &table.known[hash % KNOWN];
}

static void hold_locked(pg_shape_t *shape)
{
    pg_shape_hold(shape);
    shape->used = ++table.askings;
}

/* The shape of a type in the table, held. Under the mutex. */
static pg_shape_t *found_locked(PyObject *type)
{
    pg_shape_t *shape = shape_of_type(type);

    hold_locked(shape);
    *known_at(shape->wire, shape->wire_length) = shape;
    return shape;
}

pg_shape_t *pg_shape_known(const uint8_t *wire, size_t length)
{
    pg_shape_t *shape;

    pg_mutex_lock(&table.mutex);
    shape = *known_at(wire, length);
    if (shape != NULL && shape->wire_length == length && memcmp(shape->wire, wire, length) == 0)
        hold_locked(shape);
    else
        shape = NULL;
    pg_mutex_unlock(&table.mutex);
    return shape;
}

/* The shape in the table, held; NULL: there is none, or an exception. *full: some are to go. */
static pg_shape_t *look_up(PyObject *key, bool *full)
{
    pg_shape_t *shape = NULL;
    PyObject *type;

    pg_mutex_lock(&table.mutex);
    type = PyDict_GetItemWithError(table.shapes, key);
    if (type != NULL)
        shape = found_locked(type);
    *full = PyDict_GET_SIZE(table.shapes) >= table.limit;
    pg_mutex_unlock(&table.mutex);
    return shape;
}

/* Has the type in the table, unless there is one already. The shape of the one that is there, held.
 */
static pg_shape_t *enter(PyObject *key, PyTypeObject *type)
{
    pg_shape_t *shape = NULL;
    PyObject *entered;

    pg_mutex_lock(&table.mutex);
    entered = PyDict_SetDefault(table.shapes, key, (PyObject *)type);
    if (entered != NULL)
        shape = found_locked(entered);
    pg_mutex_unlock(&table.mutex);
    return shape;
}

static pg_shape_t *make_shape(PyObject *key, const char *name, const uint64_t *slots)
{
    size_t length = strlen(name) + 1;
    pg_shape_t *shape = PyMem_Calloc(1, sizeof(*shape) + length + pg_shape_wire_room(name));
    PyTypeObject *type;
    uint8_t *wire;

    if (shape == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    shape->name = strcpy((char *)(shape + 1), name);
    memcpy(shape->slots, slots, sizeof(shape->slots));
    shape->wire = wire = (uint8_t *)(shape + 1) + length;
    shape->wire_length = pg_shape_wire_put(wire, name, slots);
    type = give_type(shape);
    if (type == NULL)
        return NULL;
    shape = register_pickling(type) == 0 ? enter(key, type) : NULL;
    if (shape != NULL && shape->type != type && unregister_pickling(type) < 0)
        PyErr_Clear();
    Py_DECREF(type); /* the table's now */
    return shape;
}

pg_shape_t *pg_shape_get(const char *name, const uint64_t slots[PG_SHAPE_WORDS])
{
    PyObject *key =
        Py_BuildValue("(sKK)", name, (unsigned long long)slots[0], (unsigned long long)slots[1]);
    pg_shape_t *shape;
    bool full;

    if (key == NULL)
        return NULL;
    shape = look_up(key, &full);
    if (shape == NULL && !PyErr_Occurred() && (!full || drop_shapes() == 0))
        shape = make_shape(key, name, slots);
    Py_DECREF(key);
    return shape;
}

static pg_shape_t *find_shape(PyObject *object)
{
    uint64_t slots[PG_SHAPE_WORDS] = {0};

    read_slots(Py_TYPE(object), slots);
    if (!PyIter_Check(object)) /* it may have a slot that only says so */
        slots[PG_SLOT_tp_iternext / 64] &= ~((uint64_t)1 << (PG_SLOT_tp_iternext % 64));
    if (PyType_Check(object))
        set(slots, PG_SLOT_mp_subscript); /* list[int]: no slot of the metaclass */
    return pg_shape_get(Py_TYPE(object)->tp_name, slots);
}

#ifdef Py_GIL_DISABLED

pg_shape_t *pg_shape_of(PyObject *object)
{
    return find_shape(object);
}

#else

pg_shape_t *pg_shape_of(PyObject *object)
{
    unsigned version = Py_TYPE(object)->tp_version_tag;
    pg_shape_t *shape = table.recent[version % RECENT].shape;

    if (version != 0 && table.recent[version % RECENT].version == version) {
        shape->used = ++table.askings;
        pg_shape_hold(shape);
        return shape;
    }
    shape = find_shape(object);
    version = Py_TYPE(object)->tp_version_tag; /* looking at it gives it one */
    if (shape != NULL && version != 0) {
        table.recent[version % RECENT].version = version;
        table.recent[version % RECENT].shape = shape;
    }
    return shape;
}

#endif
