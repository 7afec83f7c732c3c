"""What becomes of the objects of this package when a rank fails, in a job that goes on.

Every object is told, on its rank, in the queue of requests: so requests that the failed rank had
made and that have run have had their effect, and what has not begun will not. Each object does
away with what the rank had left there: those who waited on its threads, and what it held.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Protocol

from pygas import _core, _timers
from pygas.errors import RankFailedError, rank_failed

__all__ = ["error", "told", "watch"]

_AGAIN = 0.05  # seconds, if an object is in the middle of something


class _Watched(Protocol):
    def _rank_failed(self, rank: int) -> None: ...


_lock = threading.Lock()
_watched: weakref.WeakSet[Any] = weakref.WeakSet()  # changed under _lock


def watch(thing: _Watched) -> None:
    """Have ``thing._rank_failed(rank)`` called when a rank has failed."""
    with _lock:
        _watched.add(thing)


def error(rank: int, what: str) -> RankFailedError:
    """Make the exception for something that a failed rank did: ``what`` says what it was."""
    reason = next((why for number, _, why in _core.failed_ranks() if number == rank), "")
    return rank_failed(f"rank {rank} has failed: it {reason}; {what}", [rank], reason)


def told(rank: int) -> None:
    """Tell the objects; the extension calls it."""
    with _lock:
        things = list(_watched)
    for thing in things:
        _tell(weakref.ref(thing), rank)


def _tell(reference: weakref.ref[Any], rank: int) -> None:
    thing = reference()
    if thing is None:
        return
    try:
        thing._rank_failed(rank)
    except RuntimeError:  # this thread is in the middle of an operation on it: see Mutex
        _timers.after(_AGAIN, lambda: _tell(reference, rank))
