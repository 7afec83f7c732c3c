"""Classes that are copied in every way that there is, and a comparison of copies."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
from typing import Any, NamedTuple

#: What hooks were called, in order.
log: list[Any] = []


class Plain:
    """An ordinary class."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Child(Plain):
    pass


@dataclasses.dataclass
class Point:
    x: float
    y: float
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int


@dataclasses.dataclass(slots=True)
class SlottedPoint:
    x: int
    y: int


class Slots:
    __slots__ = ("a", "b")


class SlotsAndDict(Slots):
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Flags(enum.Flag):
    A = 1
    B = 2


class Pair(NamedTuple):
    left: Any
    right: Any


class MyList(list[Any]):
    def extend(self, items: Any) -> None:
        log.append(("extend", len(items)))
        super().extend(items)


class MyDict(dict[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        log.append(("setitem", key))
        super().__setitem__(key, value)


class MyInt(int):
    pass


class MyStr(str):
    pass


class MyTuple(tuple[Any, ...]):
    pass


class MySet(set[Any]):
    pass


class Stateful:
    """Has both hooks of state."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getstate__(self) -> Any:
        log.append("getstate")
        return {"v": self.value}

    def __setstate__(self, state: Any) -> None:
        log.append("setstate")
        self.value = state["v"]


class OnlySetstate(Plain):
    def __setstate__(self, state: Any) -> None:
        log.append(("setstate", sorted(state)))
        self.__dict__.update(state, restored=True)


class Falsy(Plain):
    """Its state is false, so that it gets none."""

    def __getstate__(self) -> Any:
        return None

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("called for a state of None")


class NewArgs:
    def __new__(cls, first: Any, *, key: Any = None) -> Any:
        log.append(("new", first, key))
        self = super().__new__(cls)
        self.first, self.key = first, key
        return self

    first: Any
    key: Any

    def __getnewargs_ex__(self) -> Any:
        log.append("getnewargs_ex")
        return (self.first,), {"key": self.key}


class OldNewArgs(int):
    def __getnewargs__(self) -> Any:
        log.append("getnewargs")
        return (int(self),)


class Reduces:
    def __init__(self, *args: Any) -> None:
        log.append(("init", len(args)))
        self.args = args

    def __reduce__(self) -> Any:
        log.append("reduce")
        return Reduces, self.args


class ReducesEx(Reduces):
    def __reduce_ex__(self, protocol: Any) -> Any:
        log.append(("reduce_ex", protocol))
        return ReducesEx, self.args, {"extra": [self]}


class WithSetter(Plain):
    def __reduce__(self) -> Any:
        return WithSetter, (), self.__dict__, None, None, set_state


def set_state(obj: Any, state: Any) -> None:
    log.append(("setter", sorted(state)))
    obj.__dict__.update(state)


class Everything:
    """Uses every part of a reduction."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.pairs: dict[Any, Any] = {}

    def append(self, item: Any) -> None:
        log.append(("append", item))
        self.items.append(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        log.append(("set", key))
        self.pairs[key] = value

    def __reduce__(self) -> Any:
        return (
            Everything,
            (),
            {"more": len(self.items)},
            iter(self.items),
            iter(self.pairs.items()),
        )


class ByName:
    def __reduce__(self) -> str:
        return "THE_ONE"


THE_ONE = ByName()


class Registered(Plain):
    pass


def reduce_registered(obj: Registered) -> Any:
    log.append("registered")
    return Registered, (), obj.__dict__


copyreg.pickle(Registered, reduce_registered)


class WithProperty:
    """Has a property of the same name as an attribute in its __dict__."""

    @property
    def x(self) -> Any:
        return self.__dict__["x"] * 2

    @x.setter
    def x(self, value: Any) -> None:
        raise AssertionError("a copy is not made by setting properties")


class Guarded(Plain):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError("a copy is not made by setting attributes")


class Elusive(Plain):
    def __getattr__(self, name: str) -> Any:
        log.append(("getattr", name))
        raise AttributeError(name)


class Hooked(Plain):
    """Has its hook in the instance."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.__dict__["__reduce_ex__"] = lambda protocol: (Plain, (), {"hooked": True})


class Fussy(Exception):
    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(a, b)
        self.extra = [a, b]


class Meta(type):
    pass


class WithMeta(Plain, metaclass=Meta):
    pass


class Outer:
    class Inner(Plain):
        pass


def function(x: Any) -> Any:
    return x


#: Immutable and without parts: nobody can tell one from an equal one, except texts, which pickle
#: keeps apart.
_ATOMS = (int, float, complex, bool, type(None), str, bytes, range, slice)


def assert_twins(one: Any, other: Any) -> None:
    """Check that two graphs of objects are equal, in types, values and what is the same object."""
    seen: dict[int, Any] = {}
    back: dict[int, Any] = {}
    stack = [(one, other)]
    while stack:
        a, b = stack.pop()
        assert type(a) is type(b), (a, b)
        if isinstance(a, (type, enum.Enum)) or callable(a):
            assert a is b
            continue
        if type(a) in _ATOMS:
            assert repr(a) == repr(b)
            continue
        if type(a) in (tuple, frozenset) and not a:
            assert a == b
            continue
        if id(a) in seen or id(b) in back:
            assert seen.get(id(a)) is b, ("aliases differ", a, b)
            assert back.get(id(b)) is a, ("aliases differ", a, b)
            continue
        seen[id(a)] = b
        back[id(b)] = a
        stack.extend(_parts(a, b))


def _parts(a: Any, b: Any) -> list[tuple[Any, Any]]:
    parts: list[tuple[Any, Any]] = []
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b), (a, b)
        parts += zip(a, b, strict=True)
    elif isinstance(a, dict):
        assert len(a) == len(b), (a, b)
        parts += zip(a, b, strict=True)
        parts += zip(a.values(), b.values(), strict=True)
    elif isinstance(a, (set, frozenset)):
        parts += zip(sorted(a, key=repr), sorted(b, key=repr), strict=True)
    elif isinstance(a, bytearray):
        assert a == b
    elif isinstance(a, BaseException):
        parts.append((a.args, b.args))
    if type(a).__reduce_ex__ is object.__reduce_ex__ and not parts and hasattr(a, "__slots__"):
        for name in a.__slots__:
            assert hasattr(a, name) == hasattr(b, name)
            if hasattr(a, name):
                parts.append((getattr(a, name), getattr(b, name)))
    if hasattr(a, "__dict__"):
        parts.append((vars(a), vars(b)))
    return parts
