"""Conditions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pygas import _core
from pygas._core import Future, Proxy, deferred
from pygas.sync._lock import Claim, Lock, RLock, Thread
from pygas.sync._waiters import Waiters, done, fail

__all__ = ["Condition"]


class Condition:
    """A condition variable, like `threading.Condition`, for threads of any rank.

    Parameters
    ----------
    lock
        A `pygas.Lock` or `pygas.RLock` of the same rank, or a Proxy to one; by default an RLock of
        its own. Coroutines want a Lock, since those of one thread are one holder to an RLock.

    Notes
    -----
    A `wait` cannot be cancelled: it ends when it has the lock again. Give it a timeout.
    """

    def __init__(self, lock: Lock | RLock | None = None) -> None:
        thing: Any = RLock() if lock is None else lock
        if isinstance(thing, Proxy):
            thing = _core.local(thing)
        if type(thing) not in (Lock, RLock):
            raise TypeError(
                "a pygas.Condition needs a pygas.Lock or pygas.RLock, and a "
                f"{type(thing).__name__} is none"
            )
        self._lock: Lock | RLock = thing
        self._mutex = thing._mutex  # guards both
        self._waiters = Waiters(self._mutex)  # with the claims to the lock that they gave up
        with self._mutex:
            thing._conditions.add(self)

    @deferred
    def acquire(self, blocking: bool = True, timeout: float = -1) -> Future[bool]:
        """Acquire the lock, as its own method does. Blocks."""
        return self._lock._acquire(blocking, timeout, self)

    __enter__ = acquire

    def release(self) -> None:
        """Release the lock. Does not wait."""
        self._lock.release()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def __aenter__(self) -> Future[bool]:
        return self._lock._acquire(True, -1, self)

    def __aexit__(self, *exception: object) -> Future[None]:
        self._lock.release()
        return done(None)

    def _check_mine(self, me: Thread, what: str) -> Claim:
        """Return the claim of the lock's holder: under the mutex."""
        claim = self._lock._claim
        if claim is None or not self._lock._is_mine(me):
            raise RuntimeError(f"cannot {what} on un-acquired lock")
        return claim

    def _wait(self, me: Thread, timeout: float | None) -> Future[bool]:
        with self._mutex:
            claim = self._check_mine(me, "wait")
            claim, late = claim._replace(result=True), claim._replace(result=False)
            if timeout is not None and timeout < 0:
                timeout = 0
            waiter = self._waiters.add(
                claim, timeout, lambda waiter: self._retake(waiter, late), self
            )
            waiter.set_running_or_notify_cancel()
            heir = self._lock._pass_on()
        if heir is not None:
            heir[0].set_result(heir[1].result)
        return waiter

    def _retake(self, waiter: Future[bool], claim: Claim) -> None:
        taken, abandoned = False, None
        with self._mutex:
            if self._lock._abandoned:
                abandoned = self._lock._claim
            else:
                taken = self._lock._take_for(waiter, claim)
        if abandoned is not None:
            fail(waiter, self._lock._abandonment(abandoned))
        elif taken:
            waiter.set_result(claim.result)

    @deferred
    def wait(self, timeout: float | None = None) -> Future[bool]:
        """Release the lock, wait until notified, acquire it again. Blocks.

        Parameters
        ----------
        timeout
            Seconds to wait at most for the notification, measured where the condition lives; None
            for no limit.

        Returns
        -------
        False if the time was over, else True.

        Raises
        ------
        RuntimeError
            If the lock is not held (an RLock: by this thread).
        RankFailedError
            If a rank fails while it holds the lock. Then the lock is not acquired again.
        """
        return self._wait(_core.caller(), timeout)

    @deferred
    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Future[Any]:
        """Wait until ``predicate()`` is true; return what it returned last. Blocks.

        The predicate is called on the owner, with the lock held, in whichever thread releases it.
        """
        me = _core.caller()
        end = None if timeout is None else time.monotonic() + timeout
        outcome: Future[Any] = Future()
        _core.returnable(outcome, self)
        outcome.set_running_or_notify_cancel()

        def look(waited: Future[bool] | None) -> None:
            try:
                if waited is not None:
                    waited.result()  # the lock is taken, and goes on to `outcome`
                value = predicate()
                left = None if end is None else end - time.monotonic()
                if not value and (left is None or left > 0):
                    self._wait(me, left).add_done_callback(look)
                    return
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(value)

        with self._mutex:
            self._check_mine(me, "wait")
        look(None)
        return outcome

    def notify(self, n: int = 1) -> None:
        """Wake up `n` of those who wait, in the order in which they came. Does not wait.

        Raises
        ------
        RuntimeError
            If the lock is not held (an RLock: by this thread).
        """
        self._notify(n)

    def notify_all(self) -> None:
        """Wake up all who wait; otherwise like `notify`."""
        self._notify(None)

    def _notify(self, n: int | None) -> None:
        with self._mutex:
            self._check_mine(_core.caller(), "notify")
            left = len(self._waiters) if n is None else n
            while left > 0 and (entry := self._waiters.take()) is not None:
                self._lock._take_for(*entry)  # after us: the lock is held
                left -= 1

    def recover(self) -> bool:
        """Take the lock if its holder's rank has failed, as its own method does. Does not wait."""
        return self._lock.recover()

    def _pygas_take_back(self, outcome: bool, holder: Thread) -> None:
        self._lock._release(holder)

    def __repr__(self) -> str:
        return f"<pygas.Condition at {id(self):#x}, {self._lock!r}, waiters {len(self._waiters)}>"
