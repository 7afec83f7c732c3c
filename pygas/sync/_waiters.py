"""Those who wait for one thing, in the order in which they came.

Every object here has one mutex, which guards all of it and is held for some instructions, never
while anybody waits. Who has to wait gets a Future, which is in a `Waiters` until it is decided,
under the mutex, what becomes of it: whoever takes it out there first sets it running, so that it
cannot be cancelled any more, and settles it after the mutex was released, since that sends a reply
or runs callbacks. A Future that was cancelled first is passed over. So nothing is handed to
somebody who has gone, and nobody who was handed something is told otherwise.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from pygas import _core, _timers
from pygas._core import Future

__all__ = ["Mutex", "Waiters", "done", "fail", "refuse"]

T = TypeVar("T")


class Mutex:
    """A lock for some instructions, which finds out if its holder comes back.

    It can: if the items of a PriorityQueue are Proxies, comparing them waits for another rank, and
    requests run meanwhile; or the garbage collector runs a finalizer that uses the same object.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if self._lock._is_owned():  # type: ignore[attr-defined]
            raise RuntimeError(
                "this thread is in the middle of an operation on this object: do not compare "
                "Proxies in a PriorityQueue, nor use the object in finalizers and signal handlers"
            )
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


def done(value: T, giver: object = None) -> Future[T]:
    """Return a Future that has its result; what `giver` hands over, it takes back (`Waiters`)."""
    future: Future[T] = Future()
    if giver is not None:
        _core.returnable(future, giver)
    future.set_result(value)
    return future


def refuse(future: Future[bool]) -> None:
    """Settle a Future that is running: it gets nothing."""
    _core.returnable(future, None)
    future.set_result(False)


def fail(future: Future[Any], error: BaseException) -> None:
    """Settle a Future that is running with an exception, without a trace of who does."""
    future.set_exception(error.with_traceback(None))


def _begin(future: Future[Any]) -> bool:
    """Set it running, unless it is; false if it was cancelled."""
    return future.running() or future.set_running_or_notify_cancel()


class Waiters:
    """Futures in the order in which they came, each with something to remember.

    If they get something that must not be lost, `giver` is the object that hands it over. Where it
    then arrives for nobody, the extension calls ``giver._pygas_take_back(value, holder)``, whatever
    the rank; `holder` is the rank and the thread that asked for it.

    All methods are to be called under the mutex.
    """

    __slots__ = ("_entries", "_mutex")

    def __init__(self, mutex: Mutex) -> None:
        self._mutex = mutex
        self._entries: OrderedDict[Future[Any], tuple[int, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self,
        what: Any = None,
        timeout: float | None = None,
        expired: Callable[[Future[Any]], object] | None = None,
        giver: object = None,
    ) -> Future[Any]:
        """Return a Future that waits from now on.

        If it still does after `timeout` seconds, ``expired(future)`` has to settle it, outside the
        mutex.
        """
        future: Future[Any] = Future()
        if giver is not None:
            _core.returnable(future, giver)
        timer = None
        if timeout is not None and expired is not None:
            timer = _timers.after(timeout, functools.partial(self._expire, future, expired))
        self._entries[future] = _core.caller()[0], what
        future.add_done_callback(functools.partial(self._forget, timer))
        return future

    def put_back(self, future: Future[Any], rank: int, what: Any = None) -> None:
        """Add a Future that is running, at the end; `rank` is whose it is."""
        self._entries[future] = rank, what

    def _forget(self, timer: _timers.Timer | None, future: Future[Any]) -> None:
        if timer is not None:
            timer.cancel()
        if future.cancelled():
            with self._mutex:
                self._entries.pop(future, None)

    def _expire(self, future: Future[Any], expired: Callable[[Future[Any]], object]) -> None:
        with self._mutex:
            if not self.take_one(future):
                return
        expired(future)

    def take_one(self, future: Future[Any]) -> bool:
        """Take out `future` and set it running; false if it is not there or was cancelled."""
        if future not in self._entries:
            return False
        del self._entries[future]
        return _begin(future)

    def take(self) -> tuple[Future[Any], Any] | None:
        """Take out the first one that can still be settled, and set it running."""
        while self._entries:
            future, (_, what) = self._entries.popitem(last=False)
            if _begin(future):
                return future, what
        return None

    def take_all(self) -> list[Future[Any]]:
        """Take out all, and set them running."""
        return [future for future, _ in self.take_all_with_ranks()]

    def take_all_with_ranks(self) -> list[tuple[Future[Any], int]]:
        """Take out all, and set them running; with the ranks whose they are."""
        pairs = [(future, rank) for future, (rank, _) in self._entries.items() if _begin(future)]
        self._entries.clear()
        return pairs

    def take_rank(self, rank: int) -> list[Future[Any]]:
        """Take out those of one rank, and set them running."""
        futures = [future for future, (whose, _) in self._entries.items() if whose == rank]
        for future in futures:
            del self._entries[future]
        return [future for future in futures if _begin(future)]
