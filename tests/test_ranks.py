"""at(rank): call, submit, new; futures; requests that make requests."""

from __future__ import annotations

import functools
import operator
import sys
import threading
import time
from typing import Any

import pytest

import pygas

waited_for: Any = None  # a Future that rank 0 lets others ask it for


def where(*args: Any, **kwargs: Any) -> tuple[int, tuple[Any, ...], dict[str, Any]]:
    return pygas.MYTHREAD, args, kwargs


def nap(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def fail(text: str) -> None:
    raise LookupError(text)


def ping(depth: int) -> int:
    """Recurse between the ranks, down and back."""
    if depth == 0:
        return 0
    return 1 + pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).call(ping, depth - 1)


def chain(steps: list[int], value: int) -> int:
    """Pass a value along a list of ranks, waiting at each."""
    return pygas.at(steps[0]).call(chain, steps[1:], value + 1) if steps else value


def ask_everyone(value: int) -> list[int]:
    futures = [pygas.at(rank).submit(operator.add, rank, value) for rank in range(pygas.THREADS)]
    return [future.result() for future in futures]


def share_result() -> Any:
    return waited_for.result()


def in_threads(function: Any, count: int) -> None:
    """Run function(i) in `count` threads; raise the first error."""
    errors: list[BaseException] = []

    def guarded(i: int) -> None:
        try:
            function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.ranks(1, 2, 4)
def test_call_runs_any_callable_there() -> None:
    offset = 10
    for rank in range(pygas.THREADS):
        there = pygas.at(rank)
        assert there.call(where) == (rank, (), {})
        assert there.call(where, 1, [2], key={"a": 3}) == (rank, (1, [2]), {"key": {"a": 3}})
        assert there.call(where, function=1, rank=2, self=3)[2] == {
            "function": 1,
            "rank": 2,
            "self": 3,
        }
        assert there.call(functools.partial(where, 1, k=2), 3)[1:] == ((1, 3), {"k": 2})
        assert there.call(lambda x: (x + offset, where()[0]), 1) == (11, rank)
        assert there.call("a-b".split, "-") == ["a", "b"]
        assert there.call(complex, 1, imag=2) == 1 + 2j
        assert there.submit(sum, range(10)).result() == 45
        assert repr(there) == f"pygas.at({rank})"
        assert there.call(lambda r: repr(r), there) == repr(there)
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_a_local_function_and_class_travel_by_value() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def add(self, x: int) -> int:
            return x + self.n

    def twice(f: Any, x: int) -> int:
        result: int = f(f(x))
        return result

    there = pygas.at(pygas.THREADS - 1)
    assert there.call(twice, Adder(3).add, 1) == 7
    p = there.new(Adder, 5)
    assert pygas.owner(p) == pygas.THREADS - 1
    assert p.add(1) == 6
    assert there.new(dict, a=1) == {"a": 1}
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_is_no_rank() -> None:
    for wrong in (-1, 2, 10**30):
        with pytest.raises(ValueError, match="there is no rank"):
            pygas.at(wrong)
    for wrong in ("0", 1.0, None):
        with pytest.raises(TypeError):
            pygas.at(wrong)  # type: ignore[arg-type]
    assert pygas.at(True).call(where)[0] == 1
    with pytest.raises(TypeError, match="callable"):
        pygas.at(1).call(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pygas.at(1).call(where, **{1: 2})  # type: ignore[misc]
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_futures() -> None:
    there = pygas.at(pygas.THREADS - 1)
    if pygas.MYTHREAD == 0:
        future = there.submit(nap, 0.2, "late")
        if pygas.THREADS > 1:
            assert not future.done()
            assert "pending" in repr(future)
            with pytest.raises(TimeoutError, match=r"has not answered within 0\.01 s"):
                future.result(timeout=0.01)
            with pytest.raises(TimeoutError):
                future.exception(0)
            with pytest.raises(TimeoutError):
                future.result(-1)
        assert future.result(timeout=30) == "late"
        assert future.result() is future.result(0)
        assert future.exception() is None
        assert future.done()
        assert "done" in repr(future)
        failed = there.submit(fail, "lost")
        assert isinstance(failed.exception(), LookupError)
        for _ in range(3):
            with pytest.raises(LookupError, match="lost"):
                failed.result()
        for wrong in ("soon", float("nan")):
            with pytest.raises((TypeError, ValueError)):
                failed.result(wrong)  # type: ignore[arg-type]
        assert there.submit(nap, 0).result(float("inf")) is None
        assert str(pygas.Future[int])
    pygas.barrier()


@pytest.mark.ranks(1, 2, 4)
def test_thousands_in_flight() -> None:
    futures = [pygas.at(i % pygas.THREADS).submit(operator.mul, i, i) for i in range(5000)]
    assert [f.result() for f in reversed(futures)] == [i * i for i in reversed(range(5000))]
    for i in range(2000):
        pygas.at(i % pygas.THREADS).submit(operator.mul, i, bytes(i))  # dropped before the reply
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_many_threads_call_at_once() -> None:
    def worker(number: int) -> None:
        for i in range(200):
            rank = (number + i) % pygas.THREADS
            assert pygas.at(rank).call(where, number, i) == (rank, (number, i), {})

    in_threads(worker, 8)
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_many_threads_wait_for_one_future() -> None:
    for seconds in (0, 0.05):
        future = pygas.at(pygas.THREADS - 1).submit(nap, seconds, [1])
        got: list[Any] = []

        def ask(i: int, future: Any = future, got: list[Any] = got) -> None:
            got.append(future.result(timeout=None if i % 2 else 30))

        in_threads(ask, 8)
        assert len(got) == 8
        assert all(value is got[0] for value in got)
    pygas.barrier()


@pytest.mark.ranks(3)
def test_a_request_may_ask_for_a_future_that_is_waited_for() -> None:
    global waited_for
    if pygas.MYTHREAD == 0:
        waited_for = pygas.at(1).submit(nap, 0.2, "once")
        other = pygas.at(2).submit(pygas.at(0).call, share_result)
        assert waited_for.result() == "once"
        assert other.result(30) == "once"
    pygas.barrier()


@pytest.mark.ranks(1, 2, 4)
def test_mutual_recursion() -> None:
    for depth in (1, 10, 50):
        assert ping(depth) == depth
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_recursion_without_end_is_an_error() -> None:
    if pygas.MYTHREAD == 0:
        assert ping(150) == 150  # deeper than requests of any kind are nested
        with pytest.raises(RecursionError):
            ping(100_000)
        assert ping(20) == 20
    pygas.barrier()


@pytest.mark.ranks(2)
def test_the_depth_of_requests_is_bounded() -> None:
    """Also where the interpreter's own limit is far."""
    sys.setrecursionlimit(1_000_000)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        assert ping(1000) == 1000
        with pytest.raises(RecursionError, match="requests are nested 1001 deep"):
            ping(100_000)
        assert ping(20) == 20
    pygas.barrier()


@pytest.mark.ranks(2, 3)
def test_waiting_chains_do_not_lock_each_other_out() -> None:
    steps = [0, 1, 0, 1, 0, 1]
    if pygas.MYTHREAD != 0:
        futures = [pygas.at(i % pygas.THREADS).submit(chain, steps, i) for i in range(500)]
        assert [f.result() for f in futures] == [i + 6 for i in range(500)]
    pygas.barrier()


@pytest.mark.ranks(1, 2, 4)
def test_a_request_asks_every_rank() -> None:
    futures = [pygas.at(rank).submit(ask_everyone, 5) for rank in range(pygas.THREADS)] * 3
    for future in futures:
        assert future.result() == [rank + 5 for rank in range(pygas.THREADS)]
    pygas.barrier()
