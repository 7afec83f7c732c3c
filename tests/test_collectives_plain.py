"""The short way of operations on plain arrays does what the long way does, and goes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pygas
from pygas.collectives.kinds import Kind

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (0,), (2, 3), (1, 5), (12, 100, 2), (1,) * 9)
DTYPES = "?bhilqBHILQfdFD"


class Special(np.ndarray):
    """Arrays that the long way takes."""


def own(shape: tuple[int, ...], dtype: Any, way: str) -> np.ndarray:
    """Return this rank's array: by the short way, the long one, or the one that its rank says."""
    count = int(np.prod(shape))
    array = (np.arange(count) % 5 + pygas.MYTHREAD % 2).reshape(shape).astype(dtype)
    long = way == "long" or (way == "mixed" and pygas.MYTHREAD % 2 == 1)
    return array.view(Special) if long else array


def is_taken(kind: Kind, value: Any, out: Any, op: int = 0, root: int = 0) -> bool:
    """Tell whether an operation goes the short way. It is done if so."""
    result = pygas.world._members.operate_plain(kind, value, out, op, root, False)
    return result is not NotImplemented


def everything(shape: tuple[int, ...], dtype: Any, way: str) -> list[Any]:
    world, size = pygas.world, pygas.THREADS
    array = own(shape, dtype, way)
    last = size - 1
    got: list[Any] = []
    for operation in (world.allreduce, world.scan, world.exscan, world.reduce):
        got.append(operation(array))
        out = np.zeros_like(array)
        result = operation(array, pygas.MAX if array.dtype.kind != "c" else pygas.PROD, out=out)
        assert result is None or result is out
        got.append(result)
    got.append(world.reduce(array, root=last, out=np.zeros_like(array)))
    copy = array.copy()
    assert world.broadcast(copy, last, out=copy) is copy
    got.append(copy)
    out = np.zeros((size, *shape), dtype).view(type(array))
    assert world.allgather(array, out=out) is out
    got.append(out)
    out = np.zeros((size, *shape), dtype).view(type(array))
    result = world.gather(array, last, out=out if world.rank == last else ...)
    assert result is (out if world.rank == last else None)
    got.append(out)
    return got + with_entries(array)


def with_entries(array: np.ndarray) -> list[Any]:
    """Do what takes an array with an entry for each rank."""
    world, size = pygas.world, pygas.THREADS
    last = size - 1
    entries = np.stack([np.asarray(array)] * size) + np.arange(size).reshape(
        -1, *[1] * array.ndim
    ).astype(array.dtype)
    entries = entries.astype(array.dtype).view(type(array))
    got: list[Any] = [world.reduce_scatter(entries)]
    out = np.zeros_like(array)
    assert world.reduce_scatter(entries, pygas.PROD, out=out) is out
    got.append(out)
    out = np.zeros_like(array)
    assert world.scatter(entries if world.rank == last else None, last, out=out) is out
    got.append(out)
    others = np.zeros_like(entries)
    assert world.alltoall(entries, out=others) is others
    got.append(others)
    return got


@pytest.mark.ranks(1, 2, 3, timeout=120)
def test_both_ways_give_the_same() -> None:
    for shape in SHAPES:
        for dtype in DTYPES if len(shape) < 3 else "d":
            expected = everything(shape, dtype, "long")
            for way in ("short", "mixed"):
                for one, other in zip(everything(shape, dtype, way), expected, strict=True):
                    assert (one is None) == (other is None)
                    if one is not None:
                        assert one.dtype == other.dtype
                        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.ranks(2)
def test_what_is_plain() -> None:
    size = pygas.THREADS
    array, out = np.ones((2, 3)), np.zeros((2, 3))
    frozen = np.zeros((2, 3))
    frozen.flags.writeable = False
    odd = np.zeros(49, np.uint8)[1:].view("d").reshape(2, 3)
    assert is_taken(Kind.ALLREDUCE, array, out, 1)
    assert (out == size).all()
    assert is_taken(Kind.ALLGATHER, array, np.zeros((size, 2, 3)))
    assert is_taken(Kind.BROADCAST, array, array, 0, size - 1)
    for value, into, op in (
        (array.tolist(), out, 1),
        (array.view(Special), out, 1),
        (array.T, out.T, 1),
        (array.astype(">f8"), None, 1),
        (array.astype("g"), None, 1),
        (array.astype("e"), None, 1),
        (array.astype("O"), None, 1),
        (array.astype("M8[s]"), None, 1),
        (odd, None, 1),
        (array, odd, 1),
        (array, out.astype("f"), 1),
        (array, out.ravel(), 1),
        (array, frozen, 1),
        (array, ..., 1),
        (array, out.tolist(), 1),
        (array, out, 0),
        (array, out, 5),
        (array, out, 99),
        (array, out, 2**70),
        (array, out, None),
        (array.astype("F"), None, 3),
    ):
        assert not is_taken(Kind.ALLREDUCE, value, into, op)
    assert not is_taken(Kind.ALLGATHER, array, np.zeros((size + 1, 2, 3)))
    assert not is_taken(Kind.ALLGATHER, array, np.zeros((2, 3)))
    assert not is_taken(Kind.ALLGATHER, array, None)
    assert not is_taken(Kind.BROADCAST, array, out if pygas.MYTHREAD == 0 else None)
    assert not is_taken(Kind.BROADCAST, array, frozen)
    for root in (-1, size, 2**40):
        assert not is_taken(Kind.BROADCAST, array, array, 0, root)
    for kind in (-1, 2**40, Kind.BARRIER, Kind.SHARE, Kind.CHECK):
        assert not is_taken(kind, array, out, 1)
    with pytest.raises(TypeError):
        pygas.world._members.operate_plain(Kind.ALLREDUCE, array)
    assert pygas.allreduce(1) == size


def and_meet(operation: Callable[[Any], object]) -> None:
    """Do it, in a team of its own: who has nothing to wait for there is told when they meet."""
    team = pygas.world.split(0)
    assert team is not None
    operation(team)
    team.barrier()


@pytest.mark.ranks(2)
def test_what_is_plain_with_an_entry_for_each_rank() -> None:
    size, first = pygas.THREADS, pygas.MYTHREAD == 0
    entries = np.arange(2.0 * size).reshape(size, 2)
    one, others = np.zeros(2), np.zeros((size, 2))
    for kind, value, out, op in (
        (Kind.SCATTER, entries, one, 0),
        (Kind.GATHER, one, others if first else None, 0),
        (Kind.ALLTOALL, entries, others, 0),
        (Kind.REDUCE_SCATTER, entries, one, 1),
        (Kind.REDUCE_SCATTER, entries, None, 1),
    ):
        assert is_taken(kind, value, out, op)
    assert (one == size * entries[pygas.MYTHREAD]).all()
    more, none = np.zeros((size + 1, 2)), np.ones(())
    both = np.zeros(3 * size)
    low, high = both[: 2 * size].reshape(size, 2), both[size:].reshape(size, 2)
    for kind, value, out, op in (
        (Kind.ALLTOALL, more, more.copy(), 0),
        (Kind.ALLTOALL, none, none.copy(), 0),
        (Kind.ALLTOALL, entries, one, 0),
        (Kind.ALLTOALL, entries, entries, 0),
        (Kind.ALLTOALL, low, high, 0),
        (Kind.ALLTOALL, high, low, 0),
        (Kind.ALLTOALL, entries.tolist(), others, 0),
        (Kind.REDUCE_SCATTER, more, one, 1),
        (Kind.REDUCE_SCATTER, none, None, 1),
        (Kind.REDUCE_SCATTER, entries, others, 1),
        (Kind.REDUCE_SCATTER, entries, one.astype("f"), 1),
        (Kind.REDUCE_SCATTER, entries, one, 0),
        (Kind.SCATTER, more, [0.0, 0.0], 0),
        (Kind.SCATTER, none, None, 0),
        (Kind.SCATTER, entries.tolist(), one.astype("O"), 0),
        (Kind.GATHER, one.tolist(), others, 0),
    ):
        assert not is_taken(kind, value, out, op)
    if first:
        assert not is_taken(Kind.SCATTER, more, one)
        assert not is_taken(Kind.GATHER, one, more)
    assert pygas.allreduce(1) == size
    with pytest.raises(ValueError, match="share memory"):
        pygas.alltoall(low, out=high)
    with pytest.raises(ValueError if first else pygas.CollectiveError):
        pygas.scatter(more, out=one)
    for disagree in (
        lambda team: team.gather(one if first else np.zeros(3), out=others if first else ...),
        lambda team: team.scatter(entries, team.rank, out=one),
    ):
        with pytest.raises(pygas.CollectiveError):
            and_meet(disagree)
    assert pygas.allreduce(1) == size


@pytest.mark.ranks(2)
def test_disagreement_is_noticed() -> None:
    first = pygas.MYTHREAD == 0
    for mine, others in (
        (np.ones(6), np.ones((2, 3))),
        (np.ones(6), np.ones((6, 1))),
        (np.ones((3, 2)), np.ones((2, 3))),
        (np.ones(1), np.ones(())),
        (np.ones(6), np.ones(5)),
        (np.ones(6), np.ones(6, np.int64)),
        (np.ones(6), np.ones((2, 3)).view(Special)),
        (np.ones(6), [1.0] * 6),
    ):
        with pytest.raises(pygas.CollectiveError):
            pygas.allreduce(mine if first else others)
        assert pygas.allreduce(1) == 2
    with pytest.raises(pygas.CollectiveError):
        pygas.allreduce(np.ones(2), pygas.SUM if first else pygas.MAX)
    with pytest.raises(ValueError if first else pygas.CollectiveError):
        pygas.allreduce(np.ones(2), out=np.ones(3) if first else np.ones(2))
    assert pygas.allreduce(1) == 2


@pytest.mark.ranks(2)
def test_team_that_was_freed() -> None:
    team = pygas.world.split(0)
    assert team is not None
    team.free()
    with pytest.raises(ValueError, match="freed"):
        team.allreduce(np.ones(1))
    with pytest.raises(ValueError, match="freed"):
        team.barrier()
