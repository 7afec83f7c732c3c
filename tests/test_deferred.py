"""Deferred replies: methods that return Futures or are coroutines reply when those complete."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, InvalidStateError
from typing import Any

import pytest
from conftest import run_ranks
from futurekit import LIMIT, in_thread, other, unraisable, until

import pygas


class Server:
    """Owes replies, in every way."""

    def __init__(self) -> None:
        self.waiting: list[pygas.Future[Any]] = []
        self.event = asyncio.Event()
        self.log: list[str] = []
        self.kept = pygas.Future[int]()
        self.count = 0

    def get(self) -> pygas.Future[Any]:
        future: pygas.Future[Any] = pygas.Future()
        self.waiting.append(future)
        return future

    @pygas.deferred
    def wait_for_it(self) -> pygas.Future[Any]:
        """Wait for what `put` brings."""
        return self.get()

    def number_waiting(self) -> int:
        return len(self.waiting)

    def put(self, value: object) -> None:
        self.waiting.pop(0).set_result(value)

    def put_error(self) -> None:
        self.waiting.pop(0).set_exception(LookupError("of the server"))

    def cancel_one(self) -> bool:
        return self.waiting.pop(0).cancel()

    def done_already(self) -> pygas.Future[str]:
        future = pygas.Future[str]()
        future.set_result("done")
        return future

    def drop(self) -> pygas.Future[None]:
        return pygas.Future()

    def in_a_pool(self, x: int) -> concurrent.futures.Future[int]:
        future: concurrent.futures.Future[int] = concurrent.futures.Future()
        threading.Timer(0.02, future.set_result, (x,)).start()
        return future

    def from_another(self, there: Any) -> pygas.Future[Any]:
        return pygas.async_(there).get()

    async def sleep(self, seconds: float, x: Any) -> Any:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return x

    @pygas.deferred
    async def double(self, x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    async def fail(self) -> None:
        await asyncio.sleep(0)
        raise LookupError("in a coroutine")

    async def many_things(self, there: Any) -> list[Any]:
        """Use what asyncio has, and Futures."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(LIMIT)
        assert asyncio.current_task() is not None
        reader, writer = await asyncio.open_unix_connection(sock=(pair := self.socket_pair())[0])
        pair[1].send(b"line\n")
        line = await reader.readline()
        writer.close()
        pair[1].close()
        return [
            await pygas.async_(there).sleep(0.01, "remote"),
            *await asyncio.gather(self.sleep(0.01, 1), self.sleep(0, 2)),
            await asyncio.to_thread(lambda: "thread"),
            line,
        ]

    def socket_pair(self) -> Any:
        import socket

        a, b = socket.socketpair()
        a.setblocking(False)
        return a, b

    async def wait_for_event(self) -> bool:
        return await self.event.wait()

    def set_event(self) -> None:
        self.event.set()

    async def increment(self, times: int) -> None:
        """Add to the count, in a way that another thread in between would spoil."""
        for _ in range(times):
            value = self.count
            for _ in range(20):
                pass
            self.count = value + 1
            await asyncio.sleep(0)

    def increment_at_once(self) -> None:
        value = self.count
        for _ in range(20):
            pass
        self.count = value + 1

    async def call_back(self, there: Any, depth: int) -> int:
        """Block, in a coroutine, on another rank that comes back."""
        return 1 + there.called_back(pygas.Proxy(self), depth - 1) if depth > 0 else 0

    async def called_back(self, there: Any, depth: int) -> int:
        await asyncio.sleep(0)
        return 1 + there.call_back(pygas.Proxy(self), depth - 1) if depth > 0 else 0

    async def __aenter__(self) -> str:
        await asyncio.sleep(0)
        return "entered"

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        self.log.append(kind.__name__ if kind else "left")
        return kind is KeyError

    async def __aiter__(self) -> AsyncIterator[int]:
        for i in range(3):
            await asyncio.sleep(0)
            yield i


async def double(x: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * x


def share_server() -> tuple[Any, Server]:
    """Give every rank a Proxy to the server of rank 0."""
    server = Server()
    return pygas.share(server), server


@pytest.mark.ranks(2)
def test_a_future_replies_when_it_completes() -> None:
    p, _server = share_server()
    if pygas.MYTHREAD == 1:
        futures = [pygas.async_(p).get() for _ in range(5)]
        assert p.number_waiting() == 5
        assert not any(future.done() for future in futures)
        p.put("first")
        assert futures[0].result() == "first"
        p.put_error()
        with pytest.raises(LookupError, match="of the server"):
            futures[1].result()
        assert p.cancel_one()
        with pytest.raises(CancelledError):
            futures[2].result()
        assert futures[2].cancelled()
        p.put("fourth")
        thread = in_thread(lambda: (until(lambda: p.number_waiting() == 2), p.put(1), p.put(2)))
        assert p.get() == 2
        thread.join()
        assert (futures[3].result(), p.done_already(), p.in_a_pool(6)) == ("fourth", "done", 6)
        assert futures[4].result() == 1
    pygas.barrier()
    assert p.number_waiting() == 0
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_counts() -> None:
    p, _ = share_server()
    if pygas.MYTHREAD == 1:
        assert isinstance(p.kept, pygas.Proxy)  # an attribute is a value: here, a Proxy
        assert not p.kept.done()
        p.kept.set_result(5)
        assert p.kept.result() == 5
        assert pygas.at(0).call(double, 4) == 8
        assert pygas.at(0).submit(double, 4).result() == 8
        assert isinstance(pygas.at(0).new(pygas.Future), pygas.Proxy)
        by_ref = pygas.by_ref(p).sleep(0.001, [1, 2])
        assert isinstance(by_ref, pygas.Proxy)
        assert pygas.resolve(by_ref) == [1, 2]
        assert p.sleep.__name__ == "sleep"
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_deferred_is_the_same_on_every_rank() -> None:
    p, server = share_server()
    assert p.double(3) == 6
    assert pygas.async_(p).double(4).result() == 8
    if pygas.MYTHREAD == 0:
        thread = in_thread(lambda: (until(server.number_waiting), server.put("here")))
        assert server.wait_for_it() == "here"
        thread.join()
        assert "Wait for what" in (Server.wait_for_it.__doc__ or "")
        assert Server.double.__name__ == "double"
        assert isinstance(Server.wait_for_it.__wrapped__(server), pygas.Future)
        server.waiting.clear()
    pygas.barrier()
    with pytest.raises(TypeError, match="decorates functions"):
        pygas.deferred(3)  # type: ignore[call-overload]


@pytest.mark.ranks(2)
def test_nobody_will_settle_it() -> None:
    p, _ = share_server()
    if pygas.MYTHREAD == 1:
        with pytest.raises(RuntimeError, match="dropped"):
            p.drop()
        future = pygas.async_(p).get()
        pygas.at(0).call(lambda s: s.waiting.clear(), p)
        with pytest.raises(RuntimeError, match="whoever is to settle it"):
            future.result(LIMIT)
    pygas.barrier()


@pytest.mark.ranks(2, 3)
def test_coroutines() -> None:
    p, _server = share_server()
    there = pygas.share(Server(), pygas.THREADS - 1)
    if pygas.MYTHREAD == 1:
        assert p.sleep(0.01, "x") == "x"
        with pytest.raises(LookupError, match="in a coroutine") as caught:
            p.fail()
        assert "The traceback on rank 0" in caught.value.__notes__[0]
        assert p.many_things(there) == ["remote", 1, 2, "thread", b"line\n"]
        future = pygas.async_(p).wait_for_event()
        assert not p.event.is_set()
        p.set_event()  # a plain method wakes up a coroutine of the same object
        assert future.result(LIMIT)
        assert p.call_back(there, 10) == 10
        before = time.monotonic()
        futures = [pygas.async_(p).sleep(0.05, n) for n in range(3000)]
        assert [future.result() for future in futures] == list(range(3000))
        assert time.monotonic() - before < LIMIT
        forwarded = pygas.async_(p).from_another(there)
        until(there.number_waiting)
        there.put("forwarded")
        assert forwarded.result() == "forwarded"
    pygas.barrier()


@pytest.mark.ranks(2)
def test_coroutines_are_atomic_between_awaits() -> None:
    p, _server = share_server()
    if pygas.MYTHREAD == 1:
        futures = [pygas.async_(p).increment(100) for _ in range(10)]
        for _ in range(500):
            p.increment_at_once()
        pygas.wait(futures)
        assert p.count == 1500
    pygas.barrier()


@pytest.mark.ranks(2)
def test_whatever_the_owner_does() -> None:
    p, _server = share_server()
    over = pygas.share([False])

    async def turn() -> None:
        while not pygas.local(over)[0]:
            await asyncio.sleep(0.001)
            assert asyncio.get_running_loop() is loop
            p.increment_at_once()

    for what in range(3):
        if pygas.MYTHREAD == 1:
            assert p.sleep(0.01, "x") == "x"
            assert p.double(2) == 4
            over[0] = True
        elif what == 0:
            until(lambda: over[0])
        elif what == 1:
            with asyncio.Runner() as runner:
                loop = runner.get_loop()
                runner.run(turn())
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            over[0] = False
        pygas.barrier()


@pytest.mark.ranks(2)
def test_asynchronous_protocols() -> None:
    p, _server = share_server()

    async def use() -> None:
        async with p as entered:
            assert entered == "entered"
        async with pygas.async_(p) as entered:
            assert entered == "entered"
            raise KeyError
        assert p.log[-2:] == ["left", "KeyError"]
        assert [x async for x in p] == [0, 1, 2]
        assert await pygas.async_(p).double(1) == 2
        kept = p.kept
        asyncio.get_running_loop().call_later(0.01, lambda: kept.set_result(1))
        assert await kept == 1

    if pygas.MYTHREAD == 1:
        asyncio.run(use())
    pygas.barrier()


# ---- cancelling ----


@pytest.mark.ranks(2)
def test_cancelling() -> None:
    p, _server = share_server()
    if pygas.MYTHREAD == 1:
        future = pygas.async_(p).get()
        until(p.number_waiting)
        assert future.cancel()
        assert pygas.at(0).call(lambda s: s.waiting[0].cancelled(), p)
        asleep = pygas.async_(p).sleep(LIMIT, None)
        p.number_waiting()
        assert asleep.cancel()
        until(lambda: p.log == ["cancelled"])
        pooled = pygas.async_(p).in_a_pool(1)
        p.number_waiting()
        assert pooled.cancel()

        begun = pygas.async_(p).get()
        pygas.at(0).call(lambda s: s.waiting[1].set_running_or_notify_cancel(), p)
        assert not begun.cancel()
        pygas.at(0).call(lambda s: s.waiting[1].set_result(7), p)
        assert not begun.cancel()
        assert begun.result() == 7

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pygas.async_(p).sleep(LIMIT, None), 0.05)

        asyncio.run(give_up())
        until(lambda: p.log == ["cancelled"] * 2)
    pygas.barrier()


@pytest.mark.ranks(1)
def test_running() -> None:
    future: pygas.Future[int] = pygas.Future()
    assert not future.running()
    assert future.set_running_or_notify_cancel()
    assert future.running()
    assert not future.cancel()
    assert not future.done()
    with pytest.raises(InvalidStateError):
        future.set_running_or_notify_cancel()
    future.set_result(1)
    assert not future.running()
    with pytest.raises(InvalidStateError):
        future.set_running_or_notify_cancel()
    future = pygas.Future()
    assert future.cancel()
    assert not future.set_running_or_notify_cancel()
    with pytest.raises(InvalidStateError):
        future.set_result(1)
    with pytest.raises(InvalidStateError, match="set running"):
        other().submit(abs, 1).set_running_or_notify_cancel()


@pytest.mark.ranks(4)
def test_cancel_races_with_settling() -> None:
    """Each value arrives exactly at one caller that was not told of a cancelling."""
    p, server = share_server()
    got: list[int] = []
    rounds = 300

    def settle() -> None:
        number = 0
        while not stop:
            if server.waiting:
                future = server.waiting.pop(0)
                if future.set_running_or_notify_cancel():
                    future.set_result(number)
                    number += 1
            else:
                time.sleep(0)
        sent.append(number)

    stop: list[int] = []
    sent: list[int] = []
    if pygas.MYTHREAD == 0:
        thread = in_thread(settle)
    pygas.barrier()
    if pygas.MYTHREAD != 0:
        for i in range(rounds):
            ahead = pygas.async_(p)
            future = ahead.get() if i % 2 == 0 else ahead.wait_for_it()
            if i % 3 == 0:
                time.sleep(0.0001 * (i % 5))
            if future.cancel():
                assert future.cancelled()
                continue
            try:
                got.append(future.result())
            except CancelledError:  # after all, when it turned out to wait
                assert i % 2 == 0
    pygas.barrier()
    everything = [*got]
    for rank in range(1, pygas.THREADS):
        part = pygas.broadcast(got, root=rank)
        if pygas.MYTHREAD == 0:
            everything += part
    if pygas.MYTHREAD == 0:
        stop.append(1)
        thread.join()
        print(f"{len(everything)} of {3 * rounds} settled")
        assert sorted(everything) == list(range(sent[0]))
    pygas.barrier()


# ---- ends ----


@pytest.mark.ranks(2)
def test_callers_that_have_gone() -> None:
    p, _server = share_server()
    with unraisable() as caught:
        if pygas.MYTHREAD == 1:
            for _ in range(100):
                pygas.async_(p).get()  # dropped: nobody will know
                pygas.async_(p).sleep(0.001, "x")
            gc.collect()
            assert p.number_waiting() == 100
            for _ in range(100):
                p.put("for nobody")
            pygas.async_(p).fail()
            until(lambda: len(caught) == 1)
        pygas.barrier()
    pygas.barrier()


def test_the_job_ends_before_a_coroutine_has_begun(tmp_path: Any) -> None:
    """Its first step is queued, and is thrown away."""
    program = tmp_path / "owes.py"
    program.write_text(
        """
import pygas
from pygas import _deferred

async def sleep():
    import asyncio
    await asyncio.sleep(1000)

class Awaitable:
    def __await__(self):
        yield from sleep().__await__()

pygas.init()
pygas.no_requests().__enter__()  # nothing runs any more
kept = [_deferred.adopt(sleep()), _deferred.adopt(Awaitable())]
"""
    )
    result = run_ranks(1, program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_job_ends_with_replies_owed(tmp_path: Any) -> None:
    program = tmp_path / "owes.py"
    program.write_text(
        """
import threading, time
import pygas

class Server:
    def __init__(self): self.futures = []
    def get(self):
        self.futures.append(pygas.Future())
        return self.futures[-1]
    async def sleep(self):
        import asyncio
        await asyncio.sleep(1000)

def wait():
    try:
        p.get()
    except RuntimeError as error:
        print(f"rank {pygas.MYTHREAD}: {error}", flush=True)

p = pygas.share(Server())
futures = [pygas.async_(p).get() for _ in range(100)]
futures += [pygas.async_(p).sleep() for _ in range(100)]
if pygas.MYTHREAD == 1:
    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.2)
pygas.barrier()
"""
    )
    result = run_ranks(2, program)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout in (
        "",
        "rank 1: the job has ended on this rank: nothing shared can be used any more\n",
    )
