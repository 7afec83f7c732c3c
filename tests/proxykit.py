"""What the tests of Proxies share: a class to make objects of, and where they are."""

from __future__ import annotations

import math
from typing import Any

import pygas


class Point:
    """Everything a plain class can have."""

    kind = "point"

    def __init__(self, x: float, y: float = 0) -> None:
        self.x = x
        self.y = y

    def move(self, dx: float, *, dy: float = 0) -> tuple[float, float]:
        self.x += dx
        self.y += dy
        return self.x, self.y

    @property
    def norm(self) -> float:
        return math.hypot(self.x, self.y)

    @norm.setter
    def norm(self, value: float) -> None:
        self.x, self.y = value, 0

    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    def me(self) -> Any:
        return self

    def bound(self) -> Any:
        return self.move

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    def __lt__(self, other: Point) -> bool:
        return self.x < other.x

    def __bool__(self) -> bool:
        return self.x != 0

    def __len__(self) -> int:
        return 2

    def __contains__(self, value: float) -> bool:
        return value in (self.x, self.y)

    def __repr__(self) -> str:
        return f"Point({self.x}, {self.y})"

    def __str__(self) -> str:
        return f"<{self.x} {self.y}>"


def make(cls: Any, *args: Any) -> Any:
    """Make an object on rank 0 and give every rank a Proxy."""
    return pygas.share(cls(*args) if pygas.MYTHREAD == 0 else None)


def last() -> bool:
    """Tell on the last rank, for what one rank does alone; the others wait in the barrier."""
    return pygas.MYTHREAD == pygas.THREADS - 1
