"""An exported object lives exactly as long as somebody, anywhere, refers to it."""

from __future__ import annotations

import asyncio
import collections
import copy
import gc
import os
import pathlib
import pickle
import sys
import sysconfig
import threading
import time
import weakref
from typing import Any

import pytest
from conftest import run_ranks
from memorykit import (
    ALONE,
    Thing,
    alive,
    counts,
    forget,
    leave,
    left,
    new,
    nothing_is_left,
    until,
)
from twin import on_rank_0

import pygas
from pygas._job import core


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_an_object_lives_as_long_as_its_proxies() -> None:
    p = new()
    assert (pygas.at(1).call(alive), core().counts()) == (1, (0, 1))
    q, r = p.me(), pygas.by_ref(p)
    assert q is p
    del p, q
    time.sleep(0.01)
    assert pygas.at(1).call(alive) == 1
    assert r.value is not None
    del r
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_a_local_reference_keeps_it_too() -> None:
    thing = Thing()
    p = pygas.Proxy(thing)
    pygas.at(1).call(leave, p)
    assert core().counts() == (1, 0)
    del thing, p
    assert alive() == 1
    pygas.at(1).call(forget)
    assert until(lambda: core().counts() == (0, 0))
    assert alive() == 0
    thing = Thing()
    p = pygas.Proxy(thing)
    assert pygas.at(1).call(Thing.count, p) > ALONE
    del p
    assert until(lambda: core().counts() == (0, 0))
    assert (sys.getrefcount(thing), alive()) == (ALONE, 1)


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_indexes_are_used_again_and_stale_ids_are_refused() -> None:
    import re

    ids = set()
    stale = []
    for _ in range(60):
        p = new()
        data = pickle.dumps(p)
        del p
        assert until(lambda: pygas.at(1).call(counts) == (0, 0))
        with pytest.raises(ReferenceError, match=r"no shared object (\d+\.\d+)") as caught:
            pickle.loads(data)
        ids.add(re.search(r"(\d+)\.\d+", str(caught.value))[0])  # type: ignore[index]
        stale.append(data)
    assert len(ids) == 60
    assert len({name.partition(".")[0] for name in ids}) < 10
    again = new()
    for data in stale:
        with pytest.raises(ReferenceError):
            pickle.loads(data)
    del again
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_a_pickle_refers_without_keeping_alive() -> None:
    p = new()
    data = pickle.dumps([p, pygas.by_ref(p)])
    one, two = pickle.loads(data), pickle.loads(data)
    del p
    assert one[0].value is None
    assert pygas.at(1).call(alive) == 1
    del one, two
    assert nothing_is_left()
    # On a rank that has no other reference the owner is asked.
    thing = Thing()
    mine = pygas.Proxy(thing)
    data = pickle.dumps(mine)
    assert pygas.at(1).call(pickle_loads_value, data) is None
    assert pickle.loads(data) is not mine
    assert pygas.local(pickle.loads(data)) is thing
    del mine
    assert until(lambda: core().counts() == (0, 0))
    with pytest.raises(ReferenceError, match="no shared object"):
        pygas.at(1).call(pickle_loads_value, data)
    with pytest.raises(ReferenceError, match="no shared object"):
        pickle.loads(data)
    del thing
    assert nothing_is_left()


def pickle_loads_value(data: bytes) -> Any:
    return pickle.loads(data).value


@pytest.mark.ranks(3, timeout=180)
@on_rank_0
def test_third_parties() -> None:
    p = new(1)
    pygas.at(2).call(leave, [p, {"p": p}])
    del p
    time.sleep(0.01)
    assert pygas.at(1).call(alive) == 1
    back = pygas.at(2).call(taken)
    assert pygas.owner(back[0]) == 1
    pygas.at(1).call(leave, back)
    del back
    pygas.at(2).call(forget)
    assert until(lambda: pygas.at(1).call(counts) == (0, 0))
    assert pygas.at(1).call(alive) == 1
    pygas.at(1).call(forget)
    assert nothing_is_left()


def taken() -> Any:
    return left[0]


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("not today")


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_messages_that_are_never_sent_or_fail() -> None:
    p, mine = new(), pygas.Proxy(Thing())
    for _ in range(50):
        with pytest.raises(ValueError, match="not today"):
            pygas.at(1).call(leave, [p, mine, Refuses()])
    core().encode([p, mine])
    with pytest.raises(ValueError, match="no rank 7"):
        core().post((7,), 99 << 56, core().encode([p, mine]))
    with pytest.raises(TypeError):
        p.me(p, mine)
    assert p.value is None
    del p, mine
    assert nothing_is_left()


class Bomb:
    """Cannot be decoded."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return explode, self.parts


def explode(*_: Any) -> None:
    raise ValueError("boom")


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_messages_that_cannot_be_decoded() -> None:
    p, mine = new(), pygas.Proxy(Thing())
    for _ in range(20):
        with pytest.raises(ValueError, match="boom"):
            pygas.at(1).call(leave, Bomb([p, mine]))
        with pytest.raises(ValueError, match="boom"):
            pygas.at(1).call(Bomb, p, mine)
    del p, mine
    assert nothing_is_left()


def slow(value: Any, seconds: float = 0.05) -> Any:
    time.sleep(seconds)
    return value


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_abandoned_and_cancelled_futures() -> None:
    p = new()
    for _ in range(3):
        pygas.at(1).submit(slow, [p, pygas.Proxy(Thing())])
        pygas.async_(p).make()
    futures = [pygas.at(1).submit(slow, pygas.Proxy(Thing())) for _ in range(8)]
    cancelled = [future.cancel() for future in futures[1:]]
    assert any(cancelled)
    del futures, p
    assert nothing_is_left()
    future = pygas.async_(new()).me()  # nothing but the Future knows the object
    assert pygas.owner(future.result()) == 1
    future = pygas.async_(new()).make()
    del future
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_requests_outlive_the_proxy_they_were_made_with() -> None:
    for _ in range(100):
        future = pygas.async_(new(1, 7)).value
        assert future.result() == 7
    busy = pygas.at(1).submit(slow, None, 0.1)
    futures = [pygas.async_(new(1, i)).value for i in range(20)]
    assert [future.result() for future in futures] == list(range(20))
    thing = pygas.async_(pygas.Proxy(Thing(5)))
    future = thing.value
    del thing
    assert future.result() == 5
    del future, futures
    busy.result()
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_exceptions_carry_proxies() -> None:
    p, mine = new(), pygas.Proxy(Thing())
    with pytest.raises(KeyError) as caught:
        p.fail([mine, pygas.Proxy(Thing())])
    assert pygas.local(caught.value.args[0][0]) is pygas.local(mine)
    assert caught.value.args[0][1].value is None
    with pytest.raises(KeyError) as caught:
        p.fail(pygas.at(1).call(Thing.make, p))
    (made,) = caught.value.args
    assert pygas.owner(made) == 1
    assert made.count() > 1
    with pytest.raises(ValueError, match="Thing") as raised:
        pygas.at(1).call(fail_with_something_new)
    (fresh,) = raised.value.args
    assert fresh.value == "fresh"
    del p, mine, caught, made, raised, fresh
    gc.collect()
    assert nothing_is_left()


def fail_with_something_new() -> None:
    raise ValueError(pygas.Proxy(Thing("fresh")))


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_results_that_are_references() -> None:
    p = new()
    generator = p.items()
    assert next(generator) == 0
    method = p.me
    del p
    assert method().value is None
    assert next(generator) == 1
    assert core().counts()[1] == 2
    del generator, method
    assert nothing_is_left()
    everything = pygas.by_ref(new(1, {"a": [1, 2]}))
    inner = everything.value["a"]
    del everything
    assert pygas.resolve(inner) == [1, 2]
    del inner
    assert nothing_is_left()
    for item in new(1, 3).items():
        assert item in (0, 1, 2)
    del item
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_proxies_in_cycles_and_resurrected_ones() -> None:
    for _ in range(20):
        cell: list[Any] = [new()]
        cell.append(cell)
    del cell
    gc.collect()
    assert nothing_is_left()

    class Lazarus:
        def __init__(self, proxy: Any) -> None:
            self.proxy = proxy
            self.me = self

        def __del__(self) -> None:
            left.append(self.proxy)

    Lazarus(new(1, 3))
    gc.collect()
    assert left.pop().value == 3
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_proxies_dropped_by_threads() -> None:
    local = threading.local()

    def work() -> None:
        local.thing = new()
        keep = [new() for _ in range(20)]
        local.cycle = [local.thing, keep]
        local.cycle.append(local.cycle)
        copies = [copy.copy(keep), [pygas.by_ref(p) for p in keep]]
        pygas.at(1).call(leave, copies)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert until(lambda: pygas.at(1).call(alive) == 8 * 20)
    pygas.at(1).call(forget)
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
def test_broadcasts_and_shares() -> None:
    thing = Thing() if pygas.MYTHREAD == 0 else None
    kept = [pygas.share(thing) for _ in range(20)]
    assert len({p.value for p in kept}) == 1
    pygas.barrier()
    assert core().counts() == ((1, 0) if pygas.MYTHREAD == 0 else (0, 1))
    pygas.barrier()  # what has arrived and is not read yet counts, too
    boxes = pygas.broadcast([kept[0], pygas.Proxy(Thing(1))] if pygas.MYTHREAD == 1 else None, 1)
    assert boxes[1].value == 1
    pygas.barrier()
    del kept, thing, boxes
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        assert nothing_is_left()
    pygas.barrier()


@pytest.mark.ranks(4, timeout=180)
def test_broadcasts_down_a_tree() -> None:
    for root in range(4):
        thing = pygas.Proxy(Thing(root)) if root == pygas.MYTHREAD else None
        other = pygas.share(Thing(root) if pygas.MYTHREAD == 1 else None, 1)
        for _ in range(50):
            got = pygas.broadcast([other, thing], root)
            assert (got[0].value, got[1].value) == (root, root)
        pygas.barrier()
        del got, other, thing
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        assert nothing_is_left()
    pygas.barrier()


def pass_on(p: Any, left_to_go: int) -> int:
    if left_to_go == 0:
        return p.value  # type: ignore[no-any-return]
    return pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).call(pass_on, p, left_to_go - 1)  # type: ignore[no-any-return]


@pytest.mark.ranks(3, timeout=180)
@on_rank_0
def test_weight_does_not_run_out() -> None:
    p = new(1, 11)
    for _ in range(5000):  # each gives weight away that goes home, not back here
        pygas.at(2).call(leave, p)
        pygas.at(2).call(forget)
    assert p.value == 11
    futures = [pygas.at(2).submit(leave, [p] * 3) for _ in range(3000)]
    for future in futures:
        future.result()
    for length in (1, 10, 40):
        assert pass_on(p, length) == 11
    pygas.at(2).call(forget)
    del p, futures
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_finalizers_run_on_the_owner_and_may_use_pygas() -> None:
    notes: Any = pygas.Proxy([])

    p = pygas.at(1).new(Farewell, notes)
    del p
    assert until(lambda: len(pygas.local(notes)) == 1)
    rank, thread = pygas.local(notes)[0]
    assert (rank, thread) == (1, True)
    q = pygas.at(1).call(watched, notes)
    del q
    assert until(lambda: len(pygas.local(notes)) == 3)
    assert sorted(pygas.local(notes)[1:]) == ["finalize", "weak"]
    pygas.at(1).call(forget)
    notes = None
    assert nothing_is_left()


class Farewell:
    def __init__(self, notes: Any) -> None:
        self.notes = notes

    def __del__(self) -> None:
        self.notes.append((pygas.MYTHREAD, threading.current_thread().ident is not None))


def watched(notes: Any) -> Any:
    thing = Thing()
    leave(weakref.ref(thing, lambda _: notes.append("weak")))
    leave(weakref.finalize(thing, notes.append, "finalize"))
    return pygas.Proxy(thing)


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_deep_structures_across_ranks() -> None:
    chain: Any = None
    for i in range(300):
        chain = new(i % 2, chain)
    del chain
    assert nothing_is_left()
    wide = new(1, [new(0) for _ in range(500)])
    assert core().counts()[0] >= 500
    del wide
    assert nothing_is_left()


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_a_forked_child_releases_nothing() -> None:
    p = new()
    child = os.fork()
    if child == 0:
        del p
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    time.sleep(0.05)
    assert p.value is None
    del p
    assert nothing_is_left()


@pytest.mark.ranks(1, timeout=180)
def test_a_job_of_one() -> None:
    p = pygas.Proxy(Thing(4))
    assert pygas.local(pygas.at(0).call(Thing.me, p)) is pygas.local(p)
    assert pygas.async_(p).value.result() == 4
    assert pygas.resolve(pygas.by_ref(p).value) == 4
    pygas.at(0).call(leave, [p, p])
    del p
    assert alive() == 1
    forget()
    assert until(lambda: core().counts() == (0, 0))
    assert alive() == 0


@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_asyncio_and_iterators() -> None:
    async def main() -> list[Any]:
        things = [new(1, i) for i in range(10)]
        return await asyncio.gather(*(ask(thing) for thing in things))

    async def ask(thing: Any) -> Any:
        return await pygas.async_(thing).value

    assert asyncio.run(main()) == list(range(10))
    queue = collections.deque(new(1, i) for i in range(100))
    while queue:
        assert isinstance(queue.popleft().value, int)
    assert nothing_is_left()


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and sys.version_info < (3, 14),
    reason="free-threaded 3.13 keeps all classes for ever once there has been a second thread",
)
@pytest.mark.ranks(2, timeout=180)
@on_rank_0
def test_types_of_proxies_come_and_go() -> None:
    def kinds() -> int:
        gc.collect()
        return len(pygas.Proxy.__subclasses__())

    before = kinds()
    for i in range(6000):
        cls = type(f"Kind{i}", (), {})
        p = pygas.Proxy(cls())
        assert isinstance(p, cls)
    kept = [pygas.Proxy(type(f"Kept{i}", (), {"__len__": lambda _: 7})()) for i in range(2000)]
    assert kinds() < before + 2000 + 3000
    assert {len(p) for p in kept} == {7}
    assert {type(p).__name__ for p in kept[:2]} == {"Kept0", "Kept1"}
    del kept
    for i in range(6000):
        pygas.Proxy(type(f"Kind{i}", (), {})())
    assert kinds() < before + 3000


HERE = pathlib.Path(__file__).parent


def test_many_proxies_in_constant_memory() -> None:
    done = run_ranks(4, HERE / "memory_soak.py", "400000", timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("left: (0, 0)") == 4


@pytest.mark.parametrize("seed", range(1, 4))
def test_nothing_is_left_after_anything(seed: int) -> None:
    done = run_ranks(4, HERE / "memory_stress.py", "1500", str(seed), timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("left (0, 0), 0 alive") == 4
