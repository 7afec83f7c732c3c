"""Teams: groups of ranks that do something together.

`world` has every rank of the job; `Team.split` and `Team.subset` make smaller ones.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pygas import _job
from pygas._job import core
from pygas.collectives import arrays, begin, drive, objects
from pygas.collectives.kinds import Kind
from pygas.collectives.methods import Collectives
from pygas.errors import CollectiveError, RankFailedError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pygas._core import Future

__all__ = [
    "Team",
    "allgather",
    "allreduce",
    "alltoall",
    "barrier",
    "broadcast",
    "exscan",
    "reduce",
    "reduce_scatter",
    "scan",
    "scatter",
    "share",
    "world",
]

# This rank's teams by id, for those that arrive by reference.
_teams: dict[int, Team] = {}
# Numbers of the teams that this rank is the first member of. Several threads make teams.
_numbers = itertools.count(1)
_numbers_lock = threading.Lock()


def _number() -> int:
    with _numbers_lock:
        return next(_numbers)


class Team(Collectives):
    """An ordered group of ranks, numbered from 0 in the team.

    Teams are made by `split` and `subset` of a team that exists; `pygas.world` has all ranks.
    The collective operations of a team must be called by all its members, in the same order, each
    by one thread of each rank; requests run while they wait. Each blocks until this rank's part is
    done and has a twin ending in ``_async`` that returns a `Future` at once; what was passed to
    that must not be changed before the Future is done. See ``docs/collectives.md``.

    A team can be pickled and passed to other members: it arrives as their own part of it.
    """

    def __init__(self, *unused: object) -> None:
        raise TypeError("teams are made by split() and subset() of a team, such as pygas.world")

    _handle: Any
    _notified: Any  # the barrier that this rank has entered, if any
    _interrupted: bool  # it was by barrier(), whose wait an exception ended: Members.barrier()
    _local: Team | None
    _shrunk: Team | None  # the team that shrink() has agreed on and not returned yet

    @classmethod
    def _make(cls, handle: Any) -> Team:
        team = object.__new__(cls)
        team._handle = handle
        team._notified = None
        team._interrupted = False
        team._local = None
        team._shrunk = None
        return team

    @property
    def _members(self) -> Any:
        return self._handle

    def __repr__(self) -> str:
        members = self._members
        return f"<pygas.Team {members.id:#x}: rank {members.rank} of {members.size}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self._members.id,)

    def __len__(self) -> int:
        return self.size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the team, unless an exception is on its way: other members may not come then."""
        if kind is None:
            self.free()

    # ---- members ----

    @property
    def rank(self) -> int:
        """This rank's number in the team, from 0. Starts the job."""
        rank: int = self._members.rank
        return rank

    @property
    def size(self) -> int:
        """The number of ranks in the team. Starts the job."""
        size: int = self._members.size
        return size

    @property
    def ranks(self) -> tuple[int, ...]:
        """The members' ranks in the world, in the order of the team. Takes memory for all."""
        return tuple(map(self._members.to_world, range(self.size)))

    def to_world(self, rank: int) -> int:
        """Return the rank in the world of a member.

        Raises
        ------
        ValueError
            If the team has no such rank.
        """
        world_rank: int = self._members.to_world(rank)
        return world_rank

    def from_world(self, rank: int) -> int | None:
        """Return the number in the team of a rank of the world; None if it is no member.

        Raises
        ------
        ValueError
            If the job has no such rank.
        """
        member: int = self._members.from_world(rank)
        return None if member < 0 else member

    # ---- other teams ----

    def split(self, color: int | None, key: int | None = None) -> Team | None:
        """Divide the team: ranks that pass the same color form a new one. Collective, blocks.

        Parameters
        ----------
        color
            Any integer; None: this rank is in no new team.
        key
            The order in the new team; ranks with the same key are in their present order. None:
            the present order.

        Returns
        -------
        This rank's new team, or None if it has no color.
        """
        self._compare(True)
        own = (
            None if color is None else operator.index(color),
            None if key is None else operator.index(key),
            _number(),
        )
        return self._divide(own)

    def subset(self, ranks: Iterable[int]) -> Team | None:
        """Make a team of some ranks, in the given order. Collective on this team, blocks.

        Parameters
        ----------
        ranks
            Numbers in this team, the same on all its members.

        Returns
        -------
        The new team, or None on ranks that are not in it.

        Raises
        ------
        ValueError
            If a rank does not exist or is named twice.
        CollectiveError
            On all other ranks then, and on all if they name different ranks.
        """
        self._compare(True)
        try:
            wanted = [operator.index(rank) for rank in ranks]
            for rank in wanted:
                if not 0 <= rank < self.size:
                    raise ValueError(f"there is no rank {rank} in a team of {self.size}")
            if len(set(wanted)) != len(wanted):
                raise ValueError("a rank is named twice")
            if not wanted:
                raise ValueError("a team has at least one rank")
        except Exception as exception:
            drive.refuse(self._members, Kind.SPLIT, exception)
            raise
        own = (
            0 if self.rank in wanted else None,
            wanted.index(self.rank) if self.rank in wanted else None,
            _number(),
        )
        return self._divide(own, hash(tuple(wanted)) & 0xFFFFFFFF)

    def _divide(self, own: tuple[int | None, int | None, int], extra: int = 0) -> Team | None:
        members = self._members
        everybody = drive.run(members, Kind.SPLIT, 0, extra, objects.allgather, members, own)
        color = own[0]
        team = None if color is None else self._gather_team(everybody, color)
        # All are here, so that the new team can be passed to any member afterwards. If a rank fails
        # meanwhile, some may not get here; then those that do must not wait for them later.
        try:
            self._members.notify().wait()
        except BaseException as exception:
            if team is not None:
                team._give_up(exception)
            raise
        return team

    def _gather_team(self, everybody: list[Any], color: int) -> Team:
        chosen = [
            (index if key is None else key, index, number)
            for index, (theirs, key, number) in enumerate(everybody)
            if theirs == color
        ]
        chosen.sort()
        ranks = tuple(self._members.to_world(index) for _key, index, _number in chosen)
        # Unique for ever: the first member's rank and a number that it used for nothing else.
        team_id = (ranks[0] + 1) << 40 | chosen[0][2]
        return Team._create(team_id, ranks)

    @classmethod
    def _create(cls, team_id: int, ranks: tuple[int, ...]) -> Team:
        team = Team._make(core().Members(team_id, ranks))
        _teams[team_id] = team
        return team

    def _give_up(self, exception: BaseException) -> None:
        """Put a team out of use that this rank will not have."""
        because = f"rank {core().rank()} has not got the team: {exception!a}"
        self._members.abandon(because, isinstance(exception, RankFailedError))
        _teams.pop(self._members.id, None)
        self._members.free()

    def shrink(self) -> Team:
        """Make a team of the members that live, in their order. Collective on those; blocks.

        This works where nothing else does: on a team with failed members, and on one that a
        `CollectiveError` has put out of use. All ranks get the same team, also if others fail in
        the meantime. It leaves out all whose failure a rank that gets it knew of when it called. A
        rank that fails later may be in it: then its operations raise `RankFailedError` again, and
        it can be shrunk in its turn. The old team stays as it is; `free` gives it back.

        If an exception ends the wait (Ctrl-C, say), the next call goes on with it.

        Returns
        -------
        The new team.

        Raises
        ------
        RuntimeError
            If another thread of this rank is in a collective operation of the team.

        Notes
        -----
        The lowest rank that lives asks all others, decides and tells them; if it fails, the next
        one asks anew. See ``docs/failures.md``.
        """
        members = self._members
        members.claim()
        try:
            if self._shrunk is None:
                self._shrunk = Team._create(*members.shrink())
            # So that it can be passed to any member afterwards. If one fails, or has revoked the
            # team by now, its next operation will say so.
            with contextlib.suppress(RankFailedError, CollectiveError):
                self._shrunk.barrier()
            team, self._shrunk = self._shrunk, None
        finally:
            members.release()
        return team

    @property
    def local_team(self) -> Team:
        """The members that run on this rank's host. The first use is collective and blocks."""
        if self._local is None:
            local = self.split(self._members.host_leader())
            assert local is not None
            self._local = local
        return self._local

    def revoke(self) -> None:
        """Put the team out of use on all members. Does not block.

        Their operations, those under way too, raise `RankFailedError` if a rank has failed, else
        `CollectiveError`; `shrink` and `free` work. For a rank that will not take part any more,
        since a rank has failed that others may not be waiting for: they would wait for this one.
        """
        members = self._members
        failed = bool(core().failed_ranks())
        members.abandon(f"rank {core().rank()} has revoked the team", failed)

    def free(self) -> None:
        """Free the team. Collective, blocks until every member has called it.

        It cannot be used any more then. Teams that are not freed last until the job ends. If the
        team is out of use, as after the failure of a member, it does not block.

        Raises
        ------
        ValueError
            If it is the world, or has been freed.
        RuntimeError
            If an operation of the team is under way.
        """
        if self._members.id == 0:
            raise ValueError("the world cannot be freed")
        try:
            self.barrier()
        except (RankFailedError, CollectiveError):
            if not self._members.is_broken():
                raise
        self._members.free()
        _teams.pop(self._members.id, None)

    # ---- barrier ----

    def barrier(self) -> None:
        """Wait until every rank of the team is in the barrier. Collective, blocks.

        Requests that were made by a rank and have returned before it entered the barrier have taken
        effect when any rank leaves it. If an exception ends it (Ctrl-C, say), the next call goes on
        with it. (Dissemination: ceil(log2(size)) rounds.)

        Raises
        ------
        RankFailedError
            If a rank of the team has failed, or fails before it has entered the barrier.
        RuntimeError
            If another thread of this rank is in a collective operation of the team, or between
            `notify` and `wait`.
        CollectiveError
            If another rank calls something else instead.
        """
        if self._notified is not None and not self._interrupted:
            raise RuntimeError("this rank is between notify() and wait() of a barrier")
        if self._notified is None:
            if begin.CHECKED:
                self._compare(True)
            self._members.barrier(self)
            return
        members = self._members
        members.claim()
        try:
            self._notified.wait()
        except Exception:
            if self._notified.done():
                self._notified = None
            raise
        else:
            self._notified = None
        finally:
            if self._notified is None:
                self._interrupted = False
            members.release()

    def barrier_async(self) -> Future[None]:
        """Enter the barrier; return a Future that is done when every rank has."""
        members = self._members
        self._compare(False)
        call = arrays.Call((int(Kind.BARRIER), -1, 0, 0, 0, 0, 0, False, None, None), None)
        future: Future[None] = arrays.submit(members, call)
        return future

    def notify(self) -> None:
        """Enter the barrier without waiting for the others: the first half of `barrier`.

        Collective, does not block. What is done before `wait` should not need the others.

        Raises
        ------
        RuntimeError
            If this rank has done so already.
        """
        if self._notified is not None:
            raise RuntimeError("notify() has been called: wait() comes next")
        self._compare(False)
        self._notified = self._members.notify()

    def wait(self) -> None:
        """Wait until every rank has called `notify`: the second half of `barrier`. Blocks.

        Raises
        ------
        RuntimeError
            If this rank has not.
        CollectiveError
            If another rank calls something else instead.
        """
        if self._notified is None or self._interrupted:
            raise RuntimeError("wait() is the second half of a barrier: call notify() first")
        notified = self._notified
        try:
            notified.wait()
        finally:
            if notified.done():
                self._notified = None


class _World(Team):
    """All ranks; made before the job is started, which the first use does."""

    def __init__(self) -> None:
        self._handle = None
        self._notified = None
        self._interrupted = False
        self._local = None
        self._shrunk = None

    @property
    def _members(self) -> Any:
        if self._handle is None:
            _job.init()
            self._handle = core().Members()
        return self._handle

    def __repr__(self) -> str:
        return "pygas.world"

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (0,)


def _find(team_id: int) -> Team:
    """Return this rank's part of a team that arrives by reference."""
    if team_id == 0:
        return world
    team = _teams.get(team_id)
    if team is None:
        raise ValueError("this rank is not a member of the team that it was sent, or has freed it")
    return team


world = _World()
barrier = world.barrier
broadcast = world.broadcast
share = world.share
scatter = world.scatter
allgather = world.allgather
alltoall = world.alltoall
reduce = world.reduce
allreduce = world.allreduce
reduce_scatter = world.reduce_scatter
scan = world.scan
exscan = world.exscan
