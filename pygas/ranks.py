"""Addressing a rank: run a function there, create an object there."""

from __future__ import annotations

import operator
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsIndex, TypeVar, overload

from pygas import _job
from pygas._job import core

if TYPE_CHECKING:
    from pygas._core import Future

__all__ = ["Rank", "at"]

P = ParamSpec("P")
R = TypeVar("R")


class Rank:
    """A rank of the job, as a place where something can be done. Made by `at`."""

    __slots__ = ("_rank",)

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def __repr__(self) -> str:
        return f"pygas.at({self._rank})"

    @overload
    def call(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def call(self, function: Callable[P, Future[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `function` there and return a copy of its result. Blocks.

        The function travels by name if it is importable on that rank (all ranks run the same
        program, so the functions of ``__main__`` are), else by value. Arguments are copied, Proxies
        among them stay references. A result that cannot be copied comes back as a Proxy. If the
        function returns a Future or is ``async def``, the result is what comes of that. Requests
        to this rank run while it waits.

        Raises
        ------
        Exception
            What the function raises, with the remote traceback as a note.
        RemoteError
            If that exception could not be copied.
        """
        return core().call(self._rank, function, args, kwargs or None)

    @overload
    def submit(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    @overload
    def submit(
        self, function: Callable[P, Future[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    @overload
    def submit(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Like `call`, but return a `Future` at once. Does not wait for that rank.

        Large buffers among the arguments are read until the request has arrived: do not change them
        before its result is there.
        """
        future: Future[Any] = core().submit(self._rank, function, args, kwargs or None)
        return future

    def new(self, cls: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Create ``cls(*args, **kwargs)`` there and return a `Proxy` to it. Blocks.

        Raises
        ------
        Exception
            What the constructor raises.
        """
        proxy: R = core().new(self._rank, cls, args, kwargs or None)
        return proxy


def at(rank: SupportsIndex) -> Rank:
    """Return rank number `rank` of the job, to run something there.

    Raises
    ------
    ValueError
        If the job has no such rank.
    """
    number = operator.index(rank)
    if not 0 <= number < _job.size():
        raise ValueError(f"there is no rank {number} in a job of {_job.size()}")
    return Rank(number)
