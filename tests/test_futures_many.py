"""Many Futures: waiting for some or all of them, awaiting them, thousands in flight."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from futurekit import (
    LIMIT,
    fail,
    hold,
    in_thread,
    other,
    release,
    serve_gate,
)

import pygas


@pytest.mark.ranks(2)
def test_wait() -> None:
    if pygas.MYTHREAD == 1:
        serve_gate()
        pygas.barrier()
        return
    there = other()
    first = there.submit(abs, 1)
    first.result()
    held = there.submit(hold)
    by_hand: pygas.Future[None] = pygas.Future()
    futures = [first, held, by_hand, first]
    assert pygas.wait(futures, return_when=pygas.FIRST_COMPLETED) == ({first}, {held, by_hand})
    start = time.monotonic()
    assert pygas.wait(futures, 0.05) == ({first}, {held, by_hand})
    assert time.monotonic() - start >= 0.05
    bad: pygas.Future[None] = pygas.Future()
    timer = threading.Timer(0.02, bad.set_exception, [KeyError()])
    timer.start()
    got = pygas.wait([held, bad], LIMIT, pygas.FIRST_EXCEPTION)
    assert got == ({bad}, {held})
    assert isinstance(bad.exception(), KeyError)
    release()
    by_hand.set_result(None)
    assert pygas.wait(futures).not_done == set()
    assert pygas.wait([]) == (set(), set())
    failed = there.submit(fail, "spam")
    assert pygas.wait([failed], return_when=pygas.FIRST_EXCEPTION).done == {failed}
    assert failed.exception() is not None
    with pytest.raises(ValueError, match="return_when"):
        pygas.wait([first], return_when="sometime")
    with pytest.raises(TypeError, match="int"):
        pygas.wait([3])  # type: ignore[list-item]
    pygas.barrier()


@pytest.mark.ranks(2)
def test_as_completed() -> None:
    if pygas.MYTHREAD == 1:
        serve_gate()
        pygas.barrier()
        return
    there, here = other(), pygas.at(pygas.MYTHREAD)
    held = there.submit(hold)
    quick = [here.submit(abs, -n) for n in range(3)]
    steps = pygas.as_completed([held, *quick, held])
    assert [next(steps) for _ in quick] == quick  # requests to this rank run while it waits
    release()
    assert list(steps) == [held]
    late = pygas.as_completed([pygas.Future(), quick[0]], timeout=0.01)
    assert next(late) is quick[0]
    with pytest.raises(TimeoutError, match=r"1 \(of 2\)"):
        next(late)
    assert list(pygas.as_completed([])) == []
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_gather() -> None:
    there = other()
    parts = [there.submit(abs, -n) for n in range(100)]
    assert pygas.gather(*parts).result() == list(range(100))
    assert pygas.gather(*parts, parts[1]).result()[-1] == 1
    assert pygas.gather().result() == []
    with pytest.raises(LookupError, match="spam"):
        pygas.gather(parts[0], there.submit(fail, "spam"), pygas.Future()).result()
    hand: list[pygas.Future[int]] = [pygas.Future(), pygas.Future()]
    assert pygas.gather(*hand).cancel()
    assert all(part.cancelled() for part in hand)
    with pytest.raises(CancelledError):
        pygas.gather(*hand).result()
    with pytest.raises(TypeError, match=r"unpack a list of them: gather\(\*futures\)"):
        pygas.gather(parts)  # type: ignore[arg-type]
    pygas.barrier()


@pytest.mark.ranks(2, timeout=30)
def test_twenty_thousand_in_flight() -> None:
    count = 20_000
    there = other()
    assert pygas.gather(*[there.submit(abs, n) for n in range(count)]).result()[-1] == count - 1
    futures = {there.submit(abs, n): n for n in range(count)}
    assert all(futures[f] == f.result() for f in pygas.as_completed(futures))
    assert len(pygas.wait(futures).done) == count
    pygas.barrier()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_calm(sizes: list[int]) -> bool:
    """Tell, on all ranks, if the last 40,000 requests have not left 70 bytes each.

    The memory comes to its size by steps, which are larger where each thread has a heap of its own
    (in free-threaded interpreters).
    """
    calm = len(sizes) > 8 and sizes[-1] - sizes[-9] < 40_000 * 70
    return bool(pygas.allreduce(int(calm)) == pygas.THREADS)


@pytest.mark.ranks(2, timeout=90)
def test_dropped_futures_leak_nothing() -> None:
    there = other()
    sizes: list[int] = []
    for _ in range(40):
        for _ in range(10):  # bursts small enough that queues do not make the memory grow
            for _ in range(500):
                there.submit(abs, 1)
            there.call(abs, 1)
        kept = weakref.ref(there.submit(bytes, 1 << 20))
        assert kept() is None
        pygas.barrier()
        sizes.append(resident())
        if is_calm(sizes):
            break
    else:
        raise AssertionError(f"the memory grows and grows: {sizes}")


# ---- asyncio ----


async def awaiting() -> None:
    there = other()
    assert await there.submit(abs, -3) == 3
    done = there.submit(abs, -4)
    done.result()
    assert await done == 4
    with pytest.raises(LookupError, match="spam"):
        await there.submit(fail, "spam")
    results = await asyncio.gather(*[there.submit(abs, n) for n in range(200)])
    assert results == list(range(200))
    assert await pygas.gather(*[there.submit(abs, n) for n in range(200)]) == results
    by_hand: pygas.Future[int] = pygas.Future()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(by_hand, 0.01)
    assert by_hand.cancelled()
    by_hand = pygas.Future()
    asyncio.get_running_loop().call_later(0.01, by_hand.set_result, 5)
    assert await by_hand == 5
    cancelled: pygas.Future[int] = pygas.Future()
    cancelled.cancel()
    with pytest.raises(CancelledError):
        await cancelled


@pytest.mark.ranks(1, 2)
def test_await() -> None:
    asyncio.run(awaiting())
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(awaiting())
        except BaseException as failure:
            failures.append(failure)

    in_thread(elsewhere).join()
    assert failures == []
    pygas.barrier()
