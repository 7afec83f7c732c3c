"""Teams: groups of ranks that do something together.

In this version there is one team, `world`, which has every rank of the job.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, TypeVar

from pygas import _check, _job
from pygas._job import core
from pygas.errors import Description, describe, rebuild

__all__ = ["Team", "barrier", "broadcast", "share", "world"]

T = TypeVar("T")

# Whether each collective operation is compared with what the other ranks call.
_CHECKED = _check.wanted()


@dataclasses.dataclass(frozen=True)
class _Failure:
    """Broadcast in place of an object that the root could not encode."""

    description: Description


def _binomial_tree(place: int, size: int) -> tuple[int | None, list[int]]:
    """Return the parent (None for the root) and the children of a place in the tree.

    Place 0 is the root. The parent of another place lacks its lowest bit that is set; children add
    one lower bit, the largest first, so that the deepest subtree starts first.
    """
    span = place & -place or 1 << (size - 1).bit_length()
    children = []
    bit = span >> 1
    while bit:
        if place + bit < size:
            children.append(place + bit)
        bit >>= 1
    return (place - span if place else None), children


class Team:
    """An ordered group of ranks. Its collective operations must be called by all of them, in the
    same order, each by one thread; requests run while they wait."""

    def __init__(self) -> None:
        self._broadcasts = itertools.count()

    def __repr__(self) -> str:
        return "pygas.world"

    @property
    def rank(self) -> int:
        """This rank's number in the team, from 0. Starts the job."""
        return _job.rank()

    @property
    def size(self) -> int:
        """The number of ranks in the team. Starts the job."""
        return _job.size()

    def barrier(self) -> None:
        """Wait until every rank of the team is in the barrier. Collective, blocks.

        Requests that were made by a rank and have returned before it entered the barrier have taken
        effect when any rank leaves it. (Dissemination: ceil(log2(size)) rounds.)

        Raises
        ------
        RankFailedError
            If a rank of the team has failed, or fails before it has entered the barrier.
        RuntimeError
            If another thread of this rank is in the barrier.
        """
        if _CHECKED:
            _check.check(None)
        core().barrier()

    def broadcast(self, obj: T, root: int = 0) -> T:
        """Give every rank the object that rank `root` passes. Collective, blocks.

        `root` gets its own object back, the others a copy; what they pass is ignored. Proxies in
        the object stay references. (A binomial tree: log2(size) steps, each rank receives once.)

        Parameters
        ----------
        obj
            The object, on `root`; anything on the others.
        root
            The rank that has it.

        Raises
        ------
        ValueError
            If the team has no rank `root`.
        RankFailedError
            If a rank of the team has failed. One that fails meanwhile may go unnoticed here.
        TypeError, or what pickle raises
            On `root`, if the object cannot be copied; the other ranks then get the same exception.
        """
        size, rank = self.size, self.rank
        if not 0 <= root < size:
            raise ValueError(f"there is no rank {root} in a team of {size}")
        core().require_all()
        if _CHECKED:
            _check.check(root)
        tag = _job.TAG_BROADCAST + next(self._broadcasts)
        place = (rank - root) % size
        parent, children = _binomial_tree(place, size)
        module = core()
        failure: Exception | None = None
        if parent is None:
            try:
                encoded = module.encode(obj)
            except Exception as exception:
                failure = exception
                encoded = module.encode(_Failure(describe(exception)))
        else:
            encoded = module.take(tag, (parent + root) % size)
        if children:
            module.post(tuple((child + root) % size for child in children), tag, encoded)
        if failure is not None:
            raise failure
        if parent is None:
            return obj
        outcome = encoded.decode()
        if isinstance(outcome, _Failure):
            raise rebuild(outcome.description, root)
        result: T = outcome
        return result

    def share(self, obj: T | None, root: int = 0) -> T:
        """Give every rank a Proxy to the object that rank `root` passes. Collective, blocks.

        What the other ranks pass is ignored. The object stays on `root`, which owns it and works on
        it directly with `local`.

        Raises
        ------
        ValueError
            If the team has no rank `root`.
        """
        module = core()
        proxy: Any = module.Proxy(obj) if self.rank == root else None
        shared: T = self.broadcast(proxy, root)
        return shared


world = Team()
barrier = world.barrier
broadcast = world.broadcast
share = world.share
