"""Coroutines and Futures of objects that belong to a thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

import pygas


class Bound:
    """Insists on its thread, in coroutines as well, and when it goes."""

    gone_on: list[int] = []  # noqa: RUF012  (of the class, to outlive its instances)

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.future: pygas.Future[Any] = pygas.Future()
        self.over = False

    def __del__(self) -> None:
        Bound.gone_on.append(threading.get_ident())

    def _here(self) -> None:
        assert threading.get_ident() == self.thread

    async def step(self, value: int) -> int:
        self._here()
        await asyncio.sleep(0.001)
        self._here()
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.002))
        self._here()
        return value + 1

    async def call(self, function: Any, value: int) -> Any:
        result = await pygas.at(1 % pygas.THREADS).submit(function, value)
        self._here()
        return result

    async def never(self) -> None:
        await asyncio.Event().wait()

    def later(self) -> Any:
        self._here()
        return self.future

    def finish(self) -> None:
        self.over = True


class Child(Bound):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def double(value: int) -> int:
    return 2 * value


def own_thread(bound: list[Any], ready: threading.Event) -> None:
    """Have an object of its own, and serve it."""
    target = Bound()
    bound.append(pygas.Proxy(target, thread=True))
    ready.set()
    while not target.over:
        pygas.progress()
        time.sleep(0.0005)


@pytest.mark.ranks(1, 2, 4, timeout=60)
def test_coroutines_run_on_the_main_thread() -> None:
    coroutines(main=True)


@pytest.mark.ranks(1, 2, 4, timeout=60)
def test_coroutines_run_on_the_thread() -> None:
    coroutines(main=False)


def coroutines(main: bool) -> None:
    bound: list[Any] = []
    ready = threading.Event()
    thread = threading.Thread(target=own_thread, args=(bound, ready))
    if main:
        p: Any = pygas.share(Bound() if pygas.MYTHREAD == 0 else None, thread=True)
    else:
        if pygas.MYTHREAD == 0:
            thread.start()
            ready.wait()
        p = pygas.broadcast(bound[0] if bound else None)
    callers = [None] * 3
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            futures = [pygas.async_(p).step(i) for i in range(20)]
            assert [future.result(30) for future in futures] == list(range(1, 21))
            assert p.call(double, 21) == 42
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in callers]
    for asking in threads:
        asking.start()
    while any(asking.is_alive() for asking in threads):
        sum(range(1000))  # the main thread runs its own between bytecodes
        pygas.progress()
    for asking in threads:
        asking.join()
    assert not errors
    pygas.barrier()
    if pygas.MYTHREAD == 0 and not main:
        p.finish()
        thread.join()


@pytest.mark.ranks(2)
def test_a_future_that_another_thread_settles() -> None:
    """The reply comes, and what cannot be copied of it belongs to the thread of the object."""
    target, child = Bound(), Child()
    p: Any = pygas.share(target, thread=True)
    if pygas.MYTHREAD == 1:
        proxy = p.later()
        assert pygas.owner(proxy) == 0
        assert proxy.step(1) == 2
        del proxy
        p.finish()
    else:
        settled = threading.Event()

        def settle() -> None:
            time.sleep(0.02)
            target.future.set_result(child)
            settled.set()

        threading.Thread(target=settle).start()
        while not target.over:
            pygas.progress()
        assert settled.wait(10)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_it_goes_on_its_thread() -> None:
    """The last reference is dropped there, also if that was a deferred reply's."""
    p: Any = pygas.share(Bound() if pygas.MYTHREAD == 0 else None, thread=True)
    Bound.gone_on.clear()
    if pygas.MYTHREAD == 1:
        future = pygas.async_(p).later()
        future.cancel()
        pygas.wait([future])
        del future
    pygas.barrier()
    del p
    gc.collect()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        end = time.monotonic() + 10
        while not Bound.gone_on and time.monotonic() < end:
            pygas.progress()
        assert Bound.gone_on == [threading.get_ident()]
    pygas.barrier()


@pytest.mark.ranks(2)
def test_the_thread_ends_before_the_coroutine() -> None:
    """Then nothing goes on, and whoever waits is told."""
    bound: list[Any] = []
    ready = threading.Event()
    thread = threading.Thread(target=own_thread, args=(bound, ready))
    if pygas.MYTHREAD == 0:
        thread.start()
        ready.wait()
    p: Any = pygas.broadcast(bound[0] if bound else None)
    if pygas.MYTHREAD == 1:
        future = pygas.async_(p).never()
        assert p.step(1) == 2
        p.finish()
        with pytest.raises(RuntimeError, match=r"dropped|has ended"):
            future.result(20)
        with pytest.raises(RuntimeError, match="has ended"):
            p.step(1)
    else:
        thread.join()
        gc.collect()
        end = time.monotonic() + 20
        while time.monotonic() < end and any(
            other.name == "pygas-loop" for other in threading.enumerate()
        ):
            pygas.progress()
        assert not any(other.name == "pygas-loop" for other in threading.enumerate())
    pygas.barrier()
