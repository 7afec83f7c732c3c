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

import gc
import itertools
import sys
import time
from collections.abc import Iterable
from typing import Any

from pygas import _job
from pygas._job import core, init
from pygas.collectives.objects import tree
from pygas.team import world

__all__ = ["collect"]

_TRIES = 10
_LOOKS = 12  # until no message is on its way; in all some 10 ms
_PASSES = 8  # finalizers may make more garbage, and that has finalizers
_PAUSE = 0.001  # seconds; doubles from try to try
_LEFT = 10.0  # seconds for releases to take effect

_numbers = itertools.count()
Parts = dict[int, list[Any]]


def _merge(parts: Parts, more: Parts) -> None:
    for rank, items in more.items():
        parts.setdefault(rank, []).extend(items)


def _exchange(parts: Parts) -> list[Any]:
    """Give `parts[rank]` to each rank; return what all ranks have for this one. Collective.

    Up a binomial tree, whose root is rank 0, and down again; on the way down each rank gets what is
    for the ranks below it.
    """
    module = core()
    me, ranks = module.rank(), module.size()
    tag = _job.TAG_COLLECT + 2 * next(_numbers)
    parent, children = tree(me, ranks)
    parts = {rank: list(items) for rank, items in parts.items()}
    for child in children:
        _merge(parts, module.take(tag, child).decode())
    if parent is not None:
        module.post((parent,), tag, module.encode(parts))
        parts = module.take(tag + 1, parent).decode()
    for child in children:
        beyond = child + (child & -child)
        below = {rank: items for rank, items in parts.items() if child <= rank < beyond}
        module.post((child,), tag + 1, module.encode(below))
    return parts.get(me, [])


def _sum(value: int) -> int:
    """Return the sum over all ranks. Collective."""
    total = sum(_exchange({0: [value]}))
    ranks = range(core().size() if core().rank() == 0 else 0)
    return int(_exchange({rank: [total] for rank in ranks})[0])


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


def _is_quiet(flow: tuple[int, int]) -> bool:
    """Tell whether no message is on its way, by the numbers sent and received. Collective."""
    sent, received = flow
    return _sum(sent - received) == 0


def _calm_down() -> None:
    """Wait until no message is on its way, but not for ever. Collective."""
    module = core()
    module.release()
    world.barrier()
    for attempt in range(_LOOKS):
        if _is_quiet(module.flow()):
            return
        module.progress()
        time.sleep(_PAUSE / 20 * 1.5**attempt)


def _find() -> tuple[Any, int]:
    """Return the scan and how many objects are garbage, of all ranks; -1: cannot be told."""
    scan = _scan()
    if _sum(scan is None):
        raise MemoryError("a rank has no memory to look for garbage")
    if not _is_quiet(scan.flow()):
        return scan, -1
    live = scan.settle(_exchange(_by_owner(scan.holdings())))
    while _sum(len(live)):
        live = scan.revive(_exchange(_by_owner(live)))
    return scan, _sum(scan.garbage())


def _await_end(scan: Any) -> None:
    """Wait until the garbage of this rank is no longer shared."""
    core().release()
    end = time.monotonic() + _LEFT
    while scan.left() and time.monotonic() < end:
        core().progress()
        time.sleep(_PAUSE / 10)


def _one_pass() -> int | None:
    """Return how many objects were freed; None if the ranks were not quiet, or finalizers ran."""
    _calm_down()
    scan, found = _find()
    if found <= 0:
        return None if found < 0 else 0
    if _sum(scan.finalize()) or _sum(not scan.sever()):
        return None
    _await_end(scan)
    del scan
    gc.collect()
    world.barrier()
    return found


def _all_passes() -> int:
    freed = passes = 0
    for attempt in range(_TRIES):
        count = _one_pass()
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

    Returns
    -------
    int
        How many shared objects have been freed, on all ranks together; the same on every rank.

    Raises
    ------
    RuntimeError
        On every rank, if the ranks exchanged requests all the time: other threads were at work. On
        a free-threaded build.
    MemoryError
        On every rank, if one has none left to look at all its objects.
    """
    init()
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise RuntimeError("collect() needs an interpreter with a lock (not a free-threaded build)")
    core().hold(True)
    try:
        return _all_passes()
    finally:
        core().hold(False)
