"""Events and barriers."""

from __future__ import annotations

from collections.abc import Callable
from threading import BrokenBarrierError

from pygas import _core
from pygas._core import Future, deferred
from pygas.sync import _failures
from pygas.sync._waiters import Mutex, Waiters, done, fail

__all__ = ["Barrier", "Event"]


class Event:
    """A flag that can be waited for, like `threading.Event`, by threads of any rank."""

    def __init__(self) -> None:
        self._mutex = Mutex()
        self._flag = False  # guarded by _mutex, as is the next one
        self._waiters = Waiters(self._mutex)
        _failures.watch(self)

    def is_set(self) -> bool:
        """Return whether the flag is set. Does not wait."""
        return self._flag

    def set(self) -> None:
        """Set the flag; all who wait go on. Does not wait."""
        with self._mutex:
            self._flag = True
            waiters = self._waiters.take_all()
        for waiter in waiters:
            waiter.set_result(True)

    def clear(self) -> None:
        """Reset the flag. Does not wait."""
        with self._mutex:
            self._flag = False

    @deferred
    def wait(self, timeout: float | None = None) -> Future[bool]:
        """Wait until the flag is set; return whether it was in time. Blocks.

        Parameters
        ----------
        timeout
            Seconds to wait at most, measured where the event lives; None for no limit.
        """
        with self._mutex:
            if self._flag:
                return done(True)
            if timeout is not None and timeout <= 0:
                return done(False)
            return self._waiters.add(None, timeout, lambda waiter: waiter.set_result(False))

    def _rank_failed(self, rank: int) -> None:
        with self._mutex:
            gone = self._waiters.take_rank(rank)
        for waiter in gone:
            waiter.set_result(False)

    def __repr__(self) -> str:
        return f"<pygas.Event at {id(self):#x}, {'set' if self._flag else 'unset'}>"


class Barrier:
    """A meeting point for a number of threads, like `threading.Barrier`, of any rank.

    Unlike `pygas.barrier`, which is for the ranks of a whole job, it is for whoever comes, and can
    be broken.

    Parameters
    ----------
    parties
        How many have to come.
    action
        Called, on the owner, by the last who comes, before all go on.
    timeout
        Seconds for `wait`, if it is not told otherwise; None for no limit.
    """

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        if parties < 1:
            raise ValueError("parties must be > 0")
        self._parties = parties
        self._action = action
        self._timeout = timeout
        self._mutex = Mutex()
        self._broken = False  # guarded by _mutex, as are the next two
        self._waiters = Waiters(self._mutex)
        self._comers: set[int] | None = None  # the ranks that came the last time; None: never yet
        _failures.watch(self)

    @deferred
    def wait(self, timeout: float | None = None) -> Future[int]:
        """Wait until all have come; return a number from 0 to parties - 1 to each. Blocks.

        Who is cancelled while it waits leaves the others waiting for one more.

        Parameters
        ----------
        timeout
            Seconds to wait at most, measured where the barrier lives; when they are over the
            barrier is broken.

        Raises
        ------
        threading.BrokenBarrierError
            If it is broken or reset, before or while this waits. The failure of a rank that has
            a part in it breaks it.
        """
        if timeout is None:
            timeout = self._timeout
        with self._mutex:
            if self._broken:
                raise BrokenBarrierError
            if len(self._waiters) + 1 < self._parties:
                return self._add(timeout)
            pairs = self._waiters.take_all_with_ranks()
            if len(pairs) + 1 < self._parties:  # one was just cancelled
                for waiter, rank in pairs:
                    self._waiters.put_back(waiter, rank)
                return self._add(timeout)
            others = [waiter for waiter, _ in pairs]
            self._comers = {_core.caller()[0], *(rank for _, rank in pairs)}
        return self._go(others)

    def _add(self, timeout: float | None) -> Future[int]:
        return self._waiters.add(None, timeout, self._expired)

    def _go(self, others: list[Future[int]]) -> Future[int]:
        if self._action is not None:
            try:
                self._action()
            except BaseException:
                self._break(others)
                raise
        for number, waiter in enumerate(others):
            waiter.set_result(number)
        return done(len(others))

    def _expired(self, waiter: Future[int]) -> None:
        self._break([waiter])

    def _break(self, others: list[Future[int]]) -> None:
        with self._mutex:
            self._broken = True
            others = [*others, *self._waiters.take_all()]
        for waiter in others:
            fail(waiter, BrokenBarrierError())

    def abort(self) -> None:
        """Break the barrier: all who wait or come get a BrokenBarrierError. Does not wait."""
        self._break([])

    def _rank_failed(self, rank: int) -> None:
        with self._mutex:
            if self._comers is not None and rank not in self._comers:
                waits = self._waiters.take_rank(rank)
                if not waits:
                    return  # it has no part in this
            else:
                waits = []
        self._break(waits)

    def reset(self) -> None:
        """Mend the barrier; who waits gets a BrokenBarrierError. Does not wait."""
        with self._mutex:
            self._broken = False
            others = self._waiters.take_all()
        for waiter in others:
            fail(waiter, BrokenBarrierError())

    @property
    def parties(self) -> int:
        """How many have to come."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._broken

    def __repr__(self) -> str:
        state = "broken" if self._broken else f"waiters {len(self._waiters)}/{self._parties}"
        return f"<pygas.Barrier at {id(self):#x}, {state}>"
