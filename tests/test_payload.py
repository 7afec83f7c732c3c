"""Payloads of all sizes and shapes, there and back."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest

import pygas

SIZES = [0, 1, 4095, 4096, 4097, 8192, 65_536, 1 << 20, 64 << 20]


def same(value: Any) -> Any:
    return value


def random_bytes(size: int) -> bytes:
    """Return bytes that repeat, but not with a power of two."""
    return (os.urandom(9973) * (size // 9973 + 1))[:size]


def neighbour() -> Any:
    return pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    """One array of each kind, small and large."""
    made = {}
    for n in (3, 1000):
        base = np.arange(float(n * n)).reshape(n, n)
        made |= {
            f"C {n}": base,
            f"F {n}": np.asfortranarray(base),
            f"transposed {n}": base.T,
            f"strided {n}": base[::2, ::-3],
            f"broadcast {n}": np.broadcast_to(np.arange(n), (n, n)),
            f"structured {n}": np.zeros((n, n), dtype=[("i", "<i4"), ("v", "f8", 3), ("s", "S5")]),
            f"objects {n}": np.array([[1, "a"], [None, {2: 3}]] * n, dtype=object),
            f"strings {n}": base.astype("U9"),
            f"bool {n}": base > n,
            f"complex {n}": base * 1j,
            f"dates {n}": base.astype("datetime64[D]"),
            f"big endian {n}": base.astype(">f8"),
        }
    frozen = np.arange(10_000)
    frozen.flags.writeable = False
    made |= {
        "read-only": frozen,
        "empty": np.empty(0),
        "empty 3-d": np.empty((4, 0, 5), dtype="i2"),
        "0-d": np.array(5.5),
        "scalar": np.float32(2.5),
        "memmap-like": np.frombuffer(random_bytes(50_000), dtype="u1"),
    }
    return made


@pytest.mark.ranks(1, 2)
def test_bytes_of_every_size() -> None:
    for size in SIZES:
        for kind in (bytes, bytearray):
            sent = kind(random_bytes(size))
            got = neighbour().call(same, sent)
            assert type(got) is kind
            assert got == sent
            del sent, got
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_text_and_nested_values_of_every_size() -> None:
    for size in SIZES:
        text = ("aé漢😀" * (size // 4 + 1))[: size if size < 1 << 21 else size // 4]
        assert neighbour().call(same, text) == text
        nested = {"k": [random_bytes(size), (bytearray(random_bytes(size)), None)], 1: {2.5, "x"}}
        assert neighbour().call(same, nested) == nested
    assert neighbour().call(same, list(range(300_000))) == list(range(300_000))
    assert neighbour().call(same, 7**100_000) == 7**100_000
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_arrays_of_every_kind() -> None:
    for name, sent in arrays().items():
        got = neighbour().call(same, sent)
        assert got.dtype == sent.dtype, name
        assert got.shape == sent.shape, name
        np.testing.assert_array_equal(got, sent, err_msg=name)
    for size in SIZES:
        sent = np.frombuffer(random_bytes(size), dtype="u1")
        np.testing.assert_array_equal(neighbour().call(same, sent), sent)
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_arrays_received_are_independent() -> None:
    original = np.zeros(100_000)
    p = pygas.share({"a": original, "small": np.zeros(3)})
    twins = [pygas.resolve(p), pygas.resolve(p)]
    for name in ("a", "small"):
        first, second = twins[0][name], twins[1][name]
        assert first.flags.writeable
        assert first.flags.aligned
        first += 1
        first.resize(first.size + 1, refcheck=False) if first.base is None else None
        assert not second.any()
    pygas.barrier()
    assert not original.any()
    if pygas.MYTHREAD == 0:
        shared: Any = neighbour().call(lambda a: (a, a, a[:10]), np.zeros(50_000))
        shared[0][0] = 1
        assert shared[1][0] == 1
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_many_arrays_in_one_message() -> None:
    sent = [np.full(1024, i, dtype="f8") for i in range(2000)]
    got = neighbour().call(same, sent)
    assert len(got) == 2000
    assert all((a == i).all() and a.flags.writeable for i, a in enumerate(got))
    pygas.barrier()


@pytest.mark.ranks(2)
def test_bytes_inside_of_values_are_independent() -> None:
    data = bytearray(b"x" * 100_000)
    for _ in range(3):
        got = neighbour().call(same, [data, bytes(data), data])
        assert got[0] is got[2]
        got[0] += b"y"
        assert got[1] == data == b"x" * 100_000
    pygas.barrier()


@pytest.mark.ranks(4)
def test_from_everyone_to_everyone_at_once() -> None:
    rng = np.random.default_rng(pygas.MYTHREAD)
    errors: list[BaseException] = []

    def worker(number: int) -> None:
        try:
            for size in (10, 5000, 300_000, 4097, 3_000_000, 0):
                sent = [np.full(size, number), random_bytes(size), {"n": number}]
                rank = (pygas.MYTHREAD + number) % pygas.THREADS
                futures = [pygas.at(rank).submit(same, sent) for _ in range(3)]
                for future in futures:
                    got = future.result()
                    np.testing.assert_array_equal(got[0], sent[0])
                    assert got[1:] == sent[1:]
        except BaseException as error:
            errors.append(error)

    order = rng.permutation(3)
    threads = [threading.Thread(target=worker, args=(int(i),)) for i in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    pygas.barrier()


@pytest.mark.ranks(2)
def test_results_nobody_waits_for() -> None:
    for i in range(60):
        future = neighbour().submit(np.ones, 100_000 + i)
        if i % 3 == 0:
            future.done()
        del future
        neighbour().submit(same, np.ones(50_000))
    assert neighbour().call(np.ones, 5).sum() == 5
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_large_argument_of_a_failing_request() -> None:
    core = pygas._job.core()
    job, _, _, *shape = core.reduce_proxy(pygas.Proxy({}))[1]
    for _ in range(10):
        with pytest.raises(TypeError, match="unexpected keyword"):
            neighbour().call(same, np.ones(500_000), wrong=np.ones(500_000))
        with pytest.raises(ReferenceError):
            core.rebuild_proxy(job, 1 - pygas.MYTHREAD, 999, *shape).update(np.ones(500_000))
    pygas.barrier()


class Holder:
    """Has one attribute of 1 GiB."""

    def __init__(self, size: int) -> None:
        self.data = b"\xa5" * size


@pytest.mark.ranks(2, timeout=120)
def test_an_attribute_of_one_gibibyte() -> None:
    size = 1 << 30
    p = pygas.share(Holder(size) if pygas.MYTHREAD == 0 else None)
    if pygas.MYTHREAD == 1:
        data = p.data
        assert len(data) == size
        assert data.count(b"\xa5", 0, 4096) == data.count(b"\xa5", size - 4096) == 4096
        assert data[:: 1 << 20] == b"\xa5" * 1024
    pygas.barrier()
