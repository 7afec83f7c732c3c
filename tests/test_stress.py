"""Mixed requests among four ranks with several threads each; every result is exact.

As a test it takes some seconds, or PYGAS_TEST_STRESS seconds if that is set; as a program as long
as you like::

    pygas run -n 4 tests/test_stress.py 60
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

import pygas

THREADS = 3
SECONDS = float(os.environ.get("PYGAS_TEST_STRESS", "6"))


class Ledger:
    """What every rank shares; the sums show if anything is lost, doubled or interleaved."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], int] = Counter()
        self.balance = 0
        self.copy = 0

    def book(self, who: tuple[int, int], number: int, amount: int) -> int:
        """Note the next entry of a thread, which must come in order."""
        assert self.entries[who] == number, (who, number, self.entries[who])
        self.entries[who] = number + 1
        balance = self.balance
        self.balance = balance + amount
        self.copy += amount
        return balance + amount

    def check(self) -> int:
        """Look at both sums, which no request may see unequal."""
        assert self.balance == self.copy
        return self.balance

    def ask(self, function: Any, *arguments: Any) -> Any:
        """Wait for another object's answer within a request."""
        return function(*arguments)

    def total(self) -> int:
        return sum(self.entries.values())


def echo(value: Any) -> Any:
    return value


def bounce(proxies: list[Any], depth: int) -> int:
    """Call from rank to rank and back, `depth` deep."""
    if depth == 0:
        return 0
    there = proxies[(pygas.MYTHREAD + 1) % len(proxies)]
    answer: int = there.ask(bounce, proxies, depth - 1)
    return answer + 1


class Stress:
    """The shared objects of a run, as this rank sees them."""

    def __init__(self) -> None:
        ranks = range(pygas.THREADS)
        self.mine = Ledger()
        self.ledgers = [pygas.share(self.mine, rank) for rank in ranks]
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t (who text, i int)")
        self.databases: list[Any] = [pygas.share(connection, rank, thread=True) for rank in ranks]
        self.booked = [0] * pygas.THREADS  # at each rank, by this one
        self.amounts = [0] * pygas.THREADS
        self.inserted = [0] * pygas.THREADS
        self.lock = threading.Lock()
        self.failures: list[BaseException] = []

    def work(self, thread: int, seconds: float) -> None:
        """Do this and that; what is done is counted."""
        rng = random.Random(pygas.MYTHREAD * 100 + thread)
        who = (pygas.MYTHREAD, thread)
        numbers = [0] * pygas.THREADS
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rank = rng.randrange(pygas.THREADS)
            rng.choice(self.KINDS)(self, rng, rank, who, numbers)

    def note(self, rank: int, count: int, amount: int) -> None:
        with self.lock:
            self.booked[rank] += count
            self.amounts[rank] += amount

    def book(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        amount = rng.randrange(100)
        if rank == pygas.MYTHREAD:
            with pygas.no_requests():  # this is no request, and other threads hold sections
                balance = self.ledgers[rank].book(who, numbers[rank], amount)
        else:
            balance = self.ledgers[rank].book(who, numbers[rank], amount)
        assert isinstance(balance, int)
        numbers[rank] += 1
        self.note(rank, 1, amount)

    def book_many(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        count = rng.randrange(1, 40)
        futures = []
        for _ in range(count):
            booked = pygas.at(rank).submit(book_at, self.ledgers[rank], who, numbers[rank], 1)
            futures.append(booked)
            numbers[rank] += 1
        balances = [future.result() for future in futures]
        assert balances == sorted(balances)
        self.note(rank, count, count)

    def check(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        pygas.at(rank).call(check_at, self.ledgers[rank])

    def insert(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        self.databases[rank].execute("insert into t values (?, ?)", (str(who), 1))
        with self.lock:
            self.inserted[rank] += 1

    def data(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        size = rng.choice((0, 10, 5_000, 100_000))
        value = bytes([rng.randrange(256)]) * size
        assert pygas.at(rank).call(echo, value) == value

    def nest(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        depth = rng.randrange(1, 9)
        assert bounce(self.ledgers, depth) == depth

    def hold(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        with pygas.no_requests():
            balance = self.mine.balance
            sum(range(rng.randrange(2000)))
            assert balance == self.mine.balance == self.mine.copy

    def fail(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        with pytest.raises(ZeroDivisionError):
            pygas.at(rank).call(divmod, 1, 0)

    def cancel(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        future = pygas.at(rank).submit(echo, 5)
        if not future.cancel():
            assert future.result() == 5

    def idle(self, rng: random.Random, rank: int, who: Any, numbers: list[int]) -> None:
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.003)
        else:
            sum(range(rng.randrange(30_000)))

    KINDS = (book, book, book_many, check, insert, data, nest, hold, fail, cancel, idle)

    def run(self, seconds: float) -> None:
        """Let the threads work, the main one too, and check the sums."""

        def work(thread: int) -> None:
            try:
                self.work(thread, seconds)
            except BaseException as error:
                self.failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(1, THREADS)]
        for thread in threads:
            thread.start()
        work(0)
        while any(thread.is_alive() for thread in threads):
            pygas.progress()  # the main thread has a database to serve
            time.sleep(0.001)
        pygas.barrier()
        if self.failures:
            raise self.failures[0]
        self.verify()

    def verify(self) -> None:
        """Compare what the ranks say that they did with what was done here."""
        done = [self.booked, self.amounts, self.inserted]
        said = [pygas.broadcast(done, rank) for rank in range(pygas.THREADS)]
        me = pygas.MYTHREAD
        rows = pygas.local(self.databases[me]).execute("select count(*) from t").fetchone()
        assert self.mine.total() == sum(booked[me] for booked, _, _ in said)
        assert self.mine.balance == self.mine.copy == sum(amounts[me] for _, amounts, _ in said)
        assert rows[0] == sum(inserted[me] for _, _, inserted in said)
        print(f"rank {me}: {self.mine.total()} entries, {rows[0]} rows")
        pygas.barrier()


def book_at(ledger: Any, who: tuple[int, int], number: int, amount: int) -> int:
    return Ledger.book(pygas.local(ledger), who, number, amount)


def check_at(ledger: Any) -> int:
    return Ledger.check(pygas.local(ledger))


@pytest.mark.ranks(4, timeout=SECONDS + 114)
def test_mixed_requests() -> None:
    Stress().run(SECONDS)


if __name__ == "__main__":
    Stress().run(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
