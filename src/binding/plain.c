/*
 * Operations on plain arrays: the short way for what is done most, so that a small one costs about
 * what its messages cost. The long one is pygas/collectives/begin.py and arrays.py.
 *
 * Design notes. An array is plain if it is an ndarray itself, of a number type of the runtime's
 * that is NumPy's own object, aligned and in C order. Whatever is not plain, or might be wrong, is
 * left to the long way, which does the same and has the words for what is wrong. So both must agree
 * on the signature of an operation: ranks take either. What is asked of an array is asked before
 * anything else can run, and while the operation is under way it is kept alive, which keeps it from
 * being resized, too.
 */
#include "numpy_api.h"
#include "operate.h"

#include <limits.h>
#include <stdio.h>

#define ALIGNED 0x0100 /* a flag of an array */
#define PLAIN (PG_NUMPY_C_CONTIGUOUS | ALIGNED)
#define DIMENSIONS_MAX 8 /* of a plain array */

/* NumPy's numbers of the types below CLONGDOUBLE. */
enum { AT_BOOL, AT_BYTE, AT_ULONGLONG = 10, AT_FLOAT, AT_DOUBLE, AT_CFLOAT = 14, AT_CDOUBLE };

static gas_type_t type_of_code(const pg_numpy_t *numpy, int code)
{
    gas_type_t first = code % 2 == 1 ? GAS_TYPE_I8 : GAS_TYPE_U8; /* signed ones are odd */

    switch (code) {
    case AT_BOOL:
        return GAS_TYPE_BOOL;
    case AT_FLOAT:
        return GAS_TYPE_F32;
    case AT_DOUBLE:
        return GAS_TYPE_F64;
    case AT_CFLOAT:
        return GAS_TYPE_C64;
    case AT_CDOUBLE:
        return GAS_TYPE_C128;
    default:
        break;
    }
    if (code > AT_ULONGLONG)
        return GAS_TYPE_BYTES;
    for (unsigned i = 0; i < 4; i++)
        if (numpy->item_sizes[code] == 1 << i)
            return (gas_type_t)(first + i);
    return GAS_TYPE_BYTES;
}

/* The type of the numbers in a plain array; BYTES: it is none. */
static gas_type_t plain_type(const pg_numpy_t *numpy, PyObject *object)
{
    const pg_ndarray_t *array = (pg_ndarray_t *)object;

    if (Py_TYPE(object) != numpy->array_type || (array->flags & PLAIN) != PLAIN ||
        array->dimension_count > DIMENSIONS_MAX)
        return GAS_TYPE_BYTES;
    if (array->dtype == numpy->dtypes[AT_DOUBLE])
        return GAS_TYPE_F64;
    for (int code = 0; code <= AT_CDOUBLE; code++)
        if (array->dtype == numpy->dtypes[code])
            return type_of_code(numpy, code);
    return GAS_TYPE_BYTES;
}

/* What one block looks like: an array of dimensions and dtype, borrowed. */
typedef struct block {
    PyObject *dtype;
    int dimension_count;
    Py_ssize_t *dimensions;
} block_t;

/* A block that is all of an array. */
static block_t all_of(PyObject *object)
{
    const pg_ndarray_t *array = (pg_ndarray_t *)object;

    return (block_t){array->dtype, array->dimension_count, array->dimensions};
}

/* One of the entries of an array that has dimensions. */
static block_t entry_of(PyObject *object)
{
    const pg_ndarray_t *array = (pg_ndarray_t *)object;

    return (block_t){array->dtype, array->dimension_count - 1, array->dimensions + 1};
}

/* True if a plain array has an entry for each member. */
static bool has_entries(PyObject *object, int size)
{
    const pg_ndarray_t *array = (pg_ndarray_t *)object;

    return array->dimension_count > 0 && array->dimensions[0] == size;
}

/* True if `object` can be filled with a block; with `size`, with so many of them. */
static bool can_hold(const pg_numpy_t *numpy, PyObject *object, const block_t *block,
                     Py_ssize_t size)
{
    const pg_ndarray_t *array = (pg_ndarray_t *)object;
    int more = size > 0;

    if (Py_TYPE(object) != numpy->array_type || (array->flags & PLAIN) != PLAIN ||
        (array->flags & PG_NUMPY_WRITEABLE) == 0 || array->dtype != block->dtype ||
        array->dimension_count != block->dimension_count + more)
        return false;
    for (int i = 0; i < block->dimension_count; i++)
        if (array->dimensions[i + more] != block->dimensions[i])
            return false;
    return more == 0 || array->dimensions[0] == size;
}

static uint64_t count_of(const block_t *block)
{
    uint64_t count = 1;

    for (int i = 0; i < block->dimension_count; i++)
        count *= (uint64_t)block->dimensions[i];
    return count;
}

/* As arrays._mark(): 0 for one dimension, else the CRC-32 of the shape's text. */
static uint32_t mark_of(const block_t *block)
{
    char text[DIMENSIONS_MAX * 24 + 4];
    uint32_t crc = UINT32_MAX;
    size_t length = 0;

    if (block->dimension_count == 1)
        return 0;
    text[length++] = '(';
    for (int i = 0; i < block->dimension_count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, i > 0 ? ", %zd" : "%zd",
                                   block->dimensions[i]);
    text[length++] = ')';
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xEDB88320) & (0 - (crc & 1)));
    }
    return ~crc;
}

static PyObject *new_block(const pg_numpy_t *numpy, const block_t *block)
{
    return numpy->new_from_dtype(numpy->array_type, Py_NewRef(block->dtype), block->dimension_count,
                                 block->dimensions, NULL, NULL, 0, NULL);
}

/* What an operation works on. */
typedef struct plain {
    gas_coll_args_t args;
    block_t block;
    PyObject *send;   /* borrowed; NULL: nothing is sent, as below */
    PyObject *recv;   /* owned */
    PyObject *result; /* owned */
} plain_t;

/* Has a block come into `out`, or into an array of its own if that is None. As the ways of use. */
static int receive_block(const pg_numpy_t *numpy, PyObject *out, plain_t *plain)
{
    if (out != Py_None && !can_hold(numpy, out, &plain->block, 0))
        return 0;
    plain->recv = out != Py_None ? Py_NewRef(out) : new_block(numpy, &plain->block);
    return plain->recv != NULL ? 1 : -1;
}

/* The ways of use. 1 if it is plain, 0 if not, -1 with an exception. */

static int use_reduce(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                      PyObject *out, plain_t *plain)
{
    bool gets = plain->args.kind != GAS_COLL_REDUCE || team->rank == plain->args.root;
    int usable = 1;

    plain->args.type = plain_type(numpy, value);
    if (!gas_operator_takes(plain->args.op, plain->args.type))
        return 0;
    plain->block = all_of(value);
    plain->send = value;
    if (gets)
        usable = receive_block(numpy, out, plain);
    /* Before the first member there is nothing. */
    if (usable > 0 && gets && (plain->args.kind != GAS_COLL_EXSCAN || team->rank > 0))
        plain->result = Py_NewRef(plain->recv);
    return usable;
}

static int use_reduce_scatter(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                              PyObject *out, plain_t *plain)
{
    int usable;

    plain->args.type = plain_type(numpy, value);
    if (!gas_operator_takes(plain->args.op, plain->args.type) || !has_entries(value, team->size))
        return 0;
    plain->block = entry_of(value);
    plain->send = value;
    usable = receive_block(numpy, out, plain);
    if (usable > 0)
        plain->result = Py_NewRef(plain->recv);
    return usable;
}

static int use_broadcast(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                         PyObject *out, plain_t *plain)
{
    bool is_root = team->rank == plain->args.root;
    PyObject *array = is_root ? value : out;

    if (is_root && out != value && out != Py_Ellipsis)
        return 0;
    plain->args.type = plain_type(numpy, array);
    if (plain->args.type == GAS_TYPE_BYTES)
        return 0;
    plain->block = all_of(array);
    if (is_root)
        plain->send = value;
    else if (can_hold(numpy, out, &plain->block, 0))
        plain->recv = Py_NewRef(out);
    else
        return 0;
    plain->result = Py_NewRef(array);
    return 1;
}

static int use_scatter(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                       PyObject *out, plain_t *plain)
{
    bool is_root = team->rank == plain->args.root;
    PyObject *array = is_root ? value : out;

    plain->args.type = plain_type(numpy, array);
    if (plain->args.type == GAS_TYPE_BYTES || (is_root && !has_entries(value, team->size)))
        return 0;
    plain->block = is_root ? entry_of(value) : all_of(out);
    if (!can_hold(numpy, out, &plain->block, 0))
        return 0;
    plain->send = is_root ? value : NULL;
    plain->recv = Py_NewRef(out);
    plain->result = Py_NewRef(out);
    return 1;
}

/* Also gather, where only the root gets something. */
static int use_allgather(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                         PyObject *out, plain_t *plain)
{
    bool gets = plain->args.kind != GAS_COLL_GATHER || team->rank == plain->args.root;

    plain->args.type = plain_type(numpy, value);
    if (plain->args.type == GAS_TYPE_BYTES)
        return 0;
    plain->block = all_of(value);
    plain->send = value;
    if (!gets)
        return 1;
    if (!can_hold(numpy, out, &plain->block, team->size))
        return 0;
    plain->recv = Py_NewRef(out);
    plain->result = Py_NewRef(out);
    return 1;
}

static int use_alltoall(const pg_numpy_t *numpy, const gas_team_t *team, PyObject *value,
                        PyObject *out, plain_t *plain)
{
    uintptr_t from, to, length;

    plain->args.type = plain_type(numpy, value);
    if (plain->args.type == GAS_TYPE_BYTES || !has_entries(value, team->size))
        return 0;
    plain->block = entry_of(value);
    if (!can_hold(numpy, out, &plain->block, team->size))
        return 0;
    from = (uintptr_t)((pg_ndarray_t *)value)->data;
    to = (uintptr_t)((pg_ndarray_t *)out)->data;
    length = count_of(&plain->block) * gas_type_size(plain->args.type) * (size_t)team->size;
    if (from < to + length && to < from + length)
        return 0;
    plain->send = value;
    plain->recv = Py_NewRef(out);
    plain->result = Py_NewRef(out);
    return 1;
}

static int use(const gas_team_t *team, PyObject *value, PyObject *out, plain_t *plain)
{
    const pg_numpy_t *numpy = pg_numpy_if_loaded();

    if (numpy == NULL || plain->args.root < 0 || plain->args.root >= team->size)
        return 0;
    switch (plain->args.kind) {
    case GAS_COLL_BROADCAST:
        return use_broadcast(numpy, team, value, out, plain);
    case GAS_COLL_SCATTER:
        return use_scatter(numpy, team, value, out, plain);
    case GAS_COLL_GATHER:
    case GAS_COLL_ALLGATHER:
        return use_allgather(numpy, team, value, out, plain);
    case GAS_COLL_ALLTOALL:
        return use_alltoall(numpy, team, value, out, plain);
    case GAS_COLL_REDUCE_SCATTER:
        return use_reduce_scatter(numpy, team, value, out, plain);
    case GAS_COLL_REDUCE:
    case GAS_COLL_ALLREDUCE:
    case GAS_COLL_SCAN:
    case GAS_COLL_EXSCAN:
        return use_reduce(numpy, team, value, out, plain);
    default:
        return 0;
    }
}

static void *memory_of(PyObject *array)
{
    return array != NULL ? ((pg_ndarray_t *)array)->data : NULL;
}

static PyObject *operate(PyObject *self, gas_team_t *team, plain_t *plain)
{
    PyObject *done;

    plain->args.count = count_of(&plain->block);
    plain->args.shape = mark_of(&plain->block);
    plain->args.send = memory_of(plain->send);
    plain->args.recv = memory_of(plain->recv);
    done = pg_operate(self, team, &plain->args, plain->send, plain->recv);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    return Py_NewRef(plain->result != NULL ? plain->result : Py_None);
}

/* An int of a C int's range that is one itself; else -1, without an exception. */
static int small_int(PyObject *object)
{
    int overflow = 0;
    long number = PyLong_Check(object) ? PyLong_AsLongAndOverflow(object, &overflow) : -1;

    return overflow == 0 && number >= 0 && number <= INT_MAX ? (int)number : -1;
}

/* kind, value, out, op, root, ordered */
PyObject *pg_members_operate_plain(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    plain_t plain = {.args = {.algorithm = GAS_COLL_AUTO}};
    PyObject *result = NULL;
    int ordered, usable;
    gas_team_t *team;

    if (count != 6) {
        PyErr_SetString(PyExc_TypeError, "operate_plain() takes 6 arguments");
        return NULL;
    }
    ordered = PyObject_IsTrue(args[5]);
    if (ordered < 0 || pg_enter() < 0)
        return NULL;
    plain.args.kind = (gas_coll_kind_t)small_int(args[0]);
    plain.args.op = (gas_operator_t)small_int(args[3]);
    plain.args.root = small_int(args[4]);
    plain.args.ordered = ordered != 0;
    team = pg_members_team(self);
    usable = team != NULL ? use(team, args[1], args[2], &plain) : -1;
    if (usable == 0)
        result = Py_NewRef(Py_NotImplemented);
    else if (usable > 0)
        result = operate(self, team, &plain);
    Py_XDECREF(plain.recv);
    Py_XDECREF(plain.result);
    pg_leave();
    return result;
}
