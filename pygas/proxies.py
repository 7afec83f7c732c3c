"""Questions about a Proxy, which are functions because a Proxy has no names of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pygas._job import core

if TYPE_CHECKING:
    from pygas import sync
    from pygas.sync import _asynchronous

__all__ = ["async_", "by_ref", "is_local", "local", "no_requests", "owner", "progress", "resolve"]

T = TypeVar("T")


def owner(proxy: object) -> int:
    """Return the rank on which the object of `proxy` lives. Does not block.

    Raises
    ------
    TypeError
        If `proxy` is not a Proxy.
    """
    rank: int = core().owner(proxy)
    return rank


def is_local(proxy: object) -> bool:
    """Return whether the object of `proxy` lives on this rank. Does not block.

    Raises
    ------
    TypeError
        If `proxy` is not a Proxy.
    """
    here: bool = core().is_local(proxy)
    return here


def local(proxy: T) -> T:
    """Return the object itself, on the rank where it lives. Does not block.

    Raises
    ------
    ValueError
        If the object lives on another rank.
    TypeError
        If `proxy` is not a Proxy.
    """
    thing: T = core().local(proxy)
    return thing


def by_ref(proxy: T) -> T:
    """Return the same object with results by reference. Does not block.

    Every operation on the result returns a Proxy to what it would otherwise have copied, with this
    property again: ``by_ref(p).child`` is a Proxy to the child, ``by_ref(p).child.name`` one to its
    name, and so on down.

    Raises
    ------
    TypeError
        If `proxy` is not a Proxy.
    """
    reference: T = core().by_ref(proxy)
    return reference


@overload
def async_(proxy: sync.Lock | sync.RLock) -> _asynchronous.AsyncLock: ...
@overload
def async_(proxy: sync.Semaphore) -> _asynchronous.AsyncSemaphore: ...
@overload
def async_(proxy: sync.Event) -> _asynchronous.AsyncEvent: ...
@overload
def async_(proxy: sync.Condition) -> _asynchronous.AsyncCondition: ...
@overload
def async_(proxy: sync.Barrier) -> _asynchronous.AsyncBarrier: ...
@overload
def async_(proxy: sync.Queue[T]) -> _asynchronous.AsyncQueue[T]: ...
@overload
def async_(proxy: object) -> Any: ...
def async_(proxy: object) -> Any:
    """Return the same object with operations that do not wait. Does not block.

    Every operation on the result (``async_(p).method(x)``, ``async_(p)[i]``, ``async_(p).name``,
    ``async_(p) + 1``) is sent at once and returns a `Future`. Requests of one thread to one owner
    run in the order in which they were made, so assignments need no waiting either; if one fails,
    its abandoned Future says so.

    Raises
    ------
    TypeError
        If `proxy` is not a Proxy; also from operations whose result Python insists on at once, such
        as ``len()`` and ``bool()``.
    """
    return core().async_(proxy)


def resolve(proxy: T) -> T:
    """Return a copy of the object of `proxy`. Blocks until it is there.

    Raises
    ------
    TypeError
        If `proxy` is not a Proxy; also, or what pickle raises, if the object cannot be copied.
    """
    copy: T = core().resolve(proxy)
    return copy


def progress() -> None:
    """Run the requests that have arrived at this rank, and return. Does not wait for more.

    Requests also run without it: in every PyGAS call that waits, and between the bytecodes of a
    program that computes. Only those to objects that belong to a thread other than the main one
    (``Proxy(obj, thread=True)``) need such a call, in that thread.
    """
    core().progress()


def no_requests() -> AbstractContextManager[object]:
    """Hold off requests to this rank: ``with pygas.no_requests(): ...``. May block at its begin.

    While the body runs, no request of other ranks, and no callback of a Future, starts on any
    thread of this rank; they run afterwards. The section begins when requests that run on other
    threads have ended, or wait in PyGAS; they go on after it. Sections nest; those of several
    threads of a rank exclude each other. Other threads run on as always.

    Inside, the program can wait in PyGAS as usual, but only for what needs no request to this rank:
    a call to an object whose method calls back, or a barrier that another rank reaches only after
    its request here, never ends. If a request is kept waiting for longer than
    ``PYGAS_SECTION_WARN_MS``, a `RuntimeWarning` says so and shows where the section is.

    Raises
    ------
    RuntimeError
        Inside the section, from an operation that is itself a request to this rank.
    """
    section: AbstractContextManager[object] = core().no_requests()
    return section
