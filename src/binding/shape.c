#include "shape.h"

#include "proxy_slots.h"

_Static_assert(PG_SLOT_COUNT <= 64 * PG_SHAPE_WORDS, "a shape needs more words");

static struct {
    PyObject *module;
    PyObject *shapes;                       /* dict: (name, words) -> a capsule with the shape */
    PyObject *special_names[PG_SLOT_COUNT]; /* by slot; NULL for slots that are none */
} table;

int pg_shapes_init(PyObject *module)
{
    table.module = module;
    table.shapes = PyDict_New();
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
            if (_PyType_Lookup(type, table.special_names[slot]) != NULL)
                set(slots, slot);
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
static PyTypeObject *make_type(const pg_shape_t *shape)
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
    if (type == NULL)
        PyMem_Free(methods);
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

static const pg_shape_t *make_shape(PyObject *key, const char *name, const uint64_t *slots)
{
    pg_shape_t *shape = PyMem_Calloc(1, sizeof(*shape) + strlen(name) + 1);
    PyObject *capsule;

    if (shape == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    shape->name = strcpy((char *)(shape + 1), name);
    memcpy(shape->slots, slots, sizeof(shape->slots));
    shape->type = make_type(shape);
    capsule = shape->type != NULL ? PyCapsule_New(shape, NULL, NULL) : NULL;
    if (capsule == NULL || register_pickling(shape->type) < 0 ||
        PyDict_SetItem(table.shapes, key, capsule) < 0) {
        Py_XDECREF(capsule);
        Py_XDECREF(shape->type);
        PyMem_Free(shape);
        return NULL;
    }
    Py_DECREF(capsule);
    return shape;
}

const pg_shape_t *pg_shape_get(const char *name, const uint64_t slots[PG_SHAPE_WORDS])
{
    PyObject *key =
        Py_BuildValue("(sKK)", name, (unsigned long long)slots[0], (unsigned long long)slots[1]);
    const pg_shape_t *shape = NULL;
    PyObject *capsule;

    if (key == NULL)
        return NULL;
    capsule = PyDict_GetItemWithError(table.shapes, key);
    if (capsule != NULL)
        shape = PyCapsule_GetPointer(capsule, NULL);
    else if (!PyErr_Occurred())
        shape = make_shape(key, name, slots);
    Py_DECREF(key);
    return shape;
}

const pg_shape_t *pg_shape_of(PyObject *object)
{
    uint64_t slots[PG_SHAPE_WORDS] = {0};

    read_slots(Py_TYPE(object), slots);
    if (!PyIter_Check(object)) /* it may have a slot that only says so */
        slots[PG_SLOT_tp_iternext / 64] &= ~((uint64_t)1 << (PG_SLOT_tp_iternext % 64));
    if (PyType_Check(object))
        set(slots, PG_SLOT_mp_subscript); /* list[int]: no slot of the metaclass */
    return pg_shape_get(Py_TYPE(object)->tp_name, slots);
}
