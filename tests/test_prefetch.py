"""Large results of Futures are fetched when they have arrived, not when they are asked for."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import numpy as np
import pytest
from conftest import run_ranks

import pygas
from pygas import _core

LARGE = 1 << 22


class Owner:
    def __init__(self) -> None:
        self.array = np.arange(LARGE // 8)
        self.freed = 0

    def make(self, value: int) -> Any:
        return np.full(LARGE // 8, value)

    def part(self, count: int) -> Any:
        return self.array[:count].copy()

    def fail(self) -> Any:
        raise ValueError(bytes(LARGE))


def fetched() -> int:
    """How many blocks of landing memory have been taken so far."""
    stats = _core.landing_stats()
    return stats["reused"] + stats["fresh"]


def await_more_than(before: int) -> None:
    """Compute, without a wait in PyGAS, until something has been fetched."""
    deadline = time.monotonic() + 20
    while fetched() == before:
        assert time.monotonic() < deadline, "nothing has been fetched"
        sum(range(1000))


@pytest.mark.ranks(2)
def test_a_result_lands_while_the_program_computes() -> None:
    p = pygas.share(Owner())
    if pygas.MYTHREAD == 1:
        before = fetched()
        future = pygas.async_(p).array
        await_more_than(before)
        assert np.array_equal(future.result(), np.arange(LARGE // 8))
        assert fetched() == before + 1
    pygas.barrier()


@pytest.mark.ranks(2)
def test_small_results_are_left_to_who_asks() -> None:
    p = pygas.share(Owner())
    if pygas.MYTHREAD == 1:
        before = fetched()
        future = pygas.async_(p).part(4096)
        while not future.done():
            time.sleep(0.001)
        time.sleep(0.05)
        assert fetched() == before
        assert len(future.result()) == 4096
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_many_at_once_in_several_threads() -> None:
    p = pygas.share(Owner())
    errors: list[object] = []

    def ask(first: int) -> None:
        for i in range(first, first + 12):
            futures = [pygas.async_(p).make(i * 10 + j) for j in range(4)]
            if i % 3 == 1:
                del futures[1]  # dropped on its way
            if i % 3 == 2:
                time.sleep(0.01)
                futures[0].cancel()
                del futures[0]  # dropped when it has landed, perhaps
            for future in futures:
                array = future.result()
                if (array != array[0]).any() or array[0] // 10 != i:
                    errors.append((i, array[:4]))

    threads = [threading.Thread(target=ask, args=(100 * t,)) for t in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    gc.collect()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_exceptions_and_callbacks_have_their_buffers() -> None:
    p = pygas.share(Owner())
    if pygas.MYTHREAD == 1:
        failing = pygas.async_(p).fail()
        time.sleep(0.05)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - see its args
            failing.result()
        assert caught.value.args[0] == bytes(LARGE)
        seen: list[Any] = []
        future = pygas.async_(p).make(7)
        future.add_done_callback(lambda f: seen.append(f.result()[0]))
        future.result()
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            time.sleep(0.001)
        assert seen == [7]
    pygas.barrier()


AHEAD = """
import sys, time
import numpy as np
import pygas
from pygas import _core

class Owner:
    def make(self, value):
        return np.full(1 << 18, value)  # 2 MiB

p = pygas.share(Owner())
if pygas.MYTHREAD == 1:
    futures = [pygas.async_(p).make(i) for i in range(8)]
    while not all(f.done() for f in futures):
        time.sleep(0.001)
    time.sleep(0.3)
    stats = _core.landing_stats()
    print("ahead", stats["reused"] + stats["fresh"])
    assert [f.result()[-1] for f in futures] == list(range(8))
pygas.barrier()
"""


@pytest.mark.parametrize(("limit", "count"), [("4m", 2), ("0", 0), ("1g", 8)])
def test_what_is_fetched_ahead_is_bounded(tmp_path: Any, limit: str, count: int) -> None:
    program = tmp_path / "ahead.py"
    program.write_text(AHEAD)
    result = run_ranks(2, program, env={**os.environ, "PYGAS_FETCH_AHEAD": limit})
    assert result.returncode == 0, result.stderr
    assert f"ahead {count}\n" in result.stdout


TRANSPORT = """
import time
import numpy as np
import pygas
from pygas import _core

class Owner:
    array = np.arange(1 << 20)

p = pygas.share(Owner())
if pygas.MYTHREAD == 1:
    future = pygas.async_(p).array
    deadline = time.monotonic() + 20
    while (s := _core.landing_stats())["reused"] + s["fresh"] == 0:
        assert time.monotonic() < deadline
        sum(range(1000))
    dropped = pygas.async_(p).array
    time.sleep(0.02)
    del dropped
    assert (future.result() == np.arange(1 << 20)).all()
    late = pygas.async_(p).array  # on its way when the job ends
pygas.barrier()
"""


def test_by_rendezvous(tmp_path: Any) -> None:
    program = tmp_path / "rendezvous.py"
    program.write_text(TRANSPORT)
    for _ in range(3):
        result = run_ranks(2, program, env={**os.environ, "PYGAS_DIRECT": "never"})
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
