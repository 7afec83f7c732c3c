"""The collective operations of a team, but for the barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pygas._job import core
from pygas.collectives.begin import Begin, Op
from pygas.collectives.kinds import Kind
from pygas.collectives.operators import SUM

if TYPE_CHECKING:
    from pygas._core import Future

T = TypeVar("T")


class Collectives(Begin):
    """The operations; a base of `pygas.Team`."""

    # ---- from one to all ----

    def broadcast(self, obj: T, root: int = 0, *, out: Any = None) -> T:
        """Give every rank the object that rank `root` passes. Collective, blocks.

        Parameters
        ----------
        obj
            The object, on `root`; anything on the others.
        root
            The rank that has it.
        out
            None, on all ranks; or, for arrays, where to put the object: a C-contiguous array of its
            dtype and shape. On `root`, which has the object already, ``...`` will do.

        Returns
        -------
        On `root` its own object, on the others a copy, or `out`. Proxies in the object stay
        references.

        Raises
        ------
        ValueError
            If the team has no rank `root`.
        TypeError, or what pickle raises
            On `root`, if the object cannot be copied; the other ranks then get the same exception.
        CollectiveError
            If another rank names another root, or an `out` that does not fit.
        """
        result: T = self._broadcast(True, Kind.BROADCAST, obj, root, out)
        return result

    def broadcast_async(self, obj: T, root: int = 0, *, out: Any = None) -> Future[T]:
        """`broadcast` without waiting; return a Future of what it returns."""
        future: Future[T] = self._broadcast(False, Kind.BROADCAST, obj, root, out)
        return future

    def share(self, obj: T | None, root: int = 0, *, thread: bool = False) -> T:
        """Give every rank a Proxy to the object that rank `root` passes. Collective, blocks.

        What the other ranks pass is ignored. The object stays on `root`, which owns it and works on
        it directly with `local`. With `thread`, it belongs to the thread that calls this on `root`,
        as in ``Proxy(obj, thread=True)``; what the other ranks say is ignored.

        Raises
        ------
        ValueError
            If the team has no rank `root`.
        CollectiveError
            If another rank names another root.
        """
        proxy = self._proxy(obj, root, thread)
        shared: T = self._broadcast(True, Kind.SHARE, proxy, root, None)
        return shared

    def _proxy(self, obj: object, root: int, thread: bool) -> Any:
        return core().Proxy(obj, thread=thread) if self._members.rank == root else None

    def share_async(self, obj: T | None, root: int = 0, *, thread: bool = False) -> Future[T]:
        """`share` without waiting; return a Future of the Proxy."""
        proxy = self._proxy(obj, root, thread)
        future: Future[T] = self._broadcast(False, Kind.SHARE, proxy, root, None)
        return future

    def scatter(self, objs: Any, root: int = 0, *, out: Any = None) -> Any:
        """Give each rank the one of the objects on rank `root` that is meant for it. Collective,
        blocks.

        Parameters
        ----------
        objs
            On `root`: as many objects as there are ranks; with `out` an array whose first dimension
            is that. Anything on the others.
        root
            The rank that has them.
        out
            None, on all ranks; or an array for this rank's part, on all ranks.

        Raises
        ------
        ValueError
            On `root` if it has not one object for each rank; CollectiveError on the others then.
        TypeError, or what pickle raises
            On a rank whose object cannot be copied.
        """
        return self._scatter(True, objs, root, out)

    def scatter_async(self, objs: Any, root: int = 0, *, out: Any = None) -> Future[Any]:
        """`scatter` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._scatter(False, objs, root, out)
        return future

    # ---- from all ----

    def gather(self, obj: T, root: int = 0, *, out: Any = None) -> list[T] | Any | None:
        """Collect the objects of all ranks on rank `root`. Collective; blocks there.

        Parameters
        ----------
        obj
            This rank's object.
        root
            The rank that gets them.
        out
            None, on all ranks; or, for arrays of one shape, where to put them: on `root` an array
            with one more dimension, the first, as long as the team. ``...`` on the others.

        Returns
        -------
        On `root` a list in the order of the ranks, or `out`; None on the others.

        Raises
        ------
        TypeError, or what pickle raises
            On `root`, if some object cannot be copied.
        CollectiveError
            If the ranks name different roots, or with `out` have different shapes or dtypes.
        """
        return self._gather(True, obj, root, out)

    def gather_async(self, obj: T, root: int = 0, *, out: Any = None) -> Future[Any]:
        """`gather` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._gather(False, obj, root, out)
        return future

    def allgather(self, obj: T, *, out: Any = None) -> list[T] | Any:
        """Collect the objects of all ranks on all ranks. Collective, blocks.

        Parameters
        ----------
        obj
            This rank's object.
        out
            None, on all ranks; or, for arrays of one shape, where to put them: an array with one
            more dimension, the first, as long as the team.

        Returns
        -------
        A list in the order of the ranks, or `out`.

        Raises
        ------
        TypeError, or what pickle raises
            On all ranks, if some object cannot be copied.
        """
        return self._allgather(True, obj, out)

    def allgather_async(self, obj: T, *, out: Any = None) -> Future[Any]:
        """`allgather` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._allgather(False, obj, out)
        return future

    def alltoall(self, objs: Any, *, out: Any = None) -> list[Any] | Any:
        """Send each rank an object of its own, get one from each. Collective, blocks.

        Parameters
        ----------
        objs
            One object for each rank; with `out` an array whose first dimension is that.
        out
            None, on all ranks; or an array of the same shape for what comes, not the same one.

        Returns
        -------
        The objects for this rank, a list in the order of the ranks they are from, or `out`.
        """
        return self._alltoall(True, objs, out)

    def alltoall_async(self, objs: Any, *, out: Any = None) -> Future[Any]:
        """`alltoall` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._alltoall(False, objs, out)
        return future

    # ---- reductions ----

    def reduce(
        self, value: Any, op: Op = SUM, root: int = 0, *, out: Any = None, ordered: bool = False
    ) -> Any:
        """Combine the values of all ranks on rank `root`. Collective, blocks.

        Arrays of numbers are combined element by element by the runtime, if `op` is one of SUM,
        PROD, MIN, MAX, AND, OR, XOR; they must have one dtype and shape. Any other value is
        combined as a whole by calling `op`, which the rank does that happens to have both values.

        Parameters
        ----------
        value
            This rank's value.
        op
            A named operator, an `Operator` or an associative function of two values.
        root
            The rank that gets the result.
        out
            For arrays, on `root`: where to put the result; may be `value` itself.
        ordered
            Combine strictly from rank 0 to the last one, as a loop does, so that floating-point
            results depend on nothing but the values, neither on the algorithm nor on where the
            ranks run. (Without it they repeat as long as sizes and settings are the same.) It takes
            time in proportion to the number of ranks.

        Returns
        -------
        On `root` the result; None on the others.

        Raises
        ------
        What `op` raises
            On all ranks.
        CollectiveError
            If the ranks disagree about root, operator, dtype or shape.
        """
        return self._reduce(True, Kind.REDUCE, value, op, root, out, ordered)

    def reduce_async(
        self, value: Any, op: Op = SUM, root: int = 0, *, out: Any = None, ordered: bool = False
    ) -> Future[Any]:
        """`reduce` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._reduce(False, Kind.REDUCE, value, op, root, out, ordered)
        return future

    def allreduce(self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False) -> Any:
        """Combine the values of all ranks on all ranks, as `reduce` does. Collective, blocks.

        The result is the same on all ranks, to the last bit.
        """
        return self._reduce(True, Kind.ALLREDUCE, value, op, 0, out, ordered)

    def allreduce_async(
        self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False
    ) -> Future[Any]:
        """`allreduce` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._reduce(False, Kind.ALLREDUCE, value, op, 0, out, ordered)
        return future

    def reduce_scatter(
        self, values: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False
    ) -> Any:
        """Combine value j of all ranks on rank j. Collective, blocks.

        Parameters
        ----------
        values
            One value for each rank; an array of numbers with that first dimension.
        op, ordered
            As in `reduce`.
        out
            For arrays: where to put the result.
        """
        return self._reduce_scatter(True, values, op, out, ordered)

    def reduce_scatter_async(
        self, values: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False
    ) -> Future[Any]:
        """`reduce_scatter` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._reduce_scatter(False, values, op, out, ordered)
        return future

    def scan(self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False) -> Any:
        """Combine the values of ranks 0 to this one, as `reduce` does. Collective, blocks."""
        return self._reduce(True, Kind.SCAN, value, op, 0, out, ordered)

    def scan_async(
        self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False
    ) -> Future[Any]:
        """`scan` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._reduce(False, Kind.SCAN, value, op, 0, out, ordered)
        return future

    def exscan(self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False) -> Any:
        """Combine the values of the ranks before this one, as `reduce` does. Collective, blocks.

        Rank 0, before which there is none, gets None, and its `out` is left alone.
        """
        return self._reduce(True, Kind.EXSCAN, value, op, 0, out, ordered)

    def exscan_async(
        self, value: Any, op: Op = SUM, *, out: Any = None, ordered: bool = False
    ) -> Future[Any]:
        """`exscan` without waiting; return a Future of what it returns."""
        future: Future[Any] = self._reduce(False, Kind.EXSCAN, value, op, 0, out, ordered)
        return future
