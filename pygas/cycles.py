"""The garbage collector for cycles that span ranks.

What one rank shares and no Proxy refers to goes at once, by reference counts, and a cycle within a
rank by Python's collector. A cycle through several ranks keeps itself: each object is referred to
by a Proxy, which is referred to by an object. `collect` finds such garbage.

Every rank scans its container objects once and finds the shared ones that only others refer to, and
the Proxies that only those hold (`Scan`, in src/binding/scan.c). The ranks tell each other how much
weight these Proxies have. An object whose weight is not accounted for like that is live, and so is
what it refers to, on its own rank and, by Proxies, on others: those are told, until nothing new is
found. The rest is garbage. This is the trial deletion of Christopher (1984), which Python's own
collector does, for the objects of a rank, and the marking of Hughes (1985) and of Lang, Queinnec
and Piquer (1992) for the references between ranks; weights take the place of lists of referrers.

It is right at a moment at which no message is on its way that could carry a reference. Whether
there was one is seen from the numbers of messages sent and received, and looked at again, by all
ranks, directly before anything is let go of; so nothing that is live is ever freed, whatever other
threads do. So that there is such a moment they are held, for a while, when they want to make a
request.
"""

from __future__ import annotations

import collections
import gc
import sys
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from pygas import _job
from pygas._job import core, init
from pygas.collectives.objects import tree

__all__ = ["collect"]

_TRIES = 10
_LOOKS = 12  # until no message is on its way; in all some 10 ms
_PASSES = 8  # finalizers may make more garbage, and that has finalizers
_PAUSE = 0.001  # seconds; doubles from try to try
_LEFT = 10.0  # seconds for releases to take effect

Parts = dict[int, list[Any]]


class _Meeting:
    """The ranks that collect together: all but those that have failed, as far as is known.

    What they send each other is numbered anew when the number of failures has changed. So ranks
    that noticed one in the middle of a collection, at different places, understand each other in
    the next one.
    """

    _numbers: ClassVar[collections.Counter[int]] = collections.Counter()  # by failures

    def __init__(self) -> None:
        module = core()
        dead = {rank for rank, _, _ in module.failed_ranks()}
        self.failures = len(dead)
        self.ranks = [rank for rank in range(module.size()) if rank not in dead]
        self.place = self.ranks.index(module.rank())

    def number(self) -> int:
        """Return the number of the next thing that all do."""
        self._numbers[self.failures] += 1
        return self._numbers[self.failures]

    def exchange(self, parts: Parts) -> list[Any]:
        """Give `parts[rank]` to each rank; return what all ranks have for this one. Collective.

        Up a binomial tree and down again; on the way down each rank gets what is for the ranks
        below it.
        """
        module = core()
        tag = _job.TAG_COLLECT + (self.failures << 36) + 2 * self.number()
        parent, children = tree(self.place, len(self.ranks))
        parts = {rank: list(items) for rank, items in parts.items()}
        for child in children:
            _merge(parts, module.take(tag, self.ranks[child], self.failures).decode())
        if parent is not None:
            module.post((self.ranks[parent],), tag, module.encode(parts))
            parts = module.take(tag + 1, self.ranks[parent], self.failures).decode()
        for child in children:
            below = set(self.ranks[child : child + (child & -child)])
            module.post(
                (self.ranks[child],),
                tag + 1,
                module.encode({rank: items for rank, items in parts.items() if rank in below}),
            )
        return parts.get(module.rank(), [])

    def sum(self, value: int) -> int:
        """Return the sum over all ranks. Collective."""
        total = sum(self.exchange({self.ranks[0]: [value]}))
        ranks = self.ranks if self.place == 0 else ()
        return int(self.exchange({rank: [total] for rank in ranks})[0])

    def meet(self) -> None:
        """Wait until all ranks are here. Collective."""
        self.sum(0)


def _merge(parts: Parts, more: Parts) -> None:
    for rank, items in more.items():
        parts.setdefault(rank, []).extend(items)


def _by_owner(rows: Iterable[tuple[Any, ...]]) -> Parts:
    """Sort rows that begin with a rank by it, and leave it out."""
    parts: Parts = {}
    for owner, *rest in rows:
        parts.setdefault(owner, []).append(tuple(rest) if len(rest) > 1 else rest[0])
    return parts


def _scan() -> Any:
    """Scan; None if this rank has no memory for that."""
    gc.collect()
    try:
        return core().Scan()
    except MemoryError:
        return None


def _is_quiet(meeting: _Meeting, flow: tuple[int, int]) -> bool:
    """Tell whether no message is on its way, by the numbers sent and received. Collective."""
    sent, received = flow
    return meeting.sum(sent - received) == 0


def _calm_down(meeting: _Meeting) -> None:
    """Wait until no message is on its way, but not for ever. Collective."""
    module = core()
    gc.collect()  # what it lets go of is to be sent home now, not during the scan
    module.release()
    meeting.meet()
    for attempt in range(_LOOKS):
        if _is_quiet(meeting, module.flow()):
            return
        module.release()
        module.progress()
        time.sleep(_PAUSE / 20 * 1.5**attempt)


def _await_recount() -> None:
    """Wait until what failed ranks had is no longer counted."""
    end = time.monotonic() + _LEFT
    while not core().recounted() and time.monotonic() < end:
        core().progress()
        time.sleep(_PAUSE / 10)


def _find(meeting: _Meeting) -> tuple[Any, int]:
    """Return the scan and how many objects are garbage, of all ranks; -1: cannot be told."""
    scan = _scan()
    if meeting.sum(scan is None):
        raise MemoryError("a rank has no memory to look for garbage")
    if not _is_quiet(meeting, scan.flow()):
        return scan, -1
    live = scan.settle(meeting.exchange(_by_owner(scan.holdings())))
    while meeting.sum(len(live)):
        live = scan.revive(meeting.exchange(_by_owner(live)))
    return scan, meeting.sum(scan.garbage())


def _await_end(scan: Any) -> None:
    """Wait until the garbage of this rank is no longer shared."""
    core().release()
    end = time.monotonic() + _LEFT
    while scan.left() and time.monotonic() < end:
        core().progress()
        time.sleep(_PAUSE / 10)


def _one_pass(meeting: _Meeting) -> int | None:
    """Return how many objects were freed; None if the ranks were not quiet, or finalizers ran."""
    _calm_down(meeting)
    scan, found = _find(meeting)
    if found <= 0:
        return None if found < 0 else 0
    if meeting.sum(scan.finalize()):
        return None
    if meeting.sum(not scan.sever(meeting.number(), meeting.failures)):
        return None
    _await_end(scan)
    del scan
    gc.collect()
    meeting.meet()
    return found


def _all_passes(meeting: _Meeting) -> int:
    freed = passes = 0
    for attempt in range(_TRIES):
        count = _one_pass(meeting)
        if count == 0 or passes == _PASSES:
            return freed
        if count is not None:
            freed += count
            passes += 1
            continue
        time.sleep(min(0.1, _PAUSE * 2**attempt))
    if freed:
        return freed
    raise RuntimeError(
        f"in {_TRIES} tries there was no moment without requests between the ranks: call collect() "
        "when no other thread uses Proxies"
    )


def collect() -> int:
    """Free garbage in cycles that span ranks. Collective, blocks.

    Finds objects that refer to each other by Proxies, through whatever containers, and that nothing
    else refers to, on any rank, and lets go of all of them: first their finalizers (``__del__``)
    run, all of them, while they still can use each other; what one of them brings back to life
    stays, and its finalizers do not run a second time. Meanwhile requests run, but the program's
    other threads wait when they want to make one, for two seconds at most.

    Takes about as long as `gc.collect` on the rank with the most objects, plus some messages. Call
    it when the ranks meet anyway. An object is not found while a request works on it, while a
    Future that refers to it has not been asked for its result, or if memory that does not take part
    in Python's collection refers to it (an array of objects, say).

    Ranks that have failed take no part, and nothing that only they referred to is left when it
    returns.

    Returns
    -------
    int
        How many shared objects have been freed, on all ranks together; the same on every rank.

    Raises
    ------
    RankFailedError
        If a rank fails meanwhile, on the ranks that notice it before they are done: call it again,
        on all ranks.
    RuntimeError
        On every rank, if the ranks exchanged requests all the time: other threads were at work. On
        a free-threaded interpreter whose lock is off.
    MemoryError
        On every rank, if one has none left to look at all its objects.
    """
    init()
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise RuntimeError(
            "collect() looks at all objects at one moment, which needs the interpreter lock: start "
            "the job with PYTHON_GIL=1"
        )
    core().hold(True)
    try:
        core().catch_up()
        _await_recount()
        return _all_passes(_Meeting())
    finally:
        core().hold(False)
