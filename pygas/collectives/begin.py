"""How the operations of a team are begun: are these arrays that the runtime takes, or objects?

What is wrong with the arguments of this rank is found here, and the other ranks get to know.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from pygas import _check
from pygas.collectives import arrays, drive, objects
from pygas.collectives.kinds import Kind
from pygas.collectives.operators import Operator, operator_of

#: Whether each collective operation is compared with what the other ranks call.
CHECKED = _check.wanted()

#: What a reduction takes.
Op = Operator | Callable[[Any, Any], Any]


def _root(members: Any, root: int) -> int:
    root = operator.index(root)
    if not 0 <= root < members.size:
        raise ValueError(f"there is no rank {root} in a team of {members.size}")
    return root


def _each(members: Any, objs: Any) -> Sequence[Any]:
    """Check that there is an object for each rank."""
    each = objs if isinstance(objs, Sequence) else list(objs)
    if len(each) != members.size:
        raise ValueError(
            f"there must be an object for each of {members.size} ranks, not {len(each)}"
        )
    return each


def _not_for_out(value: Any, by: Operator) -> TypeError:
    return TypeError(
        f"`out` is for arrays of numbers and named operators, not for "
        f"{type(value).__name__} and {by!r}"
    )


class Begin:
    """The beginnings; a base of `pygas.Team`.

    `blocks`: wait for the result, else return a Future of it.
    """

    @property
    def _members(self) -> Any:
        """This rank's part of the team, of the extension; starts the job."""
        raise NotImplementedError

    def _compare(self, blocks: bool, root: int | None = None) -> None:
        """In the debug mode: do the others call the same as the function that calls this?"""
        if CHECKED:
            _check.check(self._members, root, blocks)

    def _plain(
        self, kind: Kind, value: Any, out: Any, op: int = 0, root: int = 0, ordered: bool = False
    ) -> Any:
        """Take the short way, for plain arrays; NotImplemented: nothing was done, take the long."""
        if CHECKED or not arrays.selected():
            return NotImplemented
        return self._members.operate_plain(kind, value, out, op, root, ordered)

    def _array(self, blocks: bool, call: arrays.Call) -> Any:
        return (arrays.run if blocks else arrays.submit)(self._members, call)

    def _broadcast(self, blocks: bool, kind: Kind, obj: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(kind, obj, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        try:
            root = _root(members, root)
            call = None if out is None else arrays.broadcast(members, obj, root, out)
        except Exception as exception:
            drive.refuse(members, kind, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        return do(members, kind, root, 0, objects.broadcast, members, obj, root)

    def _gather(self, blocks: bool, obj: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.GATHER, obj, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        try:
            root = _root(members, root)
            call = None if out is None else arrays.gather(members, obj, root, out)
        except Exception as exception:
            drive.refuse(members, Kind.GATHER, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        return do(members, Kind.GATHER, root, 0, objects.gather, members, obj, root)

    def _allgather(self, blocks: bool, obj: Any, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.ALLGATHER, obj, out)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        try:
            call = None if out is None else arrays.allgather(members, obj, out)
        except Exception as exception:
            drive.refuse(members, Kind.ALLGATHER, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        return do(members, Kind.ALLGATHER, 0, 0, objects.allgather, members, obj)

    def _scatter(self, blocks: bool, objs: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.SCATTER, objs, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        each: Any = None
        try:
            root = _root(members, root)
            call = None if out is None else arrays.scatter(members, objs, root, out)
            if call is None and members.rank == root:
                each = _each(members, objs)
        except Exception as exception:
            drive.refuse(members, Kind.SCATTER, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        return do(members, Kind.SCATTER, root, 0, objects.scatter, members, each, root)

    def _alltoall(self, blocks: bool, objs: Any, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.ALLTOALL, objs, out)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        each: Any = None
        try:
            call = None if out is None else arrays.alltoall(members, objs, out)
            if call is None:
                each = _each(members, objs)
        except Exception as exception:
            drive.refuse(members, Kind.ALLTOALL, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        return do(members, Kind.ALLTOALL, 0, 0, objects.alltoall, members, each)

    def _reduce(
        self, blocks: bool, kind: Kind, value: Any, op: Op, root: int, out: Any, ordered: bool
    ) -> Any:
        if blocks and type(op) is Operator and op.code:
            result = self._plain(kind, value, out, op.code, root, ordered)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root if kind == Kind.REDUCE else None)
        call = None
        try:
            root = _root(members, root)
            by = operator_of(op)
            if arrays.reducible(value, by):
                call = arrays.reduce(members, kind, value, by, root, out, ordered)
            elif out is not None:
                raise _not_for_out(value, by)
        except Exception as exception:
            drive.refuse(members, kind, exception)
            raise
        if call is not None:
            return self._array(blocks, call)

        do = drive.run if blocks else drive.submit
        begun = (members, kind, root, by.signature)
        if kind == Kind.REDUCE:
            how = (root, by.commutative, ordered)
            return do(*begun, objects.reduce, members, value, by.function, *how)
        if kind == Kind.ALLREDUCE:
            return do(*begun, objects.allreduce, members, value, by.function, ordered)
        exclusive = kind == Kind.EXSCAN
        return do(*begun, objects.scan, members, value, by.function, exclusive, ordered)

    def _reduce_scatter(self, blocks: bool, values: Any, op: Op, out: Any, ordered: bool) -> Any:
        if blocks and type(op) is Operator and op.code:
            result = self._plain(Kind.REDUCE_SCATTER, values, out, op.code, 0, ordered)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        each: Any = None
        call = None
        try:
            by = operator_of(op)
            if arrays.reducible(values, by):
                call = arrays.reduce_scatter(members, values, by, out, ordered)
            elif out is not None:
                raise _not_for_out(values, by)
            else:
                each = _each(members, values)
        except Exception as exception:
            drive.refuse(members, Kind.REDUCE_SCATTER, exception)
            raise
        if call is not None:
            return self._array(blocks, call)
        do = drive.run if blocks else drive.submit
        begun = (members, Kind.REDUCE_SCATTER, 0, by.signature)
        return do(*begun, objects.reduce_scatter, members, each, by.function)
