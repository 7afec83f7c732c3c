"""Working with many futures, and the half of `Future` that is easier said in Python.

The functions are named like those of `concurrent.futures` and `asyncio` and behave like them. What
waits here waits in PyGAS: requests to this rank run meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    InvalidStateError,
)
from typing import Any, Generic, NamedTuple, TypeVar

from pygas._core import Completions, Future, give_back
from pygas.errors import RankFailedError

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "DoneAndNotDone",
    "as_completed",
    "gather",
    "wait",
]

T = TypeVar("T")
S = TypeVar("S")


class DoneAndNotDone(NamedTuple, Generic[T]):
    """What `wait` returns."""

    done: set[Future[T]]
    not_done: set[Future[T]]


def wait(
    fs: Iterable[Future[T]], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDone[T]:
    """Wait for futures, like `concurrent.futures.wait`. Blocks.

    Parameters
    ----------
    fs
        The futures; those that appear twice count once.
    timeout
        Seconds to wait at most; None for no limit.
    return_when
        ALL_COMPLETED; FIRST_COMPLETED; or FIRST_EXCEPTION, which is ALL_COMPLETED if none fails.

    Returns
    -------
    A named tuple of two sets: the futures that are `done` (cancelled ones among them), and those
    that are `not_done`.

    Raises
    ------
    ValueError
        If `return_when` is something else.
    RuntimeError
        If there is something to wait for and the job is over, or this is a forked child.
    """
    futures = list(dict.fromkeys(fs))
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(f"return_when is {return_when!r}: use one of the constants")
    count = min(1, len(futures)) if return_when == FIRST_COMPLETED else len(futures)
    completions = Completions(futures)
    completions.wait(count, timeout, return_when == FIRST_EXCEPTION)
    done = set(completions.take())
    return DoneAndNotDone(done, {future for future in futures if future not in done})


def as_completed(fs: Iterable[Future[T]], timeout: float | None = None) -> Iterator[Future[T]]:
    """Iterate over futures as they are done, like `concurrent.futures.as_completed`.

    Each step blocks until there is another one. A future that has been handed out is not kept.

    Parameters
    ----------
    fs
        The futures; those that appear twice come once.
    timeout
        Seconds from the first step to the last one at most; None for no limit.

    Raises
    ------
    TimeoutError
        If they are not all done in time.
    """
    futures = list(dict.fromkeys(fs))
    total = left = len(futures)
    completions = Completions(futures)
    del fs, futures
    end = None if timeout is None else time.monotonic() + timeout
    while left > 0:
        remaining = None if end is None else max(0.0, end - time.monotonic())
        if not completions.wait(1, remaining, False):
            raise TimeoutError(f"{left} (of {total}) futures unfinished")
        batch = completions.take()
        batch.reverse()
        while batch:
            left -= 1
            yield batch.pop()


def gather(*fs: Future[T]) -> Future[list[T]]:
    """Return a Future of the list of all results, in the order of the arguments. Does not block.

    It fails with the first exception that one of them raises (a cancelled one raises
    ``concurrent.futures.CancelledError``); the others go on. Cancelling it asks for all of them to
    be cancelled. Use it with ``.result()`` or ``await``.

    Raises
    ------
    TypeError
        If one of the arguments is not a Future; a list of them is to be unpacked.
    """
    for future in fs:
        if not isinstance(future, Future):
            raise TypeError(
                f"gather() takes Futures, not {type(future).__name__!r}; "
                "unpack a list of them: gather(*futures)"
            )
    whole: Future[list[T]] = Future()
    # Callbacks may run at the same time and within each other: taking from a list is atomic.
    tickets = list(range(len(fs)))

    def part_done(part: Future[T]) -> None:
        last = tickets.pop() == 0
        try:
            error = part.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is not None:
            _settle(whole.set_exception, error)
        elif last and not whole.done():
            try:
                results = [future.result() for future in fs]
            except BaseException as failure:  # another thread is about to report it
                _settle(whole.set_exception, failure)
            else:
                _settle(whole.set_result, results)

    def whole_done(whole: Future[list[T]]) -> None:
        if whole.cancelled():
            for future in fs:
                future.cancel(wait=False)

    if not fs:
        whole.set_result([])
    whole.add_done_callback(whole_done)
    for future in fs:
        future.add_done_callback(part_done)
    return whole


def _settle(setter: Callable[[S], None], outcome: S) -> None:
    """Settle a future that may have been cancelled, or have failed, in the meantime."""
    with contextlib.suppress(InvalidStateError):
        setter(outcome)


def _copy(target: Future[T], source: Future[T]) -> None:
    """Settle `target` as `source` is settled."""
    if source.cancelled():
        target.cancel()
        return
    error = source.exception()
    if error is None:
        _settle(target.set_result, source.result())
    else:
        _settle(target.set_exception, error)


def _then(source: Future[T], function: Callable[[T], Any]) -> Future[Any]:
    """Do what ``Future.then`` promises; called by the extension."""
    target: Future[Any] = Future()
    try:
        source.add_done_callback(functools.partial(_continue, target, function))
        return target
    finally:
        # If `source` is done, `function` has been called, and what it raised refers to this frame.
        del target


def _continue(target: Future[Any], function: Callable[[T], Any], source: Future[T]) -> None:
    try:
        if target.done():
            return
        if source.cancelled() or source.exception() is not None:
            _copy(target, source)
            return
        try:
            outcome = function(source.result())
        except BaseException as error:
            _settle(target.set_exception, error)
            if isinstance(error, KeyboardInterrupt):
                raise  # meant for the program as well
            return
        if outcome is target:
            target.set_exception(RuntimeError("a Future cannot be its own result"))
        elif isinstance(outcome, Future):
            outcome.add_done_callback(functools.partial(_copy, target))
        else:
            _settle(target.set_result, outcome)
    finally:
        del target  # the exception that it holds has a traceback, which holds this frame


def _where_dropped(exception: BaseException, rank: int) -> str:
    """Describe whose exception nobody has asked for; the extension reports it."""
    where = f"request to rank {rank}, whose pygas.Future" if rank >= 0 else "pygas.Future that"
    # The interpreter's own hook leaves out notes, and one has the remote traceback.
    notes = [str(note) for note in getattr(exception, "__notes__", ())]
    if isinstance(exception, RankFailedError):
        notes.append("(of this failure, others that are dropped say nothing)")
    return "\n".join([f"in a {where} was dropped unasked", *notes])


def _await(future: Future[T]) -> Generator[Any, None, T]:
    """Wait in the running asyncio event loop; called by the extension for ``await future``.

    The loop's thread sleeps in its selector, and the callback runs in another one.
    """
    gone = False
    if not future.done():
        import asyncio  # there already, or this is no coroutine of its

        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def future_done(future: Future[T]) -> None:
            if gone:
                give_back(future)
                return
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(wake)

        future.add_done_callback(future_done)
        try:
            yield from waiter
        except BaseException as error:
            gone = True
            if isinstance(error, asyncio.CancelledError):
                future.cancel(wait=False)
            give_back(future)  # what has come in the meantime, or else future_done() does
            raise
    try:
        return future.result()
    finally:
        del future  # as in _continue()
