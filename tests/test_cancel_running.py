"""Cancelling requests that run: held between their start and what they return.

While a method is held its rank runs no other request, so one that is queued behind it can be
cancelled; and as messages stay in order, what was asked before that has arrived then.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pathlib
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest
from conftest import run_ranks
from futurekit import LIMIT, gate_file, in_thread, until

import pygas


def mark(name: str, what: str) -> pathlib.Path:
    return gate_file().with_suffix(f".{name}.{what}")


class Holder:
    """Methods that begin, wait until they are let go on, and only then leave something."""

    def __init__(self) -> None:
        self.left: dict[str, Any] = {}
        self.asleep = 0

    def plain(self, name: str, how: str, there: Any = None) -> Any:
        self.hold(name)
        return self.leave(name, how, there)

    @pygas.deferred
    def promised(self, name: str, how: str, there: Any = None) -> Any:
        """Do the same, and say that it replies later."""
        self.hold(name)
        return self.leave(name, how, there)

    def hold(self, name: str) -> None:
        mark(name, "held").touch()
        end = time.monotonic() + LIMIT
        while not mark(name, "go").exists():
            assert time.monotonic() < end, "nobody lets it go on"
            time.sleep(0.001)

    def leave(self, name: str, how: str, there: Any) -> Any:
        if how == "value":
            return how
        if how == "error":
            raise LookupError(how)
        if how == "coroutine":
            return self.sleep(name)
        if how == "chain":
            return pygas.async_(there).get(name)
        if how == "pool":
            self.left[name] = pool = concurrent.futures.Future[Any]()
            return pool
        future = self.get(name)
        if how == "done":
            future.set_result(how)
        elif how == "cancelled":
            future.cancel()
        elif how == "begun":
            future.set_running_or_notify_cancel()
        return future

    def get(self, name: str) -> pygas.Future[Any]:
        self.left[name] = future = pygas.Future[Any]()
        return future

    async def sleep(self, name: str) -> None:
        self.asleep += 1
        try:
            await asyncio.sleep(LIMIT)
        finally:
            self.asleep -= 1

    def is_cancelled(self, name: str) -> bool:
        return name in self.left and self.left[name].cancelled()

    def is_waiting(self, name: str) -> bool:
        return name in self.left and not self.left[name].done()

    def settle(self, name: str, value: object) -> None:
        self.left[name].set_result(value)

    def number(self) -> int:
        return len(self.left)


def start(p: Any, kind: str, name: str, how: str, there: Any = None) -> pygas.Future[Any]:
    """Return the Future of a method that is being held."""
    ahead = pygas.async_(p)
    future: pygas.Future[Any] = (
        ahead.plain(name, how, there) if kind == "plain" else ahead.promised(name, how, there)
    )
    until(mark(name, "held").exists)
    return future


def ask(p: Any, future: pygas.Future[Any]) -> None:
    """Ask to cancel `future`, and see to it that its owner has heard of that."""
    assert not future.cancel(wait=False)
    assert pygas.async_(p).number().cancel()
    assert not future.done()


def expect_cancelled(future: pygas.Future[Any]) -> None:
    with pytest.raises(CancelledError):
        future.result(LIMIT)
    assert future.cancelled()
    assert future.cancel()


LEAVES_A_FUTURE = ("future", "pool", "coroutine", "chain")


@pytest.mark.ranks(2)
def test_what_then_waits_is_cancelled() -> None:
    """Whatever it is that it left."""
    p, there = pygas.share(Holder()), pygas.Proxy(Holder())
    if pygas.MYTHREAD == 1:
        for kind in ("plain", "promised"):
            for how in LEAVES_A_FUTURE:
                name = f"{kind}-{how}"
                future = start(p, kind, name, how, there)
                ask(p, future)
                mark(name, "go").touch()
                expect_cancelled(future)
                if how in ("future", "pool"):
                    until(lambda name=name: p.is_cancelled(name))
                else:  # it may not even have begun
                    until(lambda: p.asleep == 0)
                    assert not there.is_waiting(name)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_replies_at_once_is_not() -> None:
    p = pygas.share(Holder())
    if pygas.MYTHREAD == 1:
        for kind in ("plain", "promised"):
            for how in ("value", "done", "error", "cancelled", "begun"):
                name = f"{kind}-{how}"
                future = start(p, kind, name, how)
                ask(p, future)
                mark(name, "go").touch()
                if how == "error":
                    assert isinstance(future.exception(LIMIT), LookupError)
                elif how == "cancelled":
                    expect_cancelled(future)
                elif how == "begun":
                    p.settle(name, "settled")
                    assert future.result(LIMIT) == "settled"
                else:
                    assert future.result(LIMIT) == how
                if how != "cancelled":
                    assert not future.cancel()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_the_answer_while_it_runs() -> None:
    """At once for a plain method; when it is known for one that promised to reply later."""
    p = pygas.share(Holder())
    if pygas.MYTHREAD == 1:
        future = start(p, "plain", "plain", "future")
        assert not future.cancel()
        assert not future.cancel()
        assert not future.done()
        mark("plain", "go").touch()
        expect_cancelled(future)
        verdicts: list[bool] = []
        for how, expected in (
            ("future", True),
            ("coroutine", True),
            ("cancelled", True),
            ("value", False),
            ("error", False),
            ("begun", False),
        ):
            future = start(p, "promised", how, how)
            ask(p, future)
            threads = [in_thread(lambda f=future: verdicts.append(f.cancel())) for _ in range(3)]
            mark(how, "go").touch()
            for thread in threads:
                thread.join()
            assert verdicts == [expected] * 3, how
            assert future.cancelled() == expected
            verdicts.clear()
            if how == "begun":
                p.settle(how, 1)
            if how != "error":
                assert expected or future.result(LIMIT) in ("value", 1)
            else:
                assert future.exception() is not None
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_dropped_one_is_cancelled_too() -> None:
    p = pygas.share(Holder())
    if pygas.MYTHREAD == 1:
        for kind in ("plain", "promised"):
            future = start(p, kind, kind, "future")
            ask(p, future)
            del future
            mark(kind, "go").touch()
            until(lambda kind=kind: p.is_cancelled(kind))
    pygas.barrier()


@pytest.mark.ranks(2)
def test_an_await_that_leaves_cancels() -> None:
    p = pygas.share(Holder())

    async def main() -> None:
        async def wait() -> None:
            await future

        for kind in ("plain", "promised"):
            future = start(p, kind, kind, "future")
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            mark(kind, "go").touch()
            until(lambda kind=kind: p.is_cancelled(kind))

    if pygas.MYTHREAD == 1:
        asyncio.run(main())
    pygas.barrier()


@pytest.mark.ranks(2)
def test_until_it_begins_it_can_be_cancelled() -> None:
    """Also while its arguments are on their way; and one that nobody has cancelled runs."""
    p = pygas.share(Holder())
    if pygas.MYTHREAD == 1:
        future = start(p, "plain", "first", "value")
        queued = [pygas.async_(p).get(bytes(i << 16)) for i in range(20)]
        assert all(f.cancel() for f in queued[::2])
        mark("first", "go").touch()
        assert future.result() == "value"
        until(lambda: p.number() == 10)
        assert all(f.cancelled() for f in queued[::2])
        assert all(f.cancel() for f in queued[1::2])
    pygas.barrier()


@pytest.mark.ranks(4)
def test_a_cancelled_one_gets_nothing() -> None:
    """Cancel at every moment: what was given arrives, once, and nobody waits for ever."""
    p = pygas.share(pygas.Queue())
    rounds = 400
    got: list[int] = []
    pygas.barrier()
    if pygas.MYTHREAD != 0:
        for i in range(rounds):
            future = pygas.async_(p).get()
            for _ in range(i % 40 * 20):
                pass
            if not future.cancel():
                got.append(future.result(LIMIT))
            else:
                assert future.cancelled()
            pygas.async_(p).put(i)
    pygas.barrier()
    total = 0
    for rank in range(pygas.THREADS):
        total += len(pygas.broadcast(got, root=rank))
    assert total + p.qsize() == 3 * rounds
    pygas.barrier()


PROGRAM = """
import os, signal, sys, threading, time
import pygas

def mark(what):
    return os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), what)

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.001)

class Server:
    def plain(self):
        open(mark("held"), "w").close()
        until(lambda: os.path.exists(mark("go")) or pygas.failed_ranks())
        self.future = pygas.Future()
        return self.future

    @pygas.deferred
    def promised(self):
        return self.plain()

server = Server()
p = pygas.share(server)
if pygas.MYTHREAD == 1:
    future = pygas.async_(p).KIND()
    until(lambda: os.path.exists(mark("held")))
    future.cancel(wait=False)
    assert pygas.async_(p).nothing().cancel()
"""


@pytest.mark.parametrize("kind", ["plain", "promised"])
def test_the_caller_dies(tmp_path: pathlib.Path, kind: str) -> None:
    program = tmp_path / "prog.py"
    program.write_text(
        PROGRAM.replace("KIND", kind)
        + """
    os.kill(os.getpid(), signal.SIGKILL)
else:
    until(lambda: hasattr(server, "future") and server.future.cancelled())
    print("well", flush=True)
"""
    )
    result = run_ranks(2, "--on-failure=continue", program)
    assert result.stdout.split() == ["well"], result
    assert result.returncode == 0


@pytest.mark.parametrize("kind", ["plain", "promised"])
def test_the_job_ends(tmp_path: pathlib.Path, kind: str) -> None:
    program = tmp_path / "prog.py"
    program.write_text(PROGRAM.replace("KIND", kind) + '    open(mark("go"), "w").close()\n')
    result = run_ranks(2, program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert os.path.exists(tmp_path / "held")
