"""A result is as it was when its request ran, also if it is changed while it is on its way."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from conftest import HERE, run_ranks

import pygas

LENGTH = 1 << 20


class Field:
    """Holds an array that is changed as a whole."""

    def __init__(self, length: int) -> None:
        self.array = np.zeros(length)
        self.raw = bytearray(length)
        self.gone = np.ones(length)

    @property
    def computed(self) -> Any:
        self.array += 1
        return self.array

    def add(self, amount: float) -> None:
        self.array += amount

    def overwrite(self) -> None:
        self.raw[:] = b"\x01" * len(self.raw)
        self.array[:] = 7

    def drop(self) -> None:
        del self.gone

    def read_then_add(self, other: Any) -> Any:
        """Wait for another rank in between, which asks for the array meanwhile."""
        future = other.ask_for(pygas.Proxy(self))
        self.array += 1
        return future


class Reader:
    """Asks for the array of a Field, and takes it later."""

    def __init__(self) -> None:
        self.futures: list[Any] = []

    def ask_for(self, field: Any) -> None:
        self.futures.append(pygas.async_(field).array)
        while not self.futures[-1].done():
            pygas.progress()


def shared(length: int = LENGTH) -> Any:
    return pygas.share(Field(length) if pygas.MYTHREAD == 0 else None)


@pytest.mark.ranks(1, 2)
def test_later_requests_do_not_change_earlier_results() -> None:
    p = shared()
    if pygas.MYTHREAD == pygas.THREADS - 1 and pygas.THREADS > 1:
        remote = pygas.async_(p)
        before = [remote.array, remote.raw, remote.gone]
        p.overwrite()
        after = [remote.array, remote.raw]
        p.drop()
        p.add(1)
        last = remote.array
        assert (before[0].result() == 0).all()
        assert before[1].result() == bytearray(LENGTH)
        assert (before[2].result() == 1).all()
        assert (after[0].result() == 7).all()
        assert after[1].result() == bytearray(b"\x01" * LENGTH)
        assert (last.result() == 8).all()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_property_may_change_what_it_returns() -> None:
    p = shared()
    if pygas.MYTHREAD == 1:
        futures = [pygas.async_(p).computed for _ in range(6)]
        for i, future in enumerate(futures):
            assert (future.result() == i + 1).all()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_the_owner_may_change_its_object_after_a_barrier() -> None:
    p = shared()
    future = pygas.async_(p).array if pygas.MYTHREAD == 1 else None
    if future is not None:
        pygas.wait([future])  # the request has run; its result has not been taken
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        pygas.local(p).array += 5
    pygas.barrier()
    if future is not None:
        assert (future.result() == 0).all()
        assert (p.array == 5).all()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_request_that_waited_may_change_what_was_read_meanwhile() -> None:
    p = shared()
    mine = Reader()
    reader = pygas.share(mine if pygas.MYTHREAD == 1 else None, root=1)
    if pygas.MYTHREAD == 1:
        p.read_then_add(reader)
        assert (mine.futures[0].result() == 0).all()
        assert (p.array == 1).all()
    pygas.barrier()


@pytest.mark.ranks(4, timeout=120)
def test_no_copy_is_mixed_while_others_change_the_object() -> None:
    p = shared()
    if pygas.MYTHREAD in (1, 2):
        for _ in range(60):
            array = p.array
            assert array.min() == array.max()
            futures = [pygas.async_(p).array for _ in range(3)]
            for future in futures:
                array = future.result()
                assert array.min() == array.max()
    elif pygas.MYTHREAD == 3:
        for _ in range(300):
            p.add(1)
    pygas.barrier()
    assert (p.array == 300).all()
    pygas.barrier()


def blocks_used() -> int:
    stats = pygas._job.core().landing_stats()
    return stats["reused"] + stats["fresh"]


@pytest.mark.ranks(4)
def test_reading_alone_makes_no_copies_on_the_owner() -> None:
    p = shared()
    items = pygas.share([np.ones(LENGTH)] if pygas.MYTHREAD == 0 else None)
    before = blocks_used()
    if pygas.MYTHREAD > 0:
        for _ in range(20):
            futures = [pygas.async_(p).array, pygas.async_(items)[0], pygas.async_(p).raw]
            assert p.array.sum() == 0
            for future in futures:
                assert len(future.result()) == LENGTH
    pygas.barrier()
    assert pygas.MYTHREAD > 0 or blocks_used() == before
    pygas.barrier()


@pytest.mark.parametrize(
    "environment",
    [{}, {"PYGAS_UCX_TLS": "tcp,self", "PYGAS_RINGS": "never"}],
    ids=["shm", "tcp"],
)
def test_the_same_by_rendezvous(environment: dict[str, str]) -> None:
    for count, function in (
        (2, "test_later_requests_do_not_change_earlier_results"),
        (2, "test_the_owner_may_change_its_object_after_a_barrier"),
        (4, "test_no_copy_is_mixed_while_others_change_the_object"),
    ):
        env = {**os.environ, "PYGAS_DIRECT": "never", **environment}
        result = run_ranks(count, HERE / "rankmain.py", __file__, function, env=env, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
