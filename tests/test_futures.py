"""One Future: its result, cancelling it, its callbacks."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import CancelledError, InvalidStateError
from typing import Any

import pytest
from futurekit import (
    LIMIT,
    copy_of_touched,
    fail,
    held_file,
    hold,
    in_thread,
    other,
    release,
    serve_gate,
    touch,
    unraisable,
    until,
)

import pygas


@pytest.mark.ranks(1)
def test_by_hand() -> None:
    future: pygas.Future[int] = pygas.Future()
    assert not future.done()
    assert "pending" in repr(future)
    with pytest.raises(TimeoutError, match="settled"):
        future.result(0)
    seen: list[Any] = []
    future.add_done_callback(seen.append)
    future.set_result(7)
    assert seen == [future]
    future.add_done_callback(seen.append)
    assert seen == [future, future]
    assert (future.done(), future.cancelled(), future.result(), future.exception()) == (
        True,
        False,
        7,
        None,
    )
    with pytest.raises(InvalidStateError):
        future.set_result(8)
    with pytest.raises(InvalidStateError):
        future.set_exception(KeyError())
    assert not future.cancel()
    failed: pygas.Future[int] = pygas.Future()
    failed.set_exception(KeyError(3))
    assert "failed" in repr(failed)
    assert isinstance(failed.exception(), KeyError)
    with pytest.raises(KeyError):
        failed.result()
    for wrong in (KeyError, "text", None):
        with pytest.raises(TypeError):
            pygas.Future().set_exception(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pygas.Future(1)  # type: ignore[call-arg]
    for method in (future.add_done_callback, future.then):
        with pytest.raises(TypeError):
            method(3)  # type: ignore[operator]


@pytest.mark.ranks(1)
def test_cancelled_by_hand() -> None:
    future: pygas.Future[int] = pygas.Future()
    seen: list[bool] = []
    future.add_done_callback(lambda f: seen.append(f.cancelled()))
    assert future.cancel()
    assert future.cancel()
    assert seen == [True]
    for ask in (future.result, future.exception):
        with pytest.raises(CancelledError):
            ask()
    with pytest.raises(InvalidStateError):
        future.set_result(1)


@pytest.mark.ranks(1)
def test_long_chains() -> None:
    first: pygas.Future[int] = pygas.Future()
    last = first
    for _ in range(20_000):
        last = last.then(lambda n: n + 1)
    first.set_result(0)
    assert last.result() == 20_000
    last = pygas.Future()
    for _ in range(20_000):
        last = last.then(lambda n: n + 1)
    del last
    gc.collect()


# ---- requests ----


@pytest.mark.ranks(1, 2, 3)
def test_results_and_exceptions() -> None:
    futures = [pygas.at(r).submit(divmod, 17, r + 1) for r in range(pygas.THREADS)]
    assert [f.result() for f in futures] == [divmod(17, r + 1) for r in range(pygas.THREADS)]
    future = other().submit(fail, "spam")
    assert isinstance(future.exception(LIMIT), LookupError)
    assert future.exception() is future.exception()
    for _ in range(2):
        with pytest.raises(LookupError, match="spam"):
            future.result()
    with pytest.raises(InvalidStateError, match="rank"):
        future.set_result(None)
    assert not future.cancel()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_many_threads_wait_for_one_future() -> None:
    if pygas.MYTHREAD == 0:
        future = other().submit(hold)
        results: list[Any] = []
        threads = [in_thread(lambda: results.append(future.result())) for _ in range(8)]
        with pytest.raises(TimeoutError, match="rank 1"):
            future.result(0.01)
        assert results == []
        other_done = pygas.Future[None]()
        future.add_done_callback(lambda _: other_done.set_result(None))
        release()
        for thread in threads:
            thread.join()
        assert results == [None] * 8
        other_done.result(LIMIT)
    else:
        serve_gate()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_cancel() -> None:
    if pygas.MYTHREAD == 0:
        there = other()
        running = there.submit(hold)
        until(held_file().exists)
        queued = [there.submit(touch, n) for n in range(10)]
        big = there.submit(len, bytes(1 << 20))
        seen: list[bool] = []
        queued[3].add_done_callback(lambda f: seen.append(f.cancelled()))
        assert queued[3].cancel()
        assert queued[3].done()
        assert queued[3].cancel()
        assert big.cancel()
        assert not running.cancel()
        assert not running.done()
        queued[5].cancel(wait=False)
        release()
        assert running.result() is None
        assert not running.cancel()
        with pytest.raises(CancelledError):
            queued[5].result()
        with pytest.raises(CancelledError):
            queued[3].result()
        assert [queued[n].result() for n in (0, 1, 2, 4, 6, 7, 8, 9)] == [0, 1, 2, 4, 6, 7, 8, 9]
        assert not queued[0].cancel()
        until(lambda: seen)
        assert seen == [True]
        assert there.call(copy_of_touched) == [0, 1, 2, 4, 6, 7, 8, 9]
    else:
        serve_gate()
    pygas.barrier()


@pytest.mark.ranks(1, 2, 4)
def test_cancel_races_with_start() -> None:
    there = other()
    futures = [there.submit(touch, n) for n in range(3_000)]
    cancelled = [f.cancel() for f in futures[::3]]
    outcomes = [f.cancelled() for f in futures[::3]]
    pygas.wait(futures)
    assert outcomes == cancelled
    ran = [n for n, f in enumerate(futures) if not f.cancelled()]
    assert [futures[n].result() for n in ran] == ran
    pygas.barrier()
    assert there.call(copy_of_touched) == ran
    pygas.barrier()


# ---- callbacks ----


@pytest.mark.ranks(1, 2)
def test_callbacks_run_once_in_order() -> None:
    calls: list[Any] = []
    future = other().submit(abs, -3)
    for n in range(3):
        future.add_done_callback(lambda f, n=n: calls.append((n, f.result())))
    until(lambda: len(calls) == 3)  # without any PyGAS call
    future.add_done_callback(lambda f: calls.append((3, f.result())))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]
    late = other().submit(abs, -4)
    del future
    gc.collect()
    late.add_done_callback(lambda f: calls.append((4, f.result())))
    del late  # it lives until its callback has run
    gc.collect()
    until(lambda: len(calls) == 5)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_callbacks_run_while_the_program_sleeps() -> None:
    done = threading.Event()
    other().submit(time.sleep, 0.02).add_done_callback(lambda _: done.set())
    assert done.wait(LIMIT)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_callbacks_raise_is_reported() -> None:
    with unraisable() as caught:
        future = other().submit(abs, -3)
        ran: list[int] = []

        def bad(_: object) -> None:
            raise ZeroDivisionError

        future.add_done_callback(bad)
        future.add_done_callback(lambda _: ran.append(1))
        until(lambda: ran)
        future.add_done_callback(bad)
        assert [(kind, thing) for kind, _, thing in caught] == [(ZeroDivisionError, bad)] * 2
    pygas.barrier()


@pytest.mark.ranks(2)
def test_callbacks_may_call_and_wait() -> None:
    there = other()
    nested = there.submit(abs, -3).then(
        lambda n: there.call(abs, -n) + there.submit(int, n).result()
    )
    assert nested.result() == 6
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_then() -> None:
    there = other()
    assert there.submit(abs, -3).then(lambda n: n + 1).then(str).result() == "4"
    assert there.submit(abs, -3).then(lambda n: there.submit(abs, n - 10)).result() == 7
    with pytest.raises(LookupError, match="spam"):
        there.submit(fail, "spam").then(pytest.fail).result()
    with pytest.raises(ZeroDivisionError):
        there.submit(abs, 0).then(lambda n: 1 // n).result()
    with pytest.raises(LookupError, match="inner"):
        there.submit(abs, 0).then(lambda _: there.submit(fail, "inner")).result()
    source: pygas.Future[int] = pygas.Future()
    child = source.then(pytest.fail)
    assert child.cancel()
    assert not source.cancelled()
    source.set_result(1)
    source = pygas.Future()
    child = source.then(str)
    source.cancel()
    assert child.cancelled()
    source = pygas.Future()
    loop: list[pygas.Future[Any]] = []
    loop.append(source.then(lambda _: loop[0]))
    source.set_result(1)
    with pytest.raises(RuntimeError, match="its own"):
        loop[0].result()
    pygas.barrier()
