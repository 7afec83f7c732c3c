"""Collective operations on NumPy arrays: checked here, done by the runtime, without pickling."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import sys
import zlib
from collections.abc import Iterator
from types import EllipsisType
from typing import Any, NamedTuple

from pygas._job import core
from pygas.collectives.kinds import Kind
from pygas.collectives.operators import Operator

# The runtime's gas_type_t (reduction.h) by numpy.dtype.str.
_BYTES = 0
_TYPES = {
    "|b1": 1,
    "|i1": 2,
    "<i2": 3,
    "<i4": 4,
    "<i8": 5,
    "|u1": 6,
    "<u2": 7,
    "<u4": 8,
    "<u8": 9,
    "<f4": 10,
    "<f8": 11,
    "<c8": 12,
    "<c16": 13,
}
if sys.byteorder == "big":
    _TYPES = {name.replace("<", ">"): code for name, code in _TYPES.items()}


@functools.lru_cache(maxsize=256)
def _code(dtype: Any) -> int:
    """Return the runtime's gas_type_t of a dtype; _BYTES: it has none."""
    return _TYPES.get(dtype.str, _BYTES)


@functools.lru_cache(maxsize=1024)
def _mark(shape: tuple[int, ...], dtype: Any) -> int:
    """Return a number by which ranks notice that their shapes differ, or dtypes without a code.

    The same as mark_of() in plain.c. The count of elements tells one-dimensional shapes apart.
    """
    if len(shape) == 1 and _code(dtype) != _BYTES:
        return 0
    return zlib.crc32(f"{shape}{dtype if _code(dtype) == _BYTES else ''}".encode())


_FLOATS = {10, 11}
_COMPLEX = {12, 13}

_forced: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar(
    "_forced", default=None
)


@contextlib.contextmanager
def algorithms(**names: str) -> Iterator[None]:
    """Have operations on arrays use these algorithms: ``with algorithms(allreduce="ring"):``.

    For measurements and tests; all ranks have to use the same. ``pygas bench collectives --table``
    lists the names. It overrides the setting PYGAS_COLLECTIVES.

    Raises
    ------
    ValueError
        If there is no such operation or algorithm.
    """
    known = {(kind, name) for kind, name, _ordered, _when in core().algorithms()}
    for kind, name in names.items():
        if (kind, name) not in known:
            raise ValueError(
                f"there is no algorithm {name!r} of {kind!r}: see `pygas bench collectives --table`"
            )
    token = _forced.set({**(_forced.get() or {}), **names})
    try:
        yield
    finally:
        _forced.reset(token)


def selected() -> bool:
    """Tell whether no algorithm is asked for."""
    return _forced.get() is None


def _row(kind: Kind) -> int:
    """Return the number of the algorithm that is asked for; -1: the best one."""
    wanted = (_forced.get() or {}).get(kind.name.lower())
    if wanted is None:
        return -1
    rows = [name for row, name, _ordered, _when in core().algorithms() if row == kind.name.lower()]
    return rows.index(wanted)


class Call(NamedTuple):
    """An operation on arrays: what `Members.operate` takes, and what it returns to the program."""

    arguments: tuple[Any, ...]
    result: Any


def is_array(value: object) -> bool:
    """Tell whether a value is a NumPy array; does not import NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def reducible(value: object, op: Operator) -> bool:
    """Tell whether the runtime can reduce this value with this operator."""
    if not op.code or not is_array(value):
        return False
    code = _code(value.dtype)  # type: ignore[attr-defined]
    if code in _COMPLEX:
        return op.name in ("SUM", "PROD")
    if code in _FLOATS:
        return op.name in ("SUM", "PROD", "MIN", "MAX")
    return code != _BYTES


def _require_array(value: object, what: str) -> Any:
    if not is_array(value):
        raise TypeError(f"with `out`, {what} must be a NumPy array, not {type(value).__name__}")
    if value.dtype.hasobject:  # type: ignore[attr-defined]
        raise TypeError(
            f"{what} holds Python objects: leave `out` away to have them copied one by one"
        )
    return value


def _require_out(out: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Check an array that is to be filled."""
    out = _require_array(out, "`out`")
    if out.dtype != dtype or out.shape != shape:
        raise ValueError(
            f"`out` must be an array of {dtype} of shape {shape}, not of {out.dtype} of shape "
            f"{out.shape}"
        )
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("`out` must be C-contiguous and writable")
    return out


def _memory(array: Any, code: int) -> Any:
    """Return what the runtime gets: an object with a contiguous buffer."""
    if not array.flags.c_contiguous:
        array = sys.modules["numpy"].ascontiguousarray(array)
    return array.reshape(-1).view("u1") if code == _BYTES else array


def _call(
    kind: Kind,
    block: Any,
    send: Any,
    recv: Any,
    result: Any,
    *,
    root: int = 0,
    op: int = 0,
    ordered: bool = False,
    shape: tuple[int, ...] | None = None,
) -> Call:
    """Put a call together. `block` is like one block, but for its `shape` if that is given."""
    dtype = block.dtype
    shape = block.shape if shape is None else shape
    code = _code(dtype)
    count = math.prod(shape)
    if code == _BYTES:
        count *= dtype.itemsize
    return Call(
        (
            int(kind),
            _row(kind),
            root,
            op,
            code,
            count,
            _mark(shape, dtype),
            ordered,
            None if send is None else _memory(send, code),
            None if recv is None else _memory(recv, code),
        ),
        result,
    )


def broadcast(members: Any, value: Any, root: int, out: Any) -> Call:
    """From the root's array into everybody else's `out`."""
    if members.rank != root:
        out = _require_array(out, "`out`")
        out = _require_out(out, out.dtype, out.shape)
        return _call(Kind.BROADCAST, out, None, out, out, root=root)
    value = _require_array(value, "the object")
    if is_array(out) and out is not value:
        out = _require_out(out, value.dtype, value.shape)
        out[...] = value
        value = out
    return _call(Kind.BROADCAST, value, value, None, value, root=root)


def gather(members: Any, value: Any, root: int, out: Any) -> Call:
    """Everybody's block into the root's `out`."""
    value = _require_array(value, "the object")
    if members.rank != root:
        return _call(Kind.GATHER, value, value, None, None, root=root)
    out = _require_out(out, value.dtype, (members.size, *value.shape))
    return _call(Kind.GATHER, value, value, out, out, root=root)


def allgather(members: Any, value: Any, out: Any) -> Call:
    """Everybody's block into everybody's `out`."""
    value = _require_array(value, "the object")
    out = _require_out(out, value.dtype, (members.size, *value.shape))
    return _call(Kind.ALLGATHER, value, value, out, out)


def _require_blocks(value: Any, what: str, size: int) -> Any:
    value = _require_array(value, what)
    if value.ndim == 0 or value.shape[0] != size:
        raise ValueError(
            f"{what} must have an entry for each rank, so {size} in its first dimension, not the "
            f"shape {value.shape}"
        )
    return value


def scatter(members: Any, values: Any, root: int, out: Any) -> Call:
    """A block of the root's array into each one's `out`."""
    if members.rank != root:
        out = _require_array(out, "`out`")
        out = _require_out(out, out.dtype, out.shape)
        return _call(Kind.SCATTER, out, None, out, out, root=root)
    values = _require_blocks(values, "what is scattered", members.size)
    out = _require_out(out, values.dtype, values.shape[1:])
    return _call(Kind.SCATTER, out, values, out, out, root=root)


def alltoall(members: Any, values: Any, out: Any) -> Call:
    """Block j of member i becomes block i of member j."""
    values = _require_blocks(values, "what is sent", members.size)
    out = _require_out(out, values.dtype, values.shape)
    if sys.modules["numpy"].may_share_memory(values, out):
        raise ValueError("`out` must not share memory with what is sent")
    return _call(Kind.ALLTOALL, values, values, out, out, shape=values.shape[1:])


def reduce(
    members: Any, kind: Kind, value: Any, op: Operator, root: int, out: Any, ordered: bool
) -> Call:
    """Do reduce, allreduce, scan and exscan: one block in, one out."""
    gets = members.rank == root if kind == Kind.REDUCE else True
    recv = None
    if gets and is_array(out):
        recv = _require_out(out, value.dtype, value.shape)
    elif gets:
        recv = sys.modules["numpy"].empty(value.shape, value.dtype)
    # Before the first member there is nothing.
    result = None if kind == Kind.EXSCAN and members.rank == 0 else recv
    return _call(kind, value, value, recv, result, root=root, op=op.code, ordered=ordered)


def reduce_scatter(members: Any, values: Any, op: Operator, out: Any, ordered: bool) -> Call:
    """Block j of all members is reduced to member j."""
    values = _require_blocks(values, "what is reduced", members.size)
    shape = values.shape[1:]
    if is_array(out):
        out = _require_out(out, values.dtype, shape)
    else:
        out = sys.modules["numpy"].empty(shape, values.dtype)
    return _call(
        Kind.REDUCE_SCATTER, out, values, out, out, op=op.code, ordered=ordered, shape=shape
    )


def run(members: Any, call: Call) -> Any:
    """Do it, waiting for it."""
    members.operate(*call.arguments, None)
    return call.result


def submit(members: Any, call: Call) -> Any:
    """Begin it; return a Future of the result."""
    future = core().Future()

    def done(exception: BaseException | None) -> None:
        if exception is None:
            future.set_result(call.result)
        else:
            future.set_exception(exception)

    members.operate(*call.arguments, done)
    return future


#: What `out` may be where this rank gets nothing: any array, or an ellipsis.
Out = Any | EllipsisType | None
