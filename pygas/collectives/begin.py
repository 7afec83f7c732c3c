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


class _Preparing:
    """If what is done inside fails, this rank cannot take part, and the others get to know."""

    __slots__ = ("_kind", "_members")

    def __init__(self, members: Any, kind: Kind) -> None:
        self._members, self._kind = members, kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if isinstance(value, Exception):
            drive.refuse(self._members, self._kind, value)


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

    def _root(self, root: int) -> int:
        root = operator.index(root)
        if not 0 <= root < self._members.size:
            raise ValueError(f"there is no rank {root} in a team of {self._members.size}")
        return root

    def _array(self, blocks: bool, call: arrays.Call) -> Any:
        return (arrays.run if blocks else arrays.submit)(self._members, call)

    def _objects(
        self,
        blocks: bool,
        kind: Kind,
        start: Callable[[Any], drive.Steps],
        root: int = 0,
        extra: int = 0,
    ) -> Any:
        return (drive.run if blocks else drive.submit)(self._members, kind, root, extra, start)

    def _broadcast(self, blocks: bool, kind: Kind, obj: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(kind, obj, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        with _Preparing(members, kind):
            root = self._root(root)
            call = None if out is None else arrays.broadcast(members, obj, root, out)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks, kind, lambda exchange: objects.broadcast(exchange, members, obj, root), root
        )

    def _gather(self, blocks: bool, obj: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.GATHER, obj, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        with _Preparing(members, Kind.GATHER):
            root = self._root(root)
            call = None if out is None else arrays.gather(members, obj, root, out)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks,
            Kind.GATHER,
            lambda exchange: objects.gather(exchange, members, obj, root),
            root,
        )

    def _allgather(self, blocks: bool, obj: Any, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.ALLGATHER, obj, out)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        with _Preparing(members, Kind.ALLGATHER):
            call = None if out is None else arrays.allgather(members, obj, out)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks,
            Kind.ALLGATHER,
            lambda exchange: objects.allgather(exchange, members, obj),
        )

    def _each(self, objs: Any) -> Sequence[Any]:
        """Check that there is an object for each rank."""
        each = objs if isinstance(objs, Sequence) else list(objs)
        if len(each) != self._members.size:
            raise ValueError(
                f"there must be an object for each of {self._members.size} ranks, not {len(each)}"
            )
        return each

    def _scatter(self, blocks: bool, objs: Any, root: int, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.SCATTER, objs, out, 0, root)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks, root)
        each: Any = None
        with _Preparing(members, Kind.SCATTER):
            root = self._root(root)
            call = None if out is None else arrays.scatter(members, objs, root, out)
            if call is None and self._members.rank == root:
                each = self._each(objs)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks,
            Kind.SCATTER,
            lambda exchange: objects.scatter(exchange, members, each, root),
            root,
        )

    def _alltoall(self, blocks: bool, objs: Any, out: Any) -> Any:
        if blocks and out is not None:
            result = self._plain(Kind.ALLTOALL, objs, out)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        each: Any = None
        with _Preparing(members, Kind.ALLTOALL):
            call = None if out is None else arrays.alltoall(members, objs, out)
            if call is None:
                each = self._each(objs)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks, Kind.ALLTOALL, lambda exchange: objects.alltoall(exchange, members, each)
        )

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
        with _Preparing(members, kind):
            root = self._root(root)
            by = operator_of(op)
            if arrays.reducible(value, by):
                call = arrays.reduce(members, kind, value, by, root, out, ordered)
            elif out is not None:
                raise TypeError(
                    f"`out` is for arrays of numbers and named operators, not for "
                    f"{type(value).__name__} and {by!r}"
                )
        if call is not None:
            return self._array(blocks, call)

        def start(exchange: Any) -> drive.Steps:
            if kind == Kind.REDUCE:
                return objects.reduce(
                    exchange, members, value, by.function, root, by.commutative, ordered
                )
            if kind == Kind.ALLREDUCE:
                return objects.allreduce(exchange, members, value, by.function, ordered)
            return objects.scan(exchange, members, value, by.function, kind == Kind.EXSCAN, ordered)

        return self._objects(blocks, kind, start, root, by.signature)

    def _reduce_scatter(self, blocks: bool, values: Any, op: Op, out: Any, ordered: bool) -> Any:
        if blocks and type(op) is Operator and op.code:
            result = self._plain(Kind.REDUCE_SCATTER, values, out, op.code, 0, ordered)
            if result is not NotImplemented:
                return result
        members = self._members
        self._compare(blocks)
        each: Any = None
        call = None
        with _Preparing(members, Kind.REDUCE_SCATTER):
            by = operator_of(op)
            if arrays.reducible(values, by):
                call = arrays.reduce_scatter(members, values, by, out, ordered)
            elif out is not None:
                raise TypeError(
                    f"`out` is for arrays of numbers and named operators, not for "
                    f"{type(values).__name__} and {by!r}"
                )
            else:
                each = self._each(values)
        if call is not None:
            return self._array(blocks, call)
        return self._objects(
            blocks,
            Kind.REDUCE_SCATTER,
            lambda exchange: objects.reduce_scatter(exchange, members, each, by.function),
            extra=by.signature,
        )
