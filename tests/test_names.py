"""Names of attributes and methods on the wire: spelled once, by number from then on."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from conftest import run_command

import pygas


class Thing:
    """Has every attribute and method that it is asked for."""

    def __init__(self) -> None:
        self.kept = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: (name, args, kwargs)


def next_rank() -> int:
    return (pygas.MYTHREAD + 1) % pygas.THREADS


def call(thing: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call thing.name() by an instruction of its own, so that the name is in the head."""
    scope: dict[str, Any] = {"thing": thing, "args": args, "kwargs": kwargs}
    arguments = ", ".join(
        [*(f"args[{i}]" for i in range(len(args))), *(f"{k}={v!r}" for k, v in kwargs.items())]
    )
    exec(f"result = thing.{name}({arguments})", scope)
    return scope["result"]


@pytest.mark.ranks(1, 2, 4)
def test_spellings() -> None:
    thing = pygas.at(next_rank()).new(Thing)
    names = ["a", "name", "n" * 30, "n" * 31, "n" * 200, "überall", "名", "_x", "kept2"]
    for _ in range(3):
        for name in names:
            assert call(thing, name) == (name, (), {})
            assert call(thing, name, 1, "two") == (name, (1, "two"), {})
            assert call(thing, name, 3, key=4) == (name, (3,), {"key": 4})
    for name in [*names, "made" + "-" + "up", "with space", sys.intern("interned name"), ""]:
        setattr(thing, name, [name])
        assert getattr(thing, name) == [name]
        delattr(thing, name)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_more_names_than_numbers() -> None:
    thing = pygas.at(next_rank()).new(Thing)
    for i in range(1500):
        assert call(thing, f"method_{i}", i) == (f"method_{i}", (i,), {})
    assert call(thing, "method_0") == ("method_0", (), {})
    assert call(thing, "method_1499") == ("method_1499", (), {})
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_threads_use_new_names_at_once() -> None:
    thing = pygas.at(next_rank()).new(Thing)
    wrong: list[Any] = []
    start = threading.Barrier(8)

    def work(which: int) -> None:
        start.wait()
        for i in range(60):
            name = f"shared_{(i + which) % 60}"
            result = call(thing, name, which)
            if result != (name, (which,), {}):
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    pygas.barrier()


@pytest.mark.ranks(2)
def test_names_after_cancelled_requests() -> None:
    """A request that spells a name and is cancelled still tells the name."""
    owner = next_rank()
    thing = pygas.at(owner).new(Thing)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        busy = pygas.at(1).submit(__import__("time").sleep, 0.3)
        first = pygas.async_(thing).spelled_here(1)
        first.cancel()
        assert thing.spelled_here(2) == ("spelled_here", (2,), {})
        busy.result()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_arguments_that_cannot_be_copied() -> None:
    thing = pygas.at(next_rank()).new(Thing)
    lock = threading.Lock()
    for _ in range(2):
        name, (proxy, one), kwargs = thing.with_a_lock(lock, 1)
        assert (name, one, kwargs) == ("with_a_lock", 1, {})
        assert pygas.owner(proxy) == pygas.MYTHREAD
        assert pygas.local(proxy) is lock
        thing.lock = lock
        assert pygas.local(thing.lock) is lock
    pygas.barrier()


@pytest.mark.ranks(2)
def test_aliases_among_arguments() -> None:
    same = pygas.at(next_rank()).new(Same)
    shared = [1]
    assert same.same(shared, shared)
    assert not same.same([1], [1])
    same.pair = [shared, shared]
    first, second = same.pair
    assert first is second
    pygas.barrier()


class Same:
    pair: list[list[int]]

    def same(self, one: object, two: object) -> bool:
        return one is two


@pytest.mark.parametrize("how", ["import pygas._core", "from pygas import _deferred"])
def test_whoever_imports_the_extension_has_ucx_loaded(how: str) -> None:
    """Not only when it is the program's first use of pygas: an unpickled Proxy imports it."""
    program = f"{how}; from pygas import _ucx; assert _ucx._prepared"
    assert run_command([sys.executable, "-c", program]).returncode == 0
