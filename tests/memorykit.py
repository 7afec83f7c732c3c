"""What the tests of references share: objects that are counted, and what is left of them."""

from __future__ import annotations

import gc
import sys
import time
from typing import Any, ClassVar

import pygas
from pygas._job import core

LIMIT = 20.0


class Thing:
    """Counts how many of it there are on this rank."""

    born: ClassVar[list[None]] = []  # lists: without an interpreter lock += loses some
    gone: ClassVar[list[None]] = []

    def __init__(self, value: Any = None) -> None:
        Thing.born.append(None)
        self.value = value

    def __del__(self) -> None:
        Thing.gone.append(None)

    def me(self) -> Thing:
        return self

    def keep(self, value: Any = None) -> None:
        self.value = value

    def count(self) -> int:
        return sys.getrefcount(self)

    def fail(self, value: Any) -> None:
        raise KeyError(value)

    def items(self) -> Any:
        yield from range(3)

    def make(self) -> Any:
        return pygas.Proxy(Thing(self))


def _alone() -> int:
    thing = object()
    return sys.getrefcount(thing)


#: The count of an object that one local variable refers to: 2, and 1 since Python 3.14.
ALONE = _alone()


def alive() -> int:
    gc.collect()
    return len(Thing.born) - len(Thing.gone)


def counts() -> tuple[int, int]:
    gc.collect()
    return core().counts()  # type: ignore[no-any-return]


def new(rank: int = 1, value: Any = None) -> Any:
    return pygas.at(rank).new(Thing, value)


def until(condition: Any) -> bool:
    """Tell whether it becomes true: releases are sent in batches, a moment later."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False


def everywhere(function: Any) -> list[Any]:
    return [pygas.at(rank).call(function) for rank in range(pygas.THREADS)]


def nothing_is_left() -> bool:
    def clean() -> bool:
        return everywhere(counts) == [(0, 0)] * pygas.THREADS and not any(everywhere(alive))

    return until(clean) or bool(print(everywhere(counts), everywhere(alive)))


def leave(value: Any) -> None:
    """Keep something on this rank until `forget`."""
    left.append(value)


def forget() -> None:
    left.clear()


left: list[Any] = []
