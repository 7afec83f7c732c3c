"""Attending: requests run whatever their owner is doing, in order, one at a time."""

from __future__ import annotations

import decimal
import gc
import os
import statistics
import threading
import time
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import pygas

PATIENCE = 20e-3  # seconds for one call: a bound against hangs, not a measure of quality


class Busy:
    """What an owner shares while it is busy."""

    def __init__(self) -> None:
        self.calls = 0
        self.log: list[Any] = []
        self.over = False

    def touch(self) -> int:
        self.calls += 1
        return self.calls

    def slow_add(self) -> None:
        """Add one, in a way that any interruption would spoil."""
        value = self.calls
        for _ in range(50):
            pass
        self.calls = value + 1

    def note(self, item: Any) -> None:
        self.log.append(item)

    def finish(self) -> None:
        self.over = True


def share_busy() -> tuple[Any, Busy]:
    busy = Busy()
    proxy = pygas.share(busy)
    return proxy, busy


def measure(proxy: Any, what: str, count: int = 100, bound: float = PATIENCE) -> None:
    """Call now and then, print the median, and end the owner's business."""
    times = []
    for _ in range(count):
        time.sleep(0.0005)
        begin = time.perf_counter()
        proxy.touch()
        times.append(time.perf_counter() - begin)
    proxy.finish()
    median = statistics.median(times)
    print(f"owner {what}: median {median * 1e6:.0f} us, worst {max(times) * 1e6:.0f} us")
    assert median < bound


@pytest.mark.ranks(2, 4)
def test_an_owner_in_a_python_loop() -> None:
    proxy, busy = share_busy()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        seen = []
        turns = 0
        while not busy.over:
            turns += 1
            if not seen or busy.calls != seen[-1]:
                seen.append(busy.calls)
        assert turns > 1000
        assert len(seen) > 10  # they came while it was turning, not all at once
    elif pygas.MYTHREAD == 1:
        measure(proxy, "in a Python loop")
    pygas.barrier()


@pytest.mark.ranks(2)
def test_an_owner_asleep_or_in_input_or_in_a_library() -> None:
    proxy, busy = share_busy()
    matrix = np.ones((400, 400))
    reader, writer = os.pipe()

    def wait_for_input() -> None:
        os.write(writer, os.read(reader, 1))

    def multiply() -> None:
        np.matmul(matrix, matrix)

    for what, occupation in (
        ("asleep", lambda: time.sleep(0.05)),
        ("in read()", wait_for_input),
        ("in matmul", multiply),
    ):
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            timer = threading.Timer(0.3, os.write, (writer, b"x"))
            timer.start()
            while not busy.over:
                occupation()
            busy.over = False
            timer.join()
        else:
            measure(proxy, what)
        pygas.barrier()


@pytest.mark.ranks(2)
def test_an_owner_whose_other_threads_work() -> None:
    proxy, busy = share_busy()
    pygas.barrier()
    if pygas.MYTHREAD == 0:

        def work() -> None:
            while not busy.over:
                sum(range(100))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # the main thread is blocked in here
    else:
        measure(proxy, "joining busy threads", 20, 0.2)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_requests_start_in_the_order_of_their_thread() -> None:
    proxy, busy = share_busy()
    count = 5_000
    pygas.barrier()
    if pygas.MYTHREAD == 1:

        def submit_all(thread: int) -> None:
            futures = [pygas.at(0).submit(proxy.note, (thread, i)) for i in range(count)]
            futures[-1].result()

        threads = [threading.Thread(target=submit_all, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.finish()
    else:
        while not busy.over:
            sum(range(100))
        for thread in range(2):
            assert [i for n, i in busy.log if n == thread] == list(range(count))
    pygas.barrier()


@pytest.mark.ranks(4)
def test_requests_do_not_interleave() -> None:
    proxy, busy = share_busy()
    count = 500
    for looping in (True, False):
        busy.calls, busy.over = 0, False
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            while looping and busy.calls < 3 * count:
                pass
        else:
            for _ in range(count):
                proxy.slow_add()
        pygas.barrier()
        assert proxy.calls == 3 * count
        pygas.barrier()


@pytest.mark.ranks(2)
def test_a_finalizer_may_use_a_proxy() -> None:
    proxy, busy = share_busy()

    class Leaver:
        def __init__(self, name: str) -> None:
            self.name = name
            self.cycle = self

        def __del__(self) -> None:
            proxy.note(self.name)

    pygas.barrier()
    for i in range(20):
        Leaver(f"{pygas.MYTHREAD} {i}")
    gc.collect()
    pygas.barrier()
    assert sorted(busy.log if pygas.MYTHREAD == 0 else proxy.log) == sorted(
        f"{rank} {i}" for rank in range(2) for i in range(20)
    )
    pygas.barrier()


@pytest.mark.ranks(2)
def test_progress_runs_what_has_arrived() -> None:
    proxy, busy = share_busy()
    if pygas.MYTHREAD == 0:
        before = time.monotonic()
        pygas.progress()
        assert time.monotonic() - before < 5
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while busy.calls < 100:
            pygas.progress()
    else:
        for _ in range(100):
            proxy.touch()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_requests_do_not_notice_what_they_interrupt() -> None:
    """Not the exception it handles, nor its context variables, builtins, recursion or imports."""
    proxy, busy = share_busy()
    plain = namedtuple("plain", "a b c")  # noqa: PYI024  # its methods have no builtins

    def deep(n: int) -> int:
        return deep(n - 1) if n else sum(plain(i, 2, 3).a for i in range(100))

    def probe() -> Any:
        def nest(n: int) -> int:
            return nest(n - 1) if n else 0

        nest(200)
        return decimal.getcontext().prec, np.geterr()["divide"]

    def fail() -> None:
        raise LookupError("of the request")

    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while not busy.over:
            try:
                raise ValueError("of the program")
            except ValueError:
                with decimal.localcontext(prec=5), np.errstate(divide="raise"):
                    deep(900)
    else:
        for _ in range(100):
            assert pygas.at(0).call(probe) == (28, "warn")
            with pytest.raises(LookupError) as caught:
                pygas.at(0).call(fail)
            assert "of the program" not in "".join(caught.value.__notes__)
        proxy.finish()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_lock_that_the_program_holds() -> None:
    """Requests wait for it like another thread; they do not run on top of its holder."""
    proxy, busy = share_busy()
    event = threading.Event()
    shared = pygas.share(event)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while not busy.over:
            event.set()
            event.clear()
    else:
        for _ in range(500):
            shared.set()
        proxy.finish()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_requests_start_in_order_also_from_waits_within_requests() -> None:
    """Several threads, whose requests wait and make further ones, to an owner that waits or not."""
    proxy, busy = share_busy()
    here = pygas.Proxy([])
    count = 200
    pygas.barrier()

    def note_and_ask(item: Any, box: Any) -> None:
        pygas.local(proxy).log.append(item)
        len(box)  # waits: others start on top of it

    if pygas.MYTHREAD == 1:

        def submit_all(thread: int) -> None:
            futures = [pygas.at(0).submit(note_and_ask, (thread, i), here) for i in range(count)]
            for future in futures:
                future.result()

        threads = [threading.Thread(target=submit_all, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.finish()
    else:
        while not busy.over:
            if len(busy.log) % 2:
                pygas.progress()
        for thread in range(3):
            assert [i for n, i in busy.log if n == thread] == list(range(count))
    pygas.barrier()
