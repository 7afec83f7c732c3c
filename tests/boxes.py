"""What the stress tests of references share: boxes, which hold others, and who holds them."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pygas


class Box:
    """An object that holds others."""

    born: ClassVar[list[None]] = []  # lists: without an interpreter lock += loses some
    gone: ClassVar[list[None]] = []

    def __init__(self) -> None:
        Box.born.append(None)
        self.items: list[Any] = []

    def __del__(self) -> None:
        Box.gone.append(None)

    @classmethod
    def alive(cls) -> int:
        """Return how many there are on this rank."""
        return len(cls.born) - len(cls.gone)

    def put(self, *items: Any) -> None:
        """Keep things; the oldest go when there are too many."""
        self.items.extend(items)
        del self.items[:-8]

    def take(self) -> Any:
        """Give something away."""
        return self.items.pop() if self.items else None

    def look(self) -> list[Any]:
        """Return copies of all there is."""
        return self.items

    def each(self) -> Any:
        """A generator, which comes as a Proxy."""
        yield from list(self.items)

    def fail(self, item: Any) -> None:
        """Raise an exception that refers to something."""
        raise LookupError(item, pygas.Proxy(Box()))


class Holder:
    """A thread's Proxies to boxes of any ranks; the oldest go when there are more than `room`."""

    def __init__(self, seed: int, room: int) -> None:
        self.random = random.Random(seed)
        self.room = room
        self.held: list[Any] = [pygas.Proxy(Box())]
        self.futures: list[Any] = []

    def any(self) -> Any:
        """Return one of the Proxies that this thread holds."""
        return self.random.choice(self.held)

    def rank(self) -> Any:
        """Return any rank."""
        return pygas.at(self.random.randrange(pygas.THREADS))

    def hold(self, *things: Any) -> None:
        """Hold on to Proxies to boxes."""
        self.held.extend(p for p in things if isinstance(p, Box))
        del self.held[: max(0, len(self.held) - self.room)]

    def drop(self) -> None:
        """Forget some Proxies."""
        del self.held[: self.random.randrange(len(self.held))]
