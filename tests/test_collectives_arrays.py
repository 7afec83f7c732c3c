"""Collective operations on NumPy arrays: every algorithm, every dtype, in place."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

import pygas
from pygas import _core
from pygas.collectives import algorithms

SIZES = (1, 2, 3, 4, 5, 7, 8)
COUNTS = (0, 1, 5, 1000, 70000)


def each_algorithm(kind: str) -> Iterator[None]:
    """Run the loop's body once with each algorithm of the table."""
    for name in [name for row, name, _ordered, _when in _core.algorithms() if row == kind]:
        with algorithms(**{kind: name}):
            yield


def block(rank: int, count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * 7 + rank * 1000003


def blocks(rank: int, size: int, count: int) -> np.ndarray:
    return np.stack([block(rank * size + other, count) for other in range(size)])


@pytest.mark.ranks(*SIZES, timeout=120)
def test_moving() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    world = pygas.world
    for count, root in itertools.product(COUNTS, {0, size - 1}):
        for _ in each_algorithm("broadcast"):
            array = block(rank, count)
            got = pygas.broadcast(array, root, out=array)
            assert got is array
            np.testing.assert_array_equal(array, block(root, count))
        for _ in each_algorithm("gather"):
            out = np.empty((size, count), np.int64) if rank == root else ...
            got = world.gather(block(rank, count), root, out=out)
            if rank == root:
                np.testing.assert_array_equal(out, [block(r, count) for r in range(size)])
            assert (got is out) == (rank == root)
        for _ in each_algorithm("scatter"):
            out = np.empty(count, np.int64)
            values = blocks(0, size, count) if rank == root else None
            assert pygas.scatter(values, root, out=out) is out
            np.testing.assert_array_equal(out, block(rank, count))
        for _ in each_algorithm("allgather"):
            out = np.empty((size, count), np.int64)
            assert pygas.allgather(block(rank, count), out=out) is out
            np.testing.assert_array_equal(out, [block(r, count) for r in range(size)])
        for _ in each_algorithm("alltoall"):
            out = np.empty((size, count), np.int64)
            assert pygas.alltoall(blocks(rank, size, count), out=out) is out
            expected = [block(r * size + rank, count) for r in range(size)]
            np.testing.assert_array_equal(out, expected)


@pytest.mark.ranks(*SIZES, timeout=120)
def test_reducing() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    for count in COUNTS:
        sums = list(itertools.accumulate(block(r, count) for r in range(size)))
        for _ in each_algorithm("reduce"):
            for root in {0, size - 1, size // 2}:
                got = pygas.reduce(block(rank, count), root=root)
                if rank == root:
                    np.testing.assert_array_equal(got, sums[-1])
                else:
                    assert got is None
        for _ in each_algorithm("allreduce"):
            array = block(rank, count)
            np.testing.assert_array_equal(pygas.allreduce(array), sums[-1])
            np.testing.assert_array_equal(array, block(rank, count))
            assert pygas.allreduce(array, out=array) is array
            np.testing.assert_array_equal(array, sums[-1])
        for _ in each_algorithm("reduce_scatter"):
            expected = functools.reduce(
                np.add, [block(r * size + rank, count) for r in range(size)]
            )
            got = pygas.reduce_scatter(blocks(rank, size, count))
            np.testing.assert_array_equal(got, expected)
        for _ in each_algorithm("scan"):
            np.testing.assert_array_equal(pygas.scan(block(rank, count)), sums[rank])
        for _ in each_algorithm("exscan"):
            got = pygas.exscan(block(rank, count))
            if rank > 0:
                np.testing.assert_array_equal(got, sums[rank - 1])
            else:
                assert got is None


@pytest.mark.ranks(1, 3)
def test_dtypes_and_operators() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    operators = {
        pygas.SUM: np.add,
        pygas.PROD: np.multiply,
        pygas.MIN: np.minimum,
        pygas.MAX: np.maximum,
        pygas.AND: np.bitwise_and,
        pygas.OR: np.bitwise_or,
        pygas.XOR: np.bitwise_xor,
    }
    for kind in "?bhilqBHILQefdgFDG":
        values = [(np.arange(12).reshape(3, 4) * (r + 3) % 5).astype(kind) for r in range(size)]
        for op, ufunc in operators.items():
            try:
                expected = functools.reduce(ufunc, values)
                defined = ufunc(values[0], values[0]).dtype == np.dtype(kind)
            except TypeError:
                defined = False
            if not defined:
                if size > 1:
                    with pytest.raises(TypeError):
                        pygas.allreduce(values[rank], op)
                continue
            got = pygas.allreduce(values[rank], op)
            assert got.dtype == np.dtype(kind)
            assert got.shape == (3, 4)
            np.testing.assert_array_equal(got, expected)


@pytest.mark.ranks(1, 4)
def test_shapes_and_layouts() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    scalar = np.array(rank + 1.5)
    assert pygas.allreduce(scalar) == sum(r + 1.5 for r in range(size))
    turned = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(pygas.allreduce(turned), turned * size)
    swapped = np.arange(5, dtype=">i4")
    np.testing.assert_array_equal(pygas.allreduce(swapped), swapped * size)
    dates = np.array(["2012-10-10", "2026-01-01"], "M8[D]")
    out = np.empty((size, 2), "M8[D]")
    np.testing.assert_array_equal(pygas.allgather(dates, out=out), [dates] * size)
    rows = np.zeros(3, [("a", "i4"), ("b", "f8")])
    rows["a"] = rank
    pygas.broadcast(rows, size - 1, out=rows)
    assert rows["a"].tolist() == [size - 1] * 3
    assert pygas.allreduce(np.array(rank, object)) == sum(range(size))


@pytest.mark.ranks(4, 5)
def test_ordered_reductions_are_those_of_a_loop() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    random = np.random.default_rng(5)
    values = [random.standard_normal(50000) for _ in range(size)]
    sums = list(itertools.accumulate(values))
    assert pygas.allreduce(values[rank], ordered=True).tobytes() == sums[-1].tobytes()
    assert pygas.scan(values[rank], ordered=True).tobytes() == sums[rank].tobytes()
    got = pygas.reduce(values[rank], root=1, ordered=True)
    assert rank != 1 or got.tobytes() == sums[-1].tobytes()
    plain = pygas.allreduce(values[rank])
    assert len({each.tobytes() for each in pygas.allgather(plain)}) == 1
    assert pygas.allreduce(values[rank]).tobytes() == plain.tobytes()


@pytest.mark.ranks(1, 2, 4)
def test_futures() -> None:
    world, size, rank = pygas.world, pygas.THREADS, pygas.MYTHREAD
    futures = []
    outs = []
    for i in range(20):
        array = block(rank, 3000 * i)
        out = np.empty_like(array)
        outs.append(out)
        futures.append(world.allreduce_async(array, out=out))
        del array  # kept until the operation is over
    for i, future in enumerate(futures):
        assert future.result(30) is outs[i]
        expected = functools.reduce(np.add, [block(r, 3000 * i) for r in range(size)])
        np.testing.assert_array_equal(outs[i], expected)


@pytest.mark.ranks(4, timeout=120)
def test_large() -> None:
    array = np.full(6_000_000, pygas.MYTHREAD + 1.0)
    pygas.allreduce(array, out=array)
    assert (array == 10).all()
    pygas.broadcast(array + pygas.MYTHREAD, 3, out=array)
    assert (array == 13).all()


@pytest.mark.ranks(2, 3)
def test_what_does_not_fit() -> None:
    """Checked on one rank, an error on all; and the team goes on."""
    rank = pygas.MYTHREAD
    first = rank == 0
    cases = [
        lambda: pygas.allreduce(np.zeros(3 if first else 4)),
        lambda: pygas.allreduce(np.zeros((2, 3) if first else (3, 2))),
        lambda: pygas.allreduce(np.zeros(3, "f4" if first else "f8")),
        lambda: pygas.allreduce(np.zeros(3), pygas.SUM if first else pygas.MAX),
        lambda: pygas.allreduce(np.zeros(3) if first else [0, 0, 0]),
        lambda: pygas.allreduce(np.zeros(3), ordered=first),
        lambda: pygas.barrier() if first else pygas.allreduce(1),
    ]
    for case in cases:
        with pytest.raises(pygas.CollectiveError, match="disagree"):
            case()
        assert pygas.allreduce(1) == pygas.THREADS
    wrong = [
        (ValueError, lambda: pygas.allgather(np.zeros(3), out=np.zeros((9, 3)))),
        (ValueError, lambda: pygas.allgather(np.zeros(3), out=np.zeros((pygas.THREADS, 3), "f4"))),
        (TypeError, lambda: pygas.allgather([1], out=np.zeros((pygas.THREADS, 3)))),
        (ValueError, lambda: pygas.reduce_scatter(np.zeros((pygas.THREADS + 1, 3)))),
        (ValueError, lambda: pygas.broadcast(1, root=7)),
        (TypeError, lambda: pygas.allreduce([1], out=np.zeros(3))),
        (TypeError, lambda: pygas.allreduce(1, op=3)),
    ]
    for error, case in wrong:
        with pytest.raises(error if first else pygas.CollectiveError) as caught:
            case() if first else pygas.allreduce(1)
        assert first or "rank 0 gave it up" in str(caught.value)
        assert pygas.allreduce(1) == pygas.THREADS


@pytest.mark.ranks(1)
def test_algorithms_by_name() -> None:
    with pytest.raises(ValueError, match="no algorithm 'fast'"), contextlib.ExitStack() as stack:
        stack.enter_context(algorithms(allreduce="fast"))
