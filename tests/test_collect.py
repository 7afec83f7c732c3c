"""Cycles across ranks: what collect() frees, and what it must not touch."""

from __future__ import annotations

import functools
import gc
import os
import pathlib
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import run_ranks
from memorykit import Thing, alive, counts, everywhere, forget, leave, left, new, until
from twin import on_rank_0

import pygas
from pygas._job import core

pytestmark = pytest.mark.usefixtures("interpreter_lock")


class Node:
    """An object with links; its finalizer may be watched."""

    alive = 0

    def __init__(self, name: Any = None) -> None:
        Node.alive += 1
        self.name = name
        self.links: list[Any] = []

    def link(self, *others: Any) -> None:
        self.links.extend(others)

    def __del__(self) -> None:
        Node.alive -= 1


class Careful(Node):
    """Uses its neighbours in its finalizer."""

    def __del__(self) -> None:
        super().__del__()
        log.append([link.name for link in self.links])


class Phoenix(Node):
    """Comes back to life, once."""

    def __del__(self) -> None:
        super().__del__()
        leave(self)


log: list[Any] = []


def nodes() -> int:
    gc.collect()
    return Node.alive


def total() -> int:
    return sum(everywhere(nodes))


def ring(size: int, wrap: Callable[[Any], Any] = lambda p: p, cls: type = Node) -> list[Any]:
    """Make a cycle of objects through `size` ranks; return Proxies to them."""
    made = [pygas.at(rank % pygas.THREADS).new(cls, rank) for rank in range(size)]
    for here, there in zip(made, made[1:] + made[:1], strict=True):
        here.link(wrap(there))
    return made


def everybody(build: Callable[[], Any]) -> Any:
    """Run `build` on rank 0, while the others wait."""
    result = build() if pygas.MYTHREAD == 0 else None
    pygas.barrier()
    return result


def settled(expected: int) -> bool:
    """Tell, on every rank, whether that many nodes are left on all."""
    good = until(lambda: total() == expected) if pygas.MYTHREAD == 0 else None
    found: bool = pygas.broadcast(good)
    return found


@pytest.mark.ranks(2, 3, 4, timeout=180)
def test_rings() -> None:
    for size in range(2, pygas.THREADS + 1):
        everybody(lambda size=size: ring(size) and None)
        assert settled(size)
        assert pygas.collect() == size
        assert settled(0)
    assert pygas.collect() == 0
    assert until(lambda: counts() == (0, 0))
    pygas.barrier()


@pytest.mark.ranks(2, 4, timeout=180)
def test_containers_in_between() -> None:
    wraps = [
        lambda p: [p],
        lambda p: {"deep": [{"deeper": (p, p)}]},
        lambda p: (pygas.by_ref(p), p),
        lambda p: pygas.async_(p),
        lambda p: functools.partial(print, p),
        lambda p: lambda: p,
    ]
    for wrap in wraps:
        everybody(lambda wrap=wrap: ring(pygas.THREADS, wrap) and None)
        assert pygas.collect() == pygas.THREADS
        assert settled(0)


@pytest.mark.ranks(2, 4, timeout=180)
def test_a_cycle_that_begins_with_a_local_object() -> None:
    mine: Any = Node("mine")
    gone = weakref.ref(mine)
    there = pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).new(Node)
    there.link(pygas.Proxy(mine))
    mine.link(there)
    pygas.barrier()
    assert pygas.collect() == 0
    assert gone() is mine
    del mine, there
    pygas.barrier()
    assert pygas.collect() == 2 * pygas.THREADS
    assert gone() is None
    assert settled(0)


@pytest.mark.ranks(2, 3, 4, timeout=180)
def test_what_is_live_stays() -> None:
    # A ring that is held at one place, a chain that hangs on it, and a ring that is not.
    kept = everybody(lambda: ring(pygas.THREADS)[0])
    if pygas.MYTHREAD == 0:
        kept.link(ring(pygas.THREADS)[1])
    everybody(lambda: ring(pygas.THREADS) and None)
    assert pygas.collect() == pygas.THREADS
    assert settled(2 * pygas.THREADS)
    for _ in range(3):
        assert pygas.collect() == 0
    if pygas.MYTHREAD == 0:
        names = [kept.name, kept.links[0].name, kept.links[1].links[0].links[0].name]
        assert names[:2] == [0, 1]
    kept = None
    pygas.barrier()
    assert pygas.collect() == 2 * pygas.THREADS
    assert settled(0)


@pytest.mark.ranks(3, timeout=180)
def test_references_that_only_a_message_or_a_frame_has() -> None:
    def build() -> Any:
        made = ring(3)
        future = pygas.at(2).submit(give_back, made[1])
        until(future.done)
        return future

    future = everybody(build)  # its result has arrived and has not been decoded
    assert pygas.collect() == 0
    assert settled(3)
    if pygas.MYTHREAD == 0:
        assert future.result().name == 1
    del future
    pygas.barrier()
    assert pygas.collect() == 3

    def in_a_generator() -> Any:
        held = ring(3)[2]
        yield 1
        yield held.name

    steps = in_a_generator() if pygas.MYTHREAD == 0 else iter(())
    everybody(lambda: next(steps))
    assert pygas.collect() == 0
    everybody(lambda: next(steps))
    assert settled(3)
    steps = iter(())
    assert pygas.collect() == 3
    assert settled(0)


def give_back(value: Any) -> Any:
    return value


@pytest.mark.ranks(2, timeout=180)
def test_held_by_a_frame_while_a_suspended_generator_borrows_it() -> None:
    """Since 3.14 a generator shows what is on its stack, but need not count it as a reference."""

    def suspended(node: Node) -> Any:
        both = (node, (yield))
        yield both

    def build() -> Any:
        node = pygas.local(ring(2)[0])
        steps = suspended(node)
        next(steps)
        node.link(steps)
        return node

    held = everybody(build)
    assert pygas.collect() == 0
    assert settled(2)
    if pygas.MYTHREAD == 0:
        assert held.links[0].name == 1
    del held
    pygas.barrier()
    assert pygas.collect() == 2
    assert settled(0)


@pytest.mark.ranks(2, timeout=180)
def test_held_by_memory_that_python_does_not_see() -> None:
    import numpy as np

    array = everybody(lambda: np.array([ring(2)[0]], dtype=object))
    assert pygas.collect() == 0
    assert settled(2)
    del array
    assert pygas.collect() == 2


@pytest.mark.ranks(2, timeout=180)
def test_finalizers_run_before_anything_goes() -> None:
    everybody(lambda: ring(4, cls=Careful) and None)
    assert pygas.collect() == 4
    assert settled(0)
    assert sorted(log) == [[[1], [3]], [[0], [2]]][pygas.MYTHREAD]


@pytest.mark.ranks(2, 3, timeout=180)
def test_resurrected_cycles_stay() -> None:
    def build() -> None:
        made = ring(pygas.THREADS)
        phoenix = new_phoenix()
        phoenix.link(made[0])
        made[0].link(phoenix)

    everybody(build)
    assert pygas.collect() == 0  # it came back, and all that it refers to
    assert nodes() == 0  # finalizers have run, of all
    assert core().counts()[0] == (2 if pygas.MYTHREAD == 1 else 1)
    if pygas.MYTHREAD == 1:
        (phoenix,) = left
        assert phoenix.links[0].links[0].name == 1
        del phoenix
    forget()
    pygas.barrier()
    assert pygas.collect() == pygas.THREADS + 1
    pygas.barrier()
    assert until(lambda: counts() == (0, 0))
    pygas.barrier()


def new_phoenix() -> Any:
    return pygas.at(1).new(Phoenix)


@pytest.mark.ranks(2, 4, timeout=180)
def test_random_graphs() -> None:
    """Compare with a reachability that is computed from the same graph."""
    rng = random.Random(7)
    for round_number in range(6):
        size = 40
        edges = [(rng.randrange(size), rng.randrange(size)) for _ in range(size + 8)]
        roots = {rng.randrange(size) for _ in range(round_number)}
        kept = everybody(lambda edges=edges, roots=roots: graph(40, edges, roots))
        reachable = set(roots)
        while more := {b for a, b in edges if a in reachable} - reachable:
            reachable |= more
        pygas.collect()
        assert settled(len(reachable)), (round_number, len(reachable))
        if pygas.MYTHREAD == 0:
            assert {p.name for p in kept} == roots
        del kept
        pygas.barrier()
        pygas.collect()
        assert settled(0)


def graph(size: int, edges: list[tuple[int, int]], roots: set[int]) -> list[Any]:
    made = [pygas.at(i % pygas.THREADS).new(Node, i) for i in range(size)]
    for one, other in edges:
        made[one].link([made[other]])
    return [made[root] for root in roots]


@pytest.mark.ranks(2, 4, timeout=180)
def test_with_other_threads_at_work() -> None:
    """What they use stays, whatever moment the collection finds."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                held = ring(pygas.THREADS)
                for _ in range(rng.randrange(3)):
                    held[0] = held[0].links[0]
                    time.sleep(rng.random() * 0.003)
                assert all(isinstance(p.name, int) for p in held)
                del held
                time.sleep(rng.random() * 0.02)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    pygas.barrier()
    for thread in threads:
        thread.start()
    freed = 0
    for _ in range(8):
        freed += pygas.collect()
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors, errors
    pygas.barrier()
    freed += pygas.collect()
    assert settled(0)
    assert freed > 0
    assert pygas.collect() == 0
    pygas.barrier()


@pytest.mark.ranks(1, timeout=180)
def test_in_a_job_of_one() -> None:
    node = Node()
    node.link(pygas.Proxy(node))
    del node
    assert pygas.collect() == 0
    assert nodes() == 0


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_stats_and_objects() -> None:
    before = pygas.stats()
    things = [Thing(i) for i in range(3)]
    box = new(1, things[:0])
    pygas.at(1).call(leave, [pygas.Proxy(thing) for thing in things])
    now = pygas.stats()
    assert (now.exported, now.imported) == (3, 1)
    assert now.requests_sent - before.requests_sent == 2
    assert now.waits > before.waits
    assert now.proxies >= 1
    assert (
        now.kinds["request"].messages_sent
        - before.kinds.get("request", pygas.Traffic()).messages_sent
        == 2
    )
    assert now.peers[1].bytes_sent > 100
    assert now.peers[1].messages_received >= 2
    shared = pygas.objects()
    assert {entry.object.value for entry in shared} == {0, 1, 2}  # type: ignore[attr-defined]
    assert all(entry.weight > 0 and entry.where is None for entry in shared)
    assert len({entry.id for entry in shared}) == 3
    ran = pygas.at(1).call(remote_stats)
    assert ran.requests_run >= 3
    assert ran.exported == 1
    data = bytes(200_000)
    before = pygas.stats()
    pygas.at(1).call(len, data)
    assert pygas.stats().peers[1].bytes_sent - before.peers[1].bytes_sent > 200_000
    pygas.at(1).call(forget)
    del box, shared
    assert until(lambda: pygas.stats().exported == 0)
    assert until(lambda: pygas.at(1).call(alive) == 0)
    assert pygas.stats().kinds["release"].messages_received >= 1
    assert core().counts() == (0, 0)


def remote_stats() -> Any:
    return pygas.stats()


LEAKS = """
import pygas
box = pygas.at(1).new(list)
mine = pygas.Proxy({"a": 1})
box.append(mine)
pygas.barrier()
"""


def test_leaks_are_reported_at_the_end(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "leaks.py"
    program.write_text(LEAKS)
    done = run_ranks(2, program, env={**os.environ, "PYGAS_DEBUG": "leaks"})
    assert done.returncode == 0, done.stderr
    assert f"rank 0: 1 x dict, shared first at {program}:5" in done.stderr
    assert "rank 1: 1 x list, shared first at a request of another rank" in done.stderr
    assert "rank 0: refers to 1 objects of rank 1" in done.stderr
    assert not run_ranks(2, program).stderr
