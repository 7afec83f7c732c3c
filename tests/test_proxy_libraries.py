"""Objects of libraries through Proxies: arrays, tables, connections, loggers, numbers, dates."""

from __future__ import annotations

import datetime
import decimal
import fractions
import importlib.util
import logging
import sqlite3
from typing import Any

import numpy as np
import pytest
from twin import on_rank_0

import pygas
from pygas import _core


def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    return pygas.at(1).new(cls, *args, **kwargs)


def same(got: Any, expected: Any) -> None:
    assert type(got) is type(expected)
    np.testing.assert_array_equal(got, expected)


def needs(module: str) -> pytest.MarkDecorator:
    """Skip, visibly, where an optional library is missing; CI has them."""
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"no {module}")


@pytest.mark.ranks(2)
@on_rank_0
def test_arrays_in_expressions() -> None:
    local = np.linspace(0, 1, 12).reshape(3, 4)
    p, q = new(np.array, local), new(np.array, 2 * local)
    for got, expected in (
        (np.asarray(p), local),
        (np.array(p, dtype="f4"), local.astype("f4")),
        (p + 1, local + 1),
        (1 - p, 1 - local),
        (p + local, 2 * local),
        (local + p, 2 * local),
        (local * q, 2 * local * local),
        (p + q, 3 * local),
        (p @ q.T, local @ (2 * local).T),
        (local @ q.T, local @ (2 * local).T),
        (p < 0.5, local < 0.5),
        (local < q, local < 2 * local),
        (np.sin(p), np.sin(local)),
        (np.add(p, q), 3 * local),
        (np.multiply.outer(p, local), np.multiply.outer(local, local)),
        (np.concatenate([p, q]), np.concatenate([local, 2 * local])),
        (np.where(p > 0.5, p, 0), np.where(local > 0.5, local, 0)),
        (p[p > 0.5], local[local > 0.5]),
        (p[1:, ::2], local[1:, ::2]),
        (p[..., None], local[..., None]),
        (p.T, local.T),
        (p.astype(int), local.astype(int)),
        (-p, -local),
        (abs(p), abs(local)),
        (p**2, local**2),
        (p.sum(axis=0), local.sum(axis=0)),
        (p.mean(), local.mean()),
        (np.mean(p), local.mean()),
        (np.linalg.norm(p), np.linalg.norm(local)),
        (p[1, 2], local[1, 2]),
        (np.float64(2) * p, 2 * local),
    ):
        same(got, expected)
    assert (p.shape, p.dtype, len(p), p.size) == ((3, 4), local.dtype, 3, 12)
    assert np.array_equal(p, local)
    assert [row.sum() for row in p] == [row.sum() for row in local]
    assert float(p[0, 0]) == 0.0
    with pytest.raises(ValueError, match="truth value of an array"):
        bool(p)
    with pytest.raises(IndexError, match="out of bounds"):
        p[7]


@pytest.mark.ranks(2)
@on_rank_0
def test_arrays_that_change() -> None:
    local = np.zeros(10)
    p = before = new(np.zeros, 10)
    for array in (local, p):
        array[2:4] = [5, 6]
        array[-1] = 1
        array[array > 5] = 7
    same(pygas.resolve(p), local)
    local += 1
    p += 1
    p *= np.full(10, 2.0)
    local *= 2
    assert p is before
    same(pygas.resolve(p), local)
    p[...] = np.arange(10)
    total = np.ones(10)
    same_total = total
    total += p
    total[:3] = p[:3]
    assert total is same_total
    same(total, np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 10.0]))
    out = np.empty(10)
    assert np.add(p, 1, out=out) is out
    np.copyto(out, p)
    same(out, np.arange(10.0))
    p.sort()
    p.fill(3)
    assert p.tolist() == [3.0] * 10


def received(operation: Any) -> int:
    """Count the bytes of what comes back, by what a pickle of it would be."""
    return int(np.asarray(operation()).nbytes)


@pytest.mark.ranks(2)
@on_rank_0
def test_an_array_moves_once_and_a_slice_alone() -> None:
    p = new(np.zeros, 1_000_000)
    for operation, most in (
        (lambda: np.asarray(p), 2),
        (lambda: np.sin(p), 6),  # NumPy asks for a few special attributes before and after
        (lambda: np.ones(1_000_000) + p, 8),
        (lambda: p[10:20], 1),
        (lambda: p + 1, 1),
        (lambda: p.sum(), 1),
        (lambda: p.__setitem__(..., np.ones(1_000_000)), 1),
    ):
        before = _core.requests_sent()
        operation()
        assert _core.requests_sent() - before <= most
    assert received(lambda: p[10:20]) == 80


@pytest.mark.ranks(2)
@on_rank_0
def test_numbers_and_dates() -> None:
    half = new(decimal.Decimal, "0.5")
    assert (half + 1, 1 + half, half * decimal.Decimal(2), decimal.Decimal(2) / half) == (
        1.5,
        1.5,
        1,
        4,
    )
    assert half.quantize(decimal.Decimal("1"), rounding=decimal.ROUND_UP) == 1
    third = new(fractions.Fraction, 1, 3)
    assert third + fractions.Fraction(1, 3) == fractions.Fraction(1, 3) + third == third * 2
    day = new(datetime.date, 2020, 2, 28)
    assert day + datetime.timedelta(2) == datetime.date(2020, 3, 1)
    assert datetime.date(2020, 3, 1) - day == datetime.timedelta(2)
    assert f"{day:%Y-%m}" == "2020-02"
    assert day < datetime.date(2021, 1, 1)


def fail(connection: Any) -> None:
    connection.execute("delete from t")
    connection.execute("delete from u")


@pytest.mark.ranks(2)
@on_rank_0
def test_sqlite() -> None:
    connection = new(sqlite3.connect, ":memory:", check_same_thread=False)
    with connection:
        connection.execute("create table t (a integer, b text)")
        connection.executemany("insert into t values (?, ?)", [(1, "x"), (2, "y")])
    assert connection.total_changes == 2
    assert connection.execute("select a, b from t order by a").fetchall() == [(1, "x"), (2, "y")]
    assert [a for (a,) in connection.execute("select a from t order by a desc")] == [2, 1]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("select * from u")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), connection:
        fail(connection)
    assert connection.execute("select count(*) from t").fetchone() == (2,)
    connection.close()


class Memory(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def logger_and_memory() -> Any:
    logger, memory = logging.Logger("far"), Memory()
    logger.addHandler(memory)
    return pygas.Proxy(logger), pygas.Proxy(memory)


@pytest.mark.ranks(2)
@on_rank_0
def test_logging() -> None:
    logger, memory = pygas.at(1).call(logger_and_memory)
    logger.warning("%s and %d", "text", 1)
    logger.setLevel(logging.ERROR)
    assert not logger.isEnabledFor(logging.INFO)
    assert memory.lines == ["text and 1"]


@needs("pandas")
@pytest.mark.ranks(2)
def test_pandas() -> None:
    import pandas as pd

    if pygas.MYTHREAD == 0:
        local = pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
        p = new(pd.DataFrame, {"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
        assert p["a"].tolist() == [1, 2, 3]
        assert list(p) == ["a", "b"]
        assert p.shape == (3, 2)
        for got, expected in ((p + 1, local + 1), (p[p["a"] > 1], local[local["a"] > 1])):
            pd.testing.assert_frame_equal(got, expected)
        p["c"] = p["a"] * 2
        assert p.groupby("a")["c"].sum().tolist() == [2, 4, 6]
        assert p.loc[1, "c"] == 4
        p.loc[1, "c"] = 9
        pygas.by_ref(p).loc[1, "c"] = 9
        assert p.loc[1, "c"] == 9
        series = new(pd.Series, [1, 2])
        pd.testing.assert_series_equal(series + pd.Series([1, 1]), pd.Series([2, 3]))
        pd.testing.assert_series_equal(pygas.resolve(series), pd.Series([1, 2]))
        assert repr(p.head(1)).startswith("   a    b  c")
    pygas.barrier()


@needs("scipy")
@pytest.mark.ranks(2)
def test_scipy() -> None:
    import scipy.sparse as sparse

    if pygas.MYTHREAD == 0:
        p, local = new(sparse.csr_array, np.eye(3)), sparse.csr_array(np.eye(3))
        np.testing.assert_array_equal(p @ np.arange(3.0), np.arange(3.0))
        np.testing.assert_array_equal((p + local).toarray(), 2 * np.eye(3))
        np.testing.assert_array_equal((local + pygas.resolve(p)).toarray(), 2 * np.eye(3))
        assert (p.nnz, p.shape, p[1, 1]) == (3, (3, 3), 1.0)
        p *= 2
        assert p.sum() == 6
    pygas.barrier()
