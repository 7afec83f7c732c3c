"""Classes for the tests of the data model. Every rank can import them."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple


class Vector:
    """Has operators, some of which decline, and an equality, but no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *values: int) -> None:
        self.values = list(values)

    def __repr__(self) -> str:
        return f"Vector{tuple(self.values)}"

    def __eq__(self, other: object) -> Any:
        return self.values == other.values if isinstance(other, Vector) else NotImplemented

    def __lt__(self, other: Any) -> Any:
        return self.values < other.values if isinstance(other, Vector) else NotImplemented

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Vector):
            return Vector(*map(int.__add__, self.values, other.values))
        return Vector(*(v + other for v in self.values)) if type(other) is int else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Vector(*(other + v for v in self.values)) if type(other) is int else NotImplemented

    def __iadd__(self, other: Any) -> Any:
        if not isinstance(other, Vector):
            return NotImplemented
        self.values[:] = map(int.__add__, self.values, other.values)
        return self

    def __rmul__(self, other: Any) -> Any:
        return ("rmul", repr(other))

    def __matmul__(self, other: Any) -> Any:
        return ("matmul", repr(other))

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        return ("rpow", repr(other))

    def __neg__(self) -> Any:
        return Vector(*(-v for v in self.values))

    def __bool__(self) -> bool:
        return any(self.values)

    def __getitem__(self, key: Any) -> Any:
        return self.values[key] if type(key) is int else ("item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = value

    def me(self) -> Any:
        return self


class Longer(Vector):
    """A subclass with a reflected method of its own, which is asked first."""

    def __radd__(self, other: Any) -> Any:
        return ("Longer radd", repr(other))


class Bare:
    """Has nothing."""

    def __repr__(self) -> str:
        return "Bare"


class Everything:
    """Has every special method that is not an operator between two objects."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def __len__(self) -> int:
        return 5

    def __length_hint__(self) -> int:
        return 6

    def __contains__(self, item: object) -> bool:
        return item == "inside"

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])

    def __reversed__(self) -> Iterator[int]:
        return iter([2, 1])

    def __getitem__(self, key: Any) -> Any:
        return key

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def __bool__(self) -> bool:
        return False

    def __hash__(self) -> int:
        return 77

    def __str__(self) -> str:
        return "a text"

    def __repr__(self) -> str:
        return "Everything"

    def __format__(self, spec: str) -> str:
        return f"formatted {spec}"

    def __bytes__(self) -> bytes:
        return b"bytes"

    def __int__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 2

    def __float__(self) -> float:
        return 3.0

    def __complex__(self) -> complex:
        return 4j

    def __round__(self, digits: int | None = None) -> Any:
        return ("round", digits)

    def __trunc__(self) -> int:
        return 5

    def __floor__(self) -> int:
        return 6

    def __ceil__(self) -> int:
        return 7

    def __neg__(self) -> int:
        return 8

    def __pos__(self) -> int:
        return 9

    def __abs__(self) -> int:
        return 10

    def __invert__(self) -> int:
        return 11

    def __divmod__(self, other: Any) -> Any:
        return ("divmod", other)

    def __rdivmod__(self, other: Any) -> Any:
        return ("rdivmod", other)

    def __pow__(self, exponent: Any, modulus: Any = None) -> Any:
        return ("pow", exponent, modulus)

    def __dir__(self) -> list[str]:
        return ["b", "a"]

    def __fspath__(self) -> str:
        return "/path"

    def __enter__(self) -> Any:
        self.log.append("enter")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> bool:
        self.log.append((kind.__name__ if kind else None, str(value)))
        return kind is KeyError


class Asynchronous:
    """Can be awaited, iterated over, and entered."""

    def __init__(self) -> None:
        self.count = 0

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "awaited"

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> int:
        self.count += 1
        if self.count > 3:
            raise StopAsyncIteration
        return self.count

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *exception: object) -> bool:
        return True


class Missing(dict[Any, Any]):
    def __missing__(self, key: Any) -> Any:
        return ("missing", key)


class Slotted:
    __slots__ = ("__weakref__", "a", "b")

    def __init__(self) -> None:
        self.a = 1


class Dynamic:
    """Makes attributes up: things to call, if they are public."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"no {name}")
        return lambda *args: (name, args)


class Counting:
    """A descriptor."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        return ("get", instance is not None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.written = value


class Attributes:
    """doc of Attributes"""

    kind = "class attribute"
    descriptor = Counting()

    def __init__(self) -> None:
        self.value = 1

    @property
    def double(self) -> int:
        return 2 * self.value

    @double.setter
    def double(self, value: int) -> None:
        self.value = value // 2

    @property
    def function(self) -> Any:
        return lambda x: x + self.value

    def method(self, *args: Any) -> Any:
        return ("method", args)

    def later(self) -> str:
        return "before"

    @functools.cache  # noqa: B019
    def cached(self, x: int) -> int:
        """doc of cached"""
        return x

    @classmethod
    def make(cls) -> str:
        return cls.__name__

    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b


def change_later() -> None:
    Attributes.later = lambda self: "after"  # type: ignore[method-assign]
    Attributes.new = property(lambda self: "new")  # type: ignore[attr-defined]


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return instance == 42 or type.__instancecheck__(cls, instance)

    def __len__(cls) -> int:
        return 7

    def __getitem__(cls, key: Any) -> Any:
        return ("meta", key)


class WithMeta(metaclass=Meta):
    attribute = 5


@dataclasses.dataclass
class Data:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)


class Color(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    a: int
    b: int


class Node:
    """A tree, with a lock that cannot be copied."""

    def __init__(self, name: str = "root") -> None:
        self.name = name
        self.children: list[Node] = []

    @property
    def first(self) -> Node:
        return self.children[0]

    def grow(self, name: str) -> Node:
        self.children.append(Node(name))
        return self.children[-1]

    def me(self) -> Node:
        return self
