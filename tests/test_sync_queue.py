"""Queues, like those of `queue`, for all ranks; and queues and locks under stress."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from futurekit import LIMIT, in_thread, until

import pygas


@pytest.mark.ranks(1, 2)
def test_a_queue() -> None:
    q = pygas.share(pygas.Queue(2))
    if pygas.MYTHREAD == pygas.THREADS - 1:
        assert (q.empty(), q.full(), q.qsize(), q.maxsize) == (True, False, 0, 2)
        q.put("a")
        q.put_nowait("b")
        assert (q.empty(), q.full(), q.qsize()) == (False, True, 2)
        for put in (
            lambda: q.put_nowait(1),
            lambda: q.put(1, False),
            lambda: q.put(1, timeout=0.01),
        ):
            with pytest.raises(queue.Full):
                put()
        assert (q.get(), q.get_nowait()) == ("a", "b")
        for get in (q.get_nowait, lambda: q.get(False), lambda: q.get(timeout=0.01)):
            with pytest.raises(queue.Empty):
                get()
        for wrong in (lambda: q.get(timeout=-1), lambda: q.put(1, timeout=-1)):
            with pytest.raises(ValueError, match="non-negative"):
                wrong()
        assert q.qsize() == 0
        joining = pygas.async_(q).join()
        q.task_done()
        assert not joining.done()
        q.task_done()
        assert joining.result() is None
        q.join()
        with pytest.raises(ValueError, match="too many"):
            q.task_done()
        assert "maxsize 2" in repr(q)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_the_order_of_waiting() -> None:
    q = pygas.share(pygas.Queue(1))
    if pygas.MYTHREAD == 1:
        getters = [pygas.async_(q).get() for _ in range(10)]
        assert getters[2].cancel()
        for i in range(9):
            q.put(i)
        del getters[2]
        assert [getter.result() for getter in getters] == list(range(9))
        putters = [pygas.async_(q).put(i) for i in range(10)]
        assert putters[5].cancel()
        assert putters[0].result() is None
        assert not putters[1].done()
        assert [q.get() for _ in range(9)] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        assert q.empty()
        assert putters[9].result() is None
    pygas.barrier()


@pytest.mark.ranks(2)
def test_other_orders() -> None:
    lifo, priority = pygas.share(pygas.LifoQueue()), pygas.share(pygas.PriorityQueue(3))
    if pygas.MYTHREAD == 1:
        for x in (2, 3, 1):
            lifo.put(x)
            priority.put(x)
        assert [lifo.get() for _ in range(3)] == [1, 3, 2]
        waiting = pygas.async_(priority).put(0)
        assert priority.get() == 1
        assert waiting.result() is None
        assert [priority.get() for _ in range(3)] == [0, 2, 3]
        getting = pygas.async_(priority).get()
        priority.put("x")
        assert getting.result() == "x"
        priority.put(1)
        with pytest.raises(TypeError, match="not supported"):
            priority.put("x")
        priority.put(2)
        priority.put(3)
        unequal = pygas.async_(priority).put("x")
        assert priority.get() == 1
        with pytest.raises(TypeError, match="not supported"):
            unequal.result()
        assert [priority.get(), priority.get()] == [2, 3]
        assert priority.empty()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_items_that_nobody_takes_go_back() -> None:
    q, lifo = pygas.share(pygas.Queue()), pygas.share(pygas.LifoQueue())
    if pygas.MYTHREAD == 1:
        for p, order in ((q, [0, 1, 2]), (lifo, [2, 1, 0])):
            for i in range(3):
                p.put(i)
            pygas.async_(p).get()
            until(lambda p=p: p.qsize() == 3)
            future = pygas.async_(p).get()
            until(lambda p=p: p.qsize() == 2)
            del future
            until(lambda p=p: p.qsize() == 3)
            assert [p.get() for _ in range(3)] == order
    pygas.barrier()


@pytest.mark.ranks(2)
def test_items_travel() -> None:
    import numpy as np

    q = pygas.share(pygas.Queue())
    if pygas.MYTHREAD == 1:
        q.put(np.arange(100_000))
        shared: Any = pygas.Proxy([1])
        q.put(shared)
        q.put(x for x in "generator")
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        assert q.get().sum() == 4999950000
        q.get().append(2)
        assert "".join(q.get()) == "generator"
    pygas.barrier()
    if pygas.MYTHREAD == 1:
        assert pygas.local(shared) == [1, 2]
    pygas.barrier()


# ---- stress ----

THREADS = 3
PUTS = 150


@pytest.mark.ranks(2, 4, timeout=120)
def test_every_item_arrives_once() -> None:
    """Ranks x threads put and get with timeouts, cancelling and dropping."""
    q: Any = pygas.share(pygas.Queue(20))
    over = pygas.share(pygas.Event())
    got: list[Any] = []
    lost: list[BaseException] = []

    def produce(thread: int) -> None:
        rng = random.Random(100 * pygas.MYTHREAD + thread)
        for i in range(PUTS):
            item = (pygas.MYTHREAD, thread, i)
            while True:
                try:
                    q.put(item, timeout=rng.choice([None, 0, 0.0005, 0.01]))
                except queue.Full:
                    continue
                break

    def consume(thread: int) -> None:
        rng = random.Random(1000 * pygas.MYTHREAD + thread)
        mine: list[Any] = []
        while True:
            how = rng.randrange(5)
            try:
                if how == 0:
                    future = pygas.async_(q).get()
                    if rng.random() < 0.5:
                        time.sleep(0.0005 * rng.random())
                    if future.cancel():
                        continue
                    mine.append(future.result())
                elif how == 1:
                    pygas.async_(q).get()  # and nobody wants to know
                    continue
                else:
                    mine.append(q.get(timeout=rng.choice([0, 0.0005, 0.02])))
            except queue.Empty:
                if over.is_set() and q.empty():
                    break
                continue
            q.task_done()
        got.extend(mine)

    def guarded(function: Any, thread: int) -> None:
        try:
            function(thread)
        except BaseException as error:
            lost.append(error)
            raise

    consumers = [in_thread(lambda n=n: guarded(consume, n)) for n in range(THREADS)]
    producers = [in_thread(lambda n=n: guarded(produce, n)) for n in range(THREADS)]
    for thread in producers:
        thread.join()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        # Gets that were dropped may still wait: what they get comes back, and is got again.
        q.join()
        over.set()
        for _ in range(10 * THREADS * pygas.THREADS):
            pass
    for thread in consumers:
        thread.join()
    pygas.barrier()
    assert not lost
    counts: Counter[Any] = Counter()
    for rank in range(pygas.THREADS):
        counts.update(pygas.broadcast(got, root=rank))
    expected = {
        (rank, thread, i)
        for rank in range(pygas.THREADS)
        for thread in range(THREADS)
        for i in range(PUTS)
    }
    assert set(counts) == expected
    assert set(counts.values()) == {1}
    pygas.barrier()


@pytest.mark.ranks(4, timeout=120)
def test_one_at_a_time() -> None:
    """Ranks x threads take one lock with timeouts; nobody is inside with another one."""
    lock, counts = pygas.share(pygas.Lock()), pygas.share([0, 0])
    acquired: list[int] = []

    def work(thread: int) -> None:
        rng = random.Random(100 * pygas.MYTHREAD + thread)
        for _ in range(150):
            how = rng.randrange(4)
            if how == 0:
                future = pygas.async_(lock).acquire()
                time.sleep(0.0005 * rng.random())
                if future.cancel():
                    continue
                assert future.result()
            elif how == 1:
                pygas.async_(lock).acquire()
                continue
            elif not lock.acquire(timeout=rng.choice([-1, 0, 0.0005, 0.02])):
                continue
            value = counts[0]
            assert counts[1] == 0
            counts[1] = 1
            counts[1] = 0
            counts[0] = value + 1
            acquired.append(1)
            lock.release()

    threads = [in_thread(lambda n=n: work(n)) for n in range(THREADS)]
    for thread in threads:
        thread.join()
    pygas.barrier()
    total = sum(pygas.broadcast(len(acquired), root=rank) for rank in range(pygas.THREADS))
    assert counts[0] == total > 0
    assert pygas.MYTHREAD or lock.acquire(timeout=LIMIT)  # nobody has it
    pygas.barrier()


@pytest.mark.ranks(4)
def test_no_more_than_allowed() -> None:
    semaphore, inside = pygas.share(pygas.Semaphore(2)), pygas.share([])

    def work() -> None:
        for _ in range(50):
            with semaphore:
                inside.append(1)
                assert len(inside) <= 2
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pygas.barrier()
