"""Locks and semaphores."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, NamedTuple

from pygas import _core
from pygas._core import Future, deferred
from pygas.errors import RankFailedError
from pygas.sync import _failures
from pygas.sync._waiters import Mutex, Waiters, done, fail, refuse

__all__ = ["BoundedSemaphore", "Claim", "Lock", "RLock", "Semaphore"]

#: A rank and the number of a thread there.
Thread = tuple[int, int]


class Claim(NamedTuple):
    """What somebody who waits for a lock will have: how often, and with which result."""

    holder: Thread
    depth: int = 1
    result: bool = True


class _BaseLock:
    """What locks have in common."""

    _reentrant = False

    def __init__(self) -> None:
        self._mutex = Mutex()
        self._claim: Claim | None = None  # of its holder; guarded by _mutex, as is the next one
        self._waiters = Waiters(self._mutex)  # with their claims
        self._abandoned = False  # its holder has failed; guarded by _mutex, too
        self._conditions: weakref.WeakSet[Any] = weakref.WeakSet()  # that use it; likewise
        _failures.watch(self)

    def _acquire(self, blocking: bool, timeout: float, giver: object) -> Future[bool]:
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        me = _core.caller()
        with self._mutex:
            claim = self._claim
            if claim is None:
                self._claim = Claim(me)
            elif self._abandoned and claim.holder != me:
                raise self._abandonment(claim)
            elif self._reentrant and claim.holder == me:
                self._claim = claim._replace(depth=claim.depth + 1)
            elif not blocking or timeout == 0:
                return done(False)
            else:
                limit = None if timeout == -1 else timeout
                return self._waiters.add(Claim(me), limit, refuse, giver)
        return done(True, giver)

    def _pass_on(self) -> tuple[Future[Any], Claim] | None:
        """Give the lock to the first who waits, if any, who is to be told: under the mutex."""
        entry = self._waiters.take()
        self._claim = entry[1] if entry is not None else None
        self._abandoned = False
        return entry

    def locked(self) -> bool:
        """Return whether somebody holds it. Does not wait."""
        return self._claim is not None

    def release(self) -> None:
        raise NotImplementedError

    def recover(self) -> bool:
        """Take the lock if its holder's rank has failed. Does not wait.

        Who gets it can set right what the holder may have left half done, and then releases it:
        from then on the lock is as good as new.

        Returns
        -------
        False if there is nothing to recover: nobody holds it, or a thread of a rank that lives,
        which may have recovered it.
        """
        with self._mutex:
            if not self._abandoned:
                return False
            self._claim = Claim(_core.caller())
            self._abandoned = False
        return True

    @staticmethod
    def _abandonment(claim: Claim) -> RankFailedError:
        return _failures.error(
            claim.holder[0], "it held this lock, which recover() gives to the first who asks"
        )

    def _rank_failed(self, rank: int) -> None:
        with self._mutex:
            claim = self._claim
            groups = [self._waiters, *(condition._waiters for condition in self._conditions)]
            gone = [waiter for group in groups for waiter in group.take_rank(rank)]
            if claim is not None and claim.holder[0] == rank and not self._abandoned:
                self._abandoned = True
                gone += [waiter for group in groups for waiter in group.take_all()]
        for waiter in gone:
            fail(waiter, self._abandonment(claim or Claim((rank, 0))))

    def _release(self, me: Thread | None) -> None:
        raise NotImplementedError

    def _pygas_take_back(self, taken: bool, holder: Thread) -> None:
        self._release(holder)

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __aenter__(self) -> Future[bool]:
        return self._acquire(True, -1, self)

    def __aexit__(self, *exception: object) -> Future[None]:
        self.release()
        return done(None)

    def __repr__(self) -> str:
        claim = self._claim
        state = "unlocked" if claim is None else f"locked (by a thread of rank {claim.holder[0]})"
        if self._abandoned:
            state += ", which has failed"
        return f"<pygas.{type(self).__name__} at {id(self):#x}, {state}>"

    # What a Condition needs, under the mutex, which it shares.

    def _is_mine(self, me: Thread) -> bool:
        claim = self._claim
        return claim is not None and (not self._reentrant or claim.holder == me)

    def _take_for(self, waiter: Future[Any], claim: Claim) -> bool:
        """Take it for a Future that is running: now (true), or when its turn comes."""
        if self._claim is not None:
            self._waiters.put_back(waiter, claim.holder[0], claim)
            return False
        self._claim = claim
        return True


class Lock(_BaseLock):
    """A lock, like `threading.Lock`, for threads and coroutines of any rank.

    Who waits gets it in the order in which they came. Like that of `threading` it may be released
    by another thread, or rank, than the one that acquired it.
    """

    @deferred
    def acquire(self, blocking: bool = True, timeout: float = -1) -> Future[bool]:
        """Wait for the lock and take it; return whether it was taken. Blocks.

        Parameters
        ----------
        blocking
            If false, do not wait.
        timeout
            Seconds to wait at most, measured where the lock lives; -1 for no limit.

        Raises
        ------
        RankFailedError
            If a thread of a rank holds it that has failed, or fails meanwhile: see `recover`.
        """
        return self._acquire(blocking, timeout, self)

    __enter__ = acquire

    def release(self) -> None:
        """Release the lock, or hand it to the first who waits. Does not wait.

        Raises
        ------
        RuntimeError
            If it is not held; a RankFailedError if its holder's rank has failed.
        """
        self._release(None)

    def _release(self, me: Thread | None) -> None:
        with self._mutex:
            if self._claim is None:
                raise RuntimeError("release unlocked lock")
            if self._abandoned and self._claim.holder != (me or _core.caller()):
                raise self._abandonment(self._claim)
            entry = self._pass_on()
        if entry is not None:
            entry[0].set_result(entry[1].result)


class RLock(_BaseLock):
    """A lock that its holder can take again, like `threading.RLock`.

    Its holder is a thread of a rank. What a request does on the owner is done in the name of the
    thread that made the request. The coroutines of one thread are one holder: they want a `Lock`.
    """

    _reentrant = True

    @deferred
    def acquire(self, blocking: bool = True, timeout: float = -1) -> Future[bool]:
        """Wait for the lock and take it, as that of `Lock`; at once if this thread has it."""
        return self._acquire(blocking, timeout, self)

    __enter__ = acquire

    def release(self) -> None:
        """Release the lock as often as it was acquired; then hand it on. Does not wait.

        Raises
        ------
        RuntimeError
            If this thread does not hold it.
        """
        self._release(_core.caller())

    def _release(self, me: Thread | None) -> None:
        with self._mutex:
            claim = self._claim
            if claim is not None and claim.holder != me and self._abandoned:
                raise self._abandonment(claim)
            if claim is None or claim.holder != me:
                raise RuntimeError("cannot release un-acquired lock")
            if claim.depth > 1:
                self._claim = claim._replace(depth=claim.depth - 1)
                return
            entry = self._pass_on()
        if entry is not None:
            entry[0].set_result(entry[1].result)


class Semaphore:
    """A semaphore, like `threading.Semaphore`, for threads and coroutines of any rank.

    Who waits goes on in the order in which they came.

    Parameters
    ----------
    value
        How many can acquire it before one has to wait.
    """

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self._mutex = Mutex()
        self._value = value  # guarded by _mutex, as are the next two
        self._waiters = Waiters(self._mutex)
        self._taken: Counter[int] = Counter()  # by rank: acquired and not released
        _failures.watch(self)

    def _acquire(self, blocking: bool, timeout: float | None) -> Future[bool]:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        with self._mutex:
            if self._value > 0:
                self._value -= 1
                self._taken[_core.caller()[0]] += 1
                return done(True, self)
            if not blocking or (timeout is not None and timeout <= 0):
                return done(False)
            return self._waiters.add(_core.caller()[0], timeout, refuse, self)

    @deferred
    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Future[bool]:
        """Take one, waiting for it; return whether it was taken. Blocks.

        Parameters
        ----------
        blocking
            If false, do not wait.
        timeout
            Seconds to wait at most, measured where the semaphore lives; None for no limit.
        """
        return self._acquire(blocking, timeout)

    __enter__ = acquire

    def _check_release(self, n: int) -> None:
        """Raise if `n` are too many: under the mutex."""

    def release(self, n: int = 1) -> None:
        """Give back `n`, which go to those who have waited longest. Does not wait.

        Raises
        ------
        ValueError
            If `n` is less than one.
        """
        if n < 1:
            raise ValueError("n must be one or more")
        self._release(n, _core.caller()[0])

    def _release(self, n: int, rank: int) -> None:
        with self._mutex:
            self._check_release(n)
            self._taken[rank] -= n
            lucky = self._give(n)
        for waiter in lucky:
            waiter.set_result(True)

    def _give(self, n: int) -> list[Future[Any]]:
        """Give `n` to those who wait, who are to be told: under the mutex."""
        lucky = []
        for _ in range(n):
            entry = self._waiters.take()
            if entry is None:
                self._value += 1
            else:
                self._taken[entry[1]] += 1
                lucky.append(entry[0])
        return lucky

    def _room(self) -> float:
        """How many can be given back at most: under the mutex."""
        return float("inf")

    def _rank_failed(self, rank: int) -> None:
        with self._mutex:
            gone = self._waiters.take_rank(rank)
            left = int(min(max(0, self._taken.pop(rank, 0)), self._room()))
            lucky = self._give(left)
        for waiter in gone:
            refuse(waiter)
        for waiter in lucky:
            waiter.set_result(True)

    def _pygas_take_back(self, taken: bool, holder: Thread) -> None:
        self._release(1, holder[0])

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __aenter__(self) -> Future[bool]:
        return self._acquire(True, None)

    def __aexit__(self, *exception: object) -> Future[None]:
        self.release()
        return done(None)

    def __repr__(self) -> str:
        return f"<pygas.{type(self).__name__} at {id(self):#x}, value {self._value}>"


class BoundedSemaphore(Semaphore):
    """A `Semaphore` that must not be released more often than it was acquired.

    That is a ValueError, as with `threading.BoundedSemaphore`.
    """

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._initial = value

    def _room(self) -> float:
        return self._initial - self._value

    def _check_release(self, n: int) -> None:
        if n > self._room():
            raise ValueError("Semaphore released too many times")
