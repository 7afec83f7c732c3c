"""Queues."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from queue import Empty, Full
from typing import Any, Generic, TypeVar

from pygas import _core
from pygas._core import Future, deferred
from pygas.sync import _failures
from pygas.sync._waiters import Mutex, Waiters, done, fail

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

T = TypeVar("T")


def _hand_over(pairs: list[tuple[Future[T], T]]) -> None:
    for future, item in pairs:
        future.set_result(item)


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


class Queue(Generic[T]):
    """A queue, like `queue.Queue`, for threads and coroutines of any rank.

    First in, first out; and who waits for an item, or for room, gets it in the order in which they
    came.

    Parameters
    ----------
    maxsize
        How many items it holds before `put` has to wait; 0 or less for no limit.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self._mutex = Mutex()
        # All guarded by _mutex. Nobody waits for an item while there is one, or for room while
        # there is some.
        self._items: Any
        self._init()
        self._getters = Waiters(self._mutex)
        self._putters = Waiters(self._mutex)  # with their items
        self._unfinished = 0
        self._taken: Counter[int] = Counter()  # by rank: items taken and not said to be done
        self._joiners = Waiters(self._mutex)
        _failures.watch(self)

    # ---- how the items are kept ----

    def _init(self) -> None:
        self._items = deque()

    def _push(self, item: T) -> None:
        self._items.append(item)

    def _pop(self) -> T:
        item: T = self._items.popleft()
        return item

    def _unpop(self, item: T) -> None:
        """Put an item back to where it was."""
        self._items.appendleft(item)

    # ---- the operations ----

    @deferred
    def put(self, item: T, block: bool = True, timeout: float | None = None) -> Future[None]:
        """Put an item into the queue, waiting for room. Blocks.

        Parameters
        ----------
        item
            What to put there; as an argument it is copied, or a Proxy if it cannot be.
        block
            If false, do not wait.
        timeout
            Seconds to wait at most, measured where the queue lives; None for no limit.

        Raises
        ------
        queue.Full
            If there is no room (in time); then the item is not put.
        """
        if block:
            _check_timeout(timeout)
        with self._mutex:
            if 0 < self.maxsize <= len(self._items):
                if not block or timeout == 0:
                    raise Full
                return self._putters.add(item, timeout, lambda putter: fail(putter, Full()))
            self._push(item)
            self._unfinished += 1
            pairs = self._match()
        _hand_over(pairs)
        return done(None)

    def put_nowait(self, item: T) -> None:
        """Put an item into the queue if there is room at once: ``put(item, block=False)``."""
        type(self).put.__wrapped__(self, item, False)

    @deferred
    def get(self, block: bool = True, timeout: float | None = None) -> Future[T]:
        """Take an item out of the queue, waiting for one. Blocks.

        Parameters
        ----------
        block
            If false, do not wait.
        timeout
            Seconds to wait at most, measured where the queue lives; None for no limit.

        Raises
        ------
        queue.Empty
            If there is none (in time); then none is taken.
        """
        if block:
            _check_timeout(timeout)
        with self._mutex:
            if not self._items:
                if not block or timeout == 0:
                    raise Empty
                me = _core.caller()[0]
                return self._getters.add(me, timeout, lambda getter: fail(getter, Empty()), self)
            item = self._pop()
            self._taken[_core.caller()[0]] += 1
            admitted = self._admit()
        if admitted is not None:
            admitted()
        return done(item, self)

    @deferred
    def get_nowait(self) -> Future[T]:
        """Take an item if there is one at once: ``get(block=False)``."""
        future: Future[T] = type(self).get.__wrapped__(self, False)
        return future

    def _match(self) -> list[tuple[Future[T], T]]:
        """Who waits for an item, and which it gets: under the mutex."""
        pairs = []
        while self._items and (entry := self._getters.take()) is not None:
            self._taken[entry[1]] += 1
            pairs.append((entry[0], self._pop()))
        return pairs

    def _admit(self) -> Callable[[], None] | None:
        """There is room for one more: let the first in who waits for that. How to tell it."""
        entry = self._putters.take()
        if entry is None:
            return None
        putter, item = entry
        try:
            self._push(item)
        except Exception as error:  # a PriorityQueue cannot compare it
            return functools.partial(putter.set_exception, error)
        self._unfinished += 1
        return functools.partial(putter.set_result, None)

    def _pygas_take_back(self, item: T, holder: tuple[int, int]) -> None:
        with self._mutex:
            self._taken[holder[0]] -= 1
            self._unpop(item)
            pairs = self._match()
        _hand_over(pairs)

    def qsize(self) -> int:
        """Return how many items there are now. Does not wait."""
        return len(self._items)

    def empty(self) -> bool:
        """Return whether there are no items now. Does not wait."""
        return not self._items

    def full(self) -> bool:
        """Return whether there is no room now. Does not wait."""
        return 0 < self.maxsize <= len(self._items)

    def task_done(self) -> None:
        """Say that an item which was taken has been worked on. Does not wait.

        Raises
        ------
        ValueError
            If it is called more often than items were put.
        """
        with self._mutex:
            if self._unfinished == 0:
                raise ValueError("task_done() called too many times")
            self._unfinished -= 1
            self._taken[_core.caller()[0]] -= 1
            joiners = self._joiners.take_all() if self._unfinished == 0 else []
        for joiner in joiners:
            joiner.set_result(None)

    @deferred
    def join(self) -> Future[None]:
        """Wait until all items that were put have been taken and worked on. Blocks.

        Raises
        ------
        RankFailedError
            If meanwhile a rank fails that has taken items and not said `task_done` of them. Nobody
            will: from then on they do not count any more.
        """
        with self._mutex:
            if self._unfinished == 0:
                return done(None)
            return self._joiners.add()

    def _rank_failed(self, rank: int) -> None:
        with self._mutex:
            gone = [waiters.take_rank(rank) for waiters in (self._getters, self._putters)]
            gone.append(self._joiners.take_rank(rank))
            lost = min(max(0, self._taken.pop(rank, 0)), self._unfinished)
            self._unfinished -= lost
            if lost:
                gone.append(self._joiners.take_all())
        for waiter in itertools.chain.from_iterable(gone):
            fail(waiter, _failures.error(rank, f"it had not finished {lost} items of this queue"))

    def __repr__(self) -> str:
        return f"<pygas.{type(self).__name__} at {id(self):#x}, maxsize {self.maxsize}, " + (
            f"{len(self._items)} items, {len(self._getters)} waiting>"
        )


class LifoQueue(Queue[T]):
    """A `Queue` that gives the latest item first, like `queue.LifoQueue`."""

    def _pop(self) -> T:
        item: T = self._items.pop()
        return item

    def _unpop(self, item: T) -> None:
        self._items.append(item)


class PriorityQueue(Queue[T]):
    """A `Queue` that gives the smallest item first, like `queue.PriorityQueue`.

    Items are compared on the owner, and must not be Proxies to objects elsewhere.
    """

    def _init(self) -> None:
        self._items = []

    def _push(self, item: T) -> None:
        try:
            heapq.heappush(self._items, item)
        except BaseException:  # it cannot be compared, and is in the list all the same
            self._items[:] = [other for other in self._items if other is not item]
            heapq.heapify(self._items)
            raise

    def _pop(self) -> T:
        smallest: T = self._items[0]
        # Items that cannot be compared have no order, but none gets lost.
        with contextlib.suppress(TypeError):
            heapq.heappop(self._items)
        return smallest

    def _unpop(self, item: T) -> None:
        heapq.heappush(self._items, item)
