"""Locks, events, semaphores, conditions, barriers: like those of `threading`, for all ranks."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

import pytest
from futurekit import LIMIT, in_thread, until

import pygas
from pygas import _core


def requests(function: Callable[[], object]) -> int:
    """Count the requests that a function makes."""
    before = _core.requests_sent()
    function()
    return _core.requests_sent() - before


def in_order(*steps: Callable[[], object]) -> None:
    """Have each rank do its step after the ranks before it."""
    for rank, step in enumerate(steps):
        if rank == pygas.MYTHREAD:
            step()
        pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_a_lock() -> None:
    lock = pygas.share(pygas.Lock())
    if pygas.MYTHREAD == pygas.THREADS - 1:
        assert lock.acquire()
        assert lock.locked()
        assert "locked" in repr(lock)
        assert not lock.acquire(False)
        assert not lock.acquire(timeout=0.01)
        assert not lock.acquire(timeout=0)
        thread = in_thread(lambda: (time.sleep(0.02), lock.release()))
        assert lock.acquire(timeout=LIMIT)
        thread.join()
        lock.release()
        assert not lock.locked()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        with pytest.raises(ValueError, match="non-blocking"):
            lock.acquire(False, 1)
        with pytest.raises(ValueError, match="non-negative"):
            lock.acquire(timeout=-2)
        with lock as acquired:
            assert acquired
            assert lock.locked()
        assert not lock.locked()

        def enter() -> None:
            with lock:
                pass

        if not pygas.is_local(lock):
            assert requests(enter) == 2  # a round trip to acquire it, one to release it
    pygas.barrier()


@pytest.mark.ranks(2)
def test_who_waits_for_a_lock_gets_it_in_order() -> None:
    lock, log = pygas.share(pygas.Lock()), pygas.share([])
    if pygas.MYTHREAD == 1:
        lock.acquire()
        futures = [pygas.async_(lock).acquire() for _ in range(50)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: log.append(number))
        assert lock.locked()
        assert futures[3].cancel()
        for i in range(50):
            lock.release()
            until(futures[min(i + (i > 2), 49)].done)
        with pytest.raises(RuntimeError):
            lock.release()
        until(lambda: len(log) == 50)
        assert [n for n in log if n != 3] == [n for n in range(50) if n != 3]
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_a_reentrant_lock() -> None:
    lock = pygas.share(pygas.RLock())

    def mine() -> None:
        with lock, lock:
            assert lock.acquire(False)
            lock.release()
            elsewhere: list[bool] = []
            in_thread(lambda: elsewhere.append(lock.acquire(False))).join()
            assert elsewhere == [False]
            # What a request does is done in the name of its caller.
            assert pygas.at(pygas.owner(lock)).call(lambda lock: lock.acquire(False), lock)
            lock.release()
            assert lock.locked()
        assert not lock.locked()
        with pytest.raises(RuntimeError, match="un-acquired"):
            lock.release()

    in_order(*[mine] * pygas.THREADS)


@pytest.mark.ranks(2)
def test_an_event() -> None:
    event = pygas.share(pygas.Event())
    if pygas.MYTHREAD == 1:
        assert not event.is_set()
        assert not event.wait(0)
        assert not event.wait(0.01)
        futures = [pygas.async_(event).wait() for _ in range(100)]
        short = pygas.async_(event).wait(0.01)
        assert not short.result()
        assert not futures[0].done()
        event.set()
        assert all(future.result() for future in futures)
        assert event.wait()
        event.clear()
        assert not event.is_set()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_semaphore() -> None:
    semaphore = pygas.share(pygas.Semaphore(2))
    bounded = pygas.share(pygas.BoundedSemaphore())
    if pygas.MYTHREAD == 1:
        with semaphore:
            assert semaphore.acquire()
            assert not semaphore.acquire(blocking=False)
            assert not semaphore.acquire(timeout=0.01)
            with pytest.raises(ValueError, match="non-blocking"):
                semaphore.acquire(False, 1)
            futures = [pygas.async_(semaphore).acquire() for _ in range(3)]
            semaphore.release(2)
            assert futures[0].result()
            assert futures[1].result()
            assert not futures[2].done()
            semaphore.release(2)
            assert futures[2].result()
        assert "value 2" in repr(semaphore)
        bounded.acquire()
        bounded.release()
        with pytest.raises(ValueError, match="too many"):
            bounded.release()
        with pytest.raises(ValueError, match=">= 0"):
            pygas.Semaphore(-1)
        with pytest.raises(ValueError, match="one or more"):
            semaphore.release(0)
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_a_condition() -> None:
    condition = pygas.share(pygas.Condition())
    items: Any = pygas.share([])
    if pygas.MYTHREAD == 0:
        for i in range(20 * (pygas.THREADS - 1)):
            with condition:
                items.append(i)
                condition.notify()
    else:
        for _ in range(20):
            with condition:
                while not len(items):
                    assert condition.wait(LIMIT)
                items.pop(0)
    pygas.barrier()
    if pygas.MYTHREAD == 1:
        assert not len(items)
        with condition:
            assert not condition.wait(0.01)
            assert not condition.wait(0)
            assert condition.wait_for(lambda: True) is True
            assert condition.wait_for(lambda: 0, timeout=0.02) == 0
            with pytest.raises(ZeroDivisionError):
                condition.wait_for(lambda: 1 / 0)
        for wrong in (condition.wait, condition.notify, condition.notify_all, condition.release):
            with pytest.raises(RuntimeError, match="un-acquired"):
                wrong()
        with condition:
            waiting = [in_thread(lambda: wait_for(condition, items)) for _ in range(3)]
        until(lambda: pygas.at(0).call(lambda c: len(c._waiters), condition) == 3)
        for number in range(3):
            with condition:
                items.append(number)
                condition.notify_all()
        for thread in waiting:
            thread.join()
        with pytest.raises(TypeError, match="needs a pygas"):
            pygas.Condition(threading.Lock())  # type: ignore[arg-type]
    pygas.barrier()


def wait_for(condition: Any, items: Any) -> None:
    with condition:
        assert condition.wait_for(lambda: len(items) > 2, LIMIT)


@pytest.mark.ranks(2)
def test_a_condition_with_a_lock_and_coroutines() -> None:
    lock = pygas.share(pygas.Lock())
    condition = pygas.share(pygas.Condition(lock) if pygas.MYTHREAD == 0 else None)
    log: list[int] = []

    async def wait(number: int) -> None:
        async with condition:
            assert await pygas.async_(condition).wait()
            log.append(number)

    async def main() -> None:
        tasks = [asyncio.create_task(wait(number)) for number in range(5)]
        while pygas.at(0).call(lambda c: len(c._waiters), condition) < 5:
            await asyncio.sleep(0.001)
        async with lock:
            condition.notify(2)
        while len(log) < 2:
            await asyncio.sleep(0.001)
        async with lock:
            condition.notify_all()
        await asyncio.gather(*tasks)

    if pygas.MYTHREAD == 1:
        asyncio.run(main())
        assert log == list(range(5))
        assert not lock.locked()
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_a_barrier() -> None:
    log: Any = pygas.share([])
    barrier = pygas.share(pygas.Barrier(2 * pygas.THREADS, action=lambda: log.append("action")))
    numbers: list[int] = []

    def meet() -> None:
        numbers.append(barrier.wait(LIMIT))

    for _ in range(20):
        thread = in_thread(meet)
        meet()
        thread.join()
    pygas.barrier()
    assert len(log) == 20
    everybody = [n for rank in range(pygas.THREADS) for n in pygas.broadcast(numbers, root=rank)]
    assert sorted(everybody) == sorted([*range(2 * pygas.THREADS)] * 20)
    if pygas.MYTHREAD == 1:
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2 * pygas.THREADS, 0, False)
        waiting = pygas.async_(barrier).wait()
        cancelled = pygas.async_(barrier).wait()
        assert barrier.n_waiting == 2
        assert cancelled.cancel()
        assert barrier.n_waiting == 1
        barrier.reset()
        with pytest.raises(BrokenBarrierError):
            waiting.result()
        waiting = pygas.async_(barrier).wait()
        with pytest.raises(BrokenBarrierError):
            barrier.wait(0.01)
        with pytest.raises(BrokenBarrierError):
            waiting.result()
        assert barrier.broken
        with pytest.raises(BrokenBarrierError):
            barrier.wait()
        barrier.reset()
        assert not barrier.broken
        barrier.abort()
        assert barrier.broken
    pygas.barrier()


def wrong() -> None:
    raise LookupError("of the action")


@pytest.mark.ranks(2)
def test_a_barrier_whose_action_fails() -> None:
    barrier = pygas.share(pygas.Barrier(2, action=wrong))
    if pygas.MYTHREAD == 1:
        waiting = pygas.async_(barrier).wait()
        with pytest.raises(LookupError, match="of the action"):
            barrier.wait()
        with pytest.raises(BrokenBarrierError):
            waiting.result()
    pygas.barrier()


# ---- nothing is lost ----


@pytest.mark.ranks(2)
def test_what_a_caller_leaves_is_given_back() -> None:
    lock, semaphore = pygas.share(pygas.Lock()), pygas.share(pygas.Semaphore(3))
    rlock, condition = pygas.share(pygas.RLock()), pygas.share(pygas.Condition())

    def unlocked(p: Any) -> Callable[[], bool]:
        return lambda: "unlocked" in repr(p) or "value 3" in repr(p)

    if pygas.MYTHREAD == 1:
        for p in (lock, semaphore, rlock, condition):
            pygas.async_(p).acquire()  # dropped before the reply
            until(unlocked(p))
            future = pygas.async_(p).acquire()
            until(lambda p=p: not unlocked(p)())
            del future  # dropped after it
            until(unlocked(p))
            future = pygas.async_(p).acquire()
            until(future.done)
            del future  # but who has seen it has it
            pygas.progress()
            assert not unlocked(p)()
            p.release()
            assert unlocked(p)()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_wait_that_a_signal_ends() -> None:
    lock, queue = pygas.share(pygas.Lock()), pygas.share(pygas.Queue())
    cond = pygas.share(pygas.Condition())

    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if pygas.MYTHREAD == 1:
        signal.signal(signal.SIGALRM, raise_interrupt)
        lock.acquire()
        for wait in (lock.acquire, queue.get, lambda: lock.acquire(timeout=LIMIT)):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                wait()
        lock.release()
        assert lock.acquire(timeout=LIMIT)  # it has not gone to one who has left
        queue.put("kept")
        assert queue.get(timeout=LIMIT) == "kept"
        cond.acquire()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            cond.wait()
        until(lambda: cond.acquire(False))
        cond.notify_all()
        cond.release()
        until(lambda: "unlocked" in repr(cond))
    elif pygas.MYTHREAD == 0:
        mine = pygas.local(queue)
        signal.signal(signal.SIGALRM, raise_interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            mine.get()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_cancelled_await_gives_back() -> None:
    lock = pygas.share(pygas.Lock())

    async def impatient(seconds: float) -> bool:
        try:
            await asyncio.wait_for(pygas.async_(lock).acquire(), seconds)
        except TimeoutError:
            return False
        return True

    async def main() -> None:
        held = 0
        for i in range(200):
            if await impatient(0.00002 * (i % 20)):
                held += 1
                lock.release()
        print(f"{held} of 200 acquired")

    if pygas.MYTHREAD == 1:
        asyncio.run(main())
        until(lambda: not lock.locked())
    pygas.barrier()


@pytest.mark.ranks(1)
def test_without_other_ranks() -> None:
    """Also as plain objects, and by the threads of one rank."""
    lock, queue, event = pygas.Lock(), pygas.Queue[int](), pygas.Event()
    counts = [0]

    def work() -> None:
        event.wait()
        for _ in range(200):
            with lock:
                value = counts[0]
                time.sleep(0)
                counts[0] = value + 1
        queue.put(counts[0])

    threads = [in_thread(work) for _ in range(4)]
    event.set()
    for thread in threads:
        thread.join()
    assert counts == [800]
    assert queue.qsize() == 4

    async def use() -> int:
        async with lock:
            assert lock.locked()
        return await pygas.async_(pygas.Proxy(queue)).get()

    assert asyncio.run(use()) <= 800
