"""Several threads in each rank that share what PyGAS gives them, with exact results.

On ordinary interpreters it is a test of threads. On a free-threaded one whose lock is off
(PYTHON_GIL=0) these run at the same time, and so do the requests: `Account` has a lock of its own.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import sysconfig
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from conftest import locked
from futurekit import LIMIT, in_thread, until

import pygas

THREADS = 4
ROUNDS = 150


class Account:
    """Counts what is done to it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def add(self, who: str, amount: int = 1) -> int:
        with self.lock:
            self.counts[who] += amount
            return self.counts[who]

    def echo(self, value: Any) -> Any:
        return value

    def total(self) -> int:
        with self.lock:
            return sum(self.counts.values())


class Thing:
    """Pickled attribute by attribute."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.text = f"thing {number}"


class Holder:
    """Keeps something, and drops it in the thread that runs the request or in another one."""

    def __init__(self) -> None:
        self.things: list[Any] = []

    def put(self, thing: Any) -> None:
        self.things.append(thing)

    def drop(self, elsewhere: bool) -> None:
        if elsewhere:
            in_thread(self.things.clear).join()
        else:
            self.things.clear()


def on_threads(work: Callable[[int], None]) -> None:
    """Call work(0), work(1), ... at the same time, each on a thread; raise what one raised."""
    gate = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait(LIMIT)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [in_thread(lambda n=n: run(n)) for n in range(THREADS)]
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.ranks(1)
def test_the_lock_stays_off() -> None:
    """The extension does without it; only collect() does not."""
    pygas.init()
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert locked() == (os.environ.get("PYTHON_GIL") == "1")
    if locked():
        assert pygas.collect() == 0
    else:
        with pytest.raises(RuntimeError, match="PYTHON_GIL=1"):
            pygas.collect()


@pytest.mark.ranks(2, timeout=60)
def test_what_another_thread_drops_goes_too() -> None:
    """Without the lock only the thread that made an object frees it, and that waits here."""
    kept: Any = pygas.share(Holder(), 1)
    if pygas.MYTHREAD == 0:
        for i in range(20):
            gone: list[int] = []
            thing = Thing(i)
            weakref.finalize(thing, gone.append, i)
            kept.put(pygas.Proxy(thing))
            del thing
            kept.drop(i % 2 == 0)
            until(lambda gone=gone: gone)
    pygas.barrier()


@pytest.mark.ranks(2, timeout=120)
def test_calls() -> None:
    """Calls that wait, Futures, and exceptions, to both ranks."""
    accounts = [pygas.share(Account(), rank) for rank in range(pygas.THREADS)]

    def work(number: int) -> None:
        who = f"{pygas.MYTHREAD}.{number}"
        rng = random.Random(who)
        done = [0] * pygas.THREADS
        for i in range(ROUNDS):
            rank = rng.randrange(pygas.THREADS)
            account = accounts[rank]
            done[rank] += 1
            assert account.add(who) == done[rank]
            values = [i, f"text {i}", b"x" * rng.choice((1, 5000)), {"a": [i] * 7}, (1.5, None)]
            assert account.echo(values) == values
            thing = account.echo(Thing(i))
            assert (thing.number, thing.text) == (i, f"thing {i}")
            futures = [pygas.async_(account).add(who, 2) for _ in range(3)]
            done[rank] += 6
            assert [f.result() for f in futures][-1] == done[rank]
            with pytest.raises(ZeroDivisionError):
                pygas.at(rank).call(divmod, i, 0)

    on_threads(work)
    pygas.barrier()
    totals = [account.total() for account in accounts]
    assert sum(totals) == pygas.THREADS * THREADS * ROUNDS * 7
    pygas.barrier()


class Shelf:
    """Keeps Proxies, and objects of its own that it hands out as Proxies."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def put(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def get(self, key: str) -> Any:
        return self.kept.pop(key)

    def make(self, number: int) -> Any:
        return pygas.Proxy([number])


def held() -> tuple[int, int]:
    stats = pygas.stats()
    return stats.exported, stats.imported


@pytest.mark.ranks(2, timeout=120)
def test_proxies_come_and_go() -> None:
    """Proxies are made, passed, copied, pickled and dropped by all; nothing is left."""
    shelves = [pygas.share(Shelf(), rank) for rank in range(pygas.THREADS)]
    common = [pygas.by_ref(shelf) for shelf in shelves]  # used by all threads

    def work(number: int) -> None:
        rng = random.Random(pygas.MYTHREAD * 100 + number)
        for i in range(ROUNDS):
            shelf = shelves[rng.randrange(pygas.THREADS)]
            key = f"{pygas.MYTHREAD}.{number}.{i}"
            mine = pygas.Proxy({"number": i})
            shelf.put(key, mine)
            del mine
            back = shelf.get(key)
            assert back["number"] == i
            made = shelf.make(i)
            shelf.put(key, [made, made, pygas.by_ref(made)])
            del made
            lists = shelf.get(key)
            assert [p[0] for p in lists[:2]] == [i, i]
            kind = type(f"Kind{i % 7}", (), {"__len__": lambda _: 5})
            assert len(pygas.Proxy(kind())) == 5
            assert pygas.owner(common[i % 2]) == i % 2

    on_threads(work)
    pygas.barrier()  # until here the other rank comes and goes, too
    end = time.monotonic() + LIMIT
    while held() != (1, 1) and time.monotonic() < end:
        gc.collect()
        pygas.progress()
    assert held() == (1, 1)  # the shelves
    pygas.barrier()


@pytest.mark.ranks(2, timeout=120)
def test_futures_of_all_threads() -> None:
    """Futures that several threads wait for, with callbacks, cancelled and dropped."""
    account = pygas.share(Account())
    called = Account()

    def work(number: int) -> None:
        for i in range(ROUNDS // 3):
            answers = [pygas.async_(account).echo([i, k]) for k in range(4)]
            by_hand: Any = pygas.Future()
            seen: list[Any] = []

            def wait(answers: Any = answers, by_hand: Any = by_hand, seen: Any = seen) -> None:
                seen.append(([f.result(LIMIT) for f in answers], by_hand.result(LIMIT)))

            threads = [in_thread(wait) for _ in range(2)]
            for answer in answers:
                answer.add_done_callback(lambda _: called.add("callback"))
            chained = answers[0].then(lambda value: value[0] + 1)
            by_hand.set_result(i)
            wait()
            for thread in threads:
                thread.join()
            assert seen == [([[i, k] for k in range(4)], i)] * 3
            assert chained.result(LIMIT) == i + 1
            pygas.async_(account).echo(b"dropped")
            lost = pygas.async_(account).echo(i)
            assert lost.cancel() or lost.result(LIMIT) == i

    on_threads(work)
    end = time.monotonic() + LIMIT
    while called.total() < THREADS * (ROUNDS // 3) * 4 and time.monotonic() < end:
        pygas.progress()
    assert called.total() == THREADS * (ROUNDS // 3) * 4
    pygas.barrier()


@pytest.mark.ranks(2, timeout=120)
def test_locks_and_collectives() -> None:
    """A lock guards a value that is read and written apart; one thread does collectives."""
    lock = pygas.share(pygas.Lock())
    value = pygas.share([0])

    def work(number: int) -> None:
        if number == 0:
            for i in range(ROUNDS):
                assert pygas.allreduce(i) == i * pygas.THREADS
                assert pygas.broadcast({"i": i}, root=i % pygas.THREADS) == {"i": i}
                pygas.barrier()
            return
        for _ in range(ROUNDS // 3):
            with lock:
                value[0] = value[0] + 1

    on_threads(work)
    pygas.barrier()
    assert value[0] == pygas.THREADS * (THREADS - 1) * (ROUNDS // 3)
    pygas.barrier()


@pytest.mark.ranks(2, timeout=120)
def test_objects_that_change_while_they_are_sent() -> None:
    """What another thread changes meanwhile arrives in some state, whole.

    Not so a bytearray on CPython 3.13: it has no lock of its own there, for nobody who uses it.
    """
    accounts = [pygas.share(Account(), rank) for rank in range(pygas.THREADS)]
    account = accounts[1 - pygas.MYTHREAD]
    table: dict[Any, Any] = {i: [i] for i in range(50)}
    items: list[Any] = [[i] for i in range(50)]
    numbers = [float(i) for i in range(50)]
    data = bytearray(1000)
    over = threading.Event()
    resizes = locked() or sys.version_info >= (3, 14)

    def change() -> None:
        i = 50
        while not over.is_set():
            i += 1
            table[i] = [i]
            table.pop(i - 50, None)
            items.append([i])
            del items[0]
            numbers.append(float(i - 1))
            del numbers[0]
            if not resizes:
                continue
            try:
                if len(data) == 1000:
                    data.extend(b"0123456789")
                del data[:10]
            except BufferError:
                pass  # it is being read

    def send() -> None:
        for _ in range(ROUNDS):
            assert all(value == [key] for key, value in account.echo(table).items())
            assert all(isinstance(item, list) for item in account.echo(items))
            sent = account.echo(numbers)
            assert 50 <= len(sent) <= 51
            assert sent == [sent[0] + k for k in range(len(sent))]
            assert len(account.echo(data)) in (1000, 1010)

    def work(number: int) -> None:
        if number == 0:
            change()
            return
        try:
            send()
        finally:
            with counter.lock:
                counter.counts["done"] += 1
                if counter.counts["done"] == THREADS - 1:
                    over.set()

    counter = Account()
    on_threads(work)
    pygas.barrier()
