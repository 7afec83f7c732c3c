"""Proxies: what an object does through one, and what stays a reference."""

from __future__ import annotations

import math
import threading
from collections import Counter

import pytest
from proxykit import Point, last, make

import pygas


class Slotted:
    __slots__ = ("__weakref__", "a")


class Dynamic:
    """Answers for attributes that are nowhere."""

    def __init__(self) -> None:
        self.__dict__["seen"] = {}

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"dynamic {name}"

    def __setattr__(self, name: str, value: object) -> None:
        self.seen[name] = value

    def __delattr__(self, name: str) -> None:
        del self.seen[name]


@pytest.mark.ranks(1, 2)
def test_instances_behave_through_a_proxy() -> None:
    p = make(Point, 3, 4)
    pygas.barrier()
    if last():
        assert (p.x, p.y, p.kind, p.norm) == (3, 4, "point", 5)
        assert p.move(1, dy=2) == (4, 6)
        p.norm = 7
        assert (p.x, p.y) == (7, 0)
        p.new = ["anything"]
        assert p.new == ["anything"]
        del p.new
        with pytest.raises(AttributeError, match="new"):
            _ = p.new
        assert p.add(2, 3) == 5
        assert p.name() == "Point"
        assert isinstance(p, Point)
        assert p.__class__ is Point
        assert (repr(p), str(p), f"{p}") == ("Point(7, 0)", "<7 0>", "<7 0>")
        assert bool(p)
        assert len(p) == 2
        assert 7 in p
        assert 8 not in p
        assert p == Point(7, 0)
        assert Point(7, 0) == p
        assert p != Point(7, 1)
        assert p < Point(8) < Point(9)
        assert not Point(8) < p
        with pytest.raises(TypeError):
            _ = p <= 3
        assert hash(p) == hash(Point(7, 0))
        assert {p: 1}[Point(7, 0)] == 1
        with pytest.raises(TypeError, match="not iterable"):
            iter(p)
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_containers_behave_through_a_proxy() -> None:
    items, table, counter = make(list, "abc"), make(dict), make(Counter)
    pygas.barrier()
    if last():
        items.append("d")
        items[0], items[1:3] = "A", ["B"]
        del items[-1]
        assert items == ["A", "B"]
        assert (len(items), "B" in items, items.index("B"), items[::-1]) == (2, True, 1, ["B", "A"])
        with pytest.raises(IndexError, match="out of range"):
            _ = items[5]
        with pytest.raises(TypeError, match="unhashable"):
            hash(items)
        table["k"] = {"nested": [1, (2, None)]}
        table[(1, "t")] = ...
        assert table["k"]["nested"][1] == (2, None)
        assert sorted(map(str, table.keys())) == ["(1, 't')", "k"]
        assert table.pop("k") == {"nested": [1, (2, None)]}
        assert table.get("k", 5) == 5
        with pytest.raises(KeyError, match="gone"):
            del table["gone"]
        counter.update("hello")
        counter["z"] += 3
        assert counter.most_common(1) == [("z", 3)]
        counter.clear()
        assert not counter
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_slots_and_dynamic_attributes() -> None:
    s, d = make(Slotted), make(Dynamic)
    pygas.barrier()
    if last():
        with pytest.raises(AttributeError):
            _ = s.a
        s.a = 1
        assert s.a == 1
        with pytest.raises(AttributeError):
            s.b = 1
        del s.a
        assert not hasattr(s, "a")
        for name in ("owner", "local", "id", "object", "x y", "größe", "变量", "", "a" * 500):
            assert getattr(d, name) == f"dynamic {name}"
            setattr(d, name, name)
            assert d.seen[name] == name
            delattr(d, name)
            assert name not in d.seen
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_modules_functions_and_classes() -> None:
    module, function, cls = (pygas.share(thing) for thing in (math, math.hypot, Point))
    pygas.barrier()
    if last():
        assert module.sqrt(16) == 4
        assert module.pi == math.pi
        assert module.__name__ == "math"
        assert function(3, 4) == 5
        assert cls(3, y=1) == Point(3, 1)
        assert cls.add(1, 1) == 2
        with pytest.raises(ValueError, match=r"domain|nonnegative"):
            module.sqrt(-1)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_questions_about_a_proxy() -> None:
    thing = Point(1, 2)
    p = pygas.share(thing)
    assert pygas.owner(p) == 0
    if pygas.MYTHREAD == 0:
        assert pygas.is_local(p)
        assert pygas.local(p) is thing
    else:
        assert not pygas.is_local(p)
        with pytest.raises(ValueError, match="lives on rank 0, and this is rank 1"):
            pygas.local(p)
    twin = pygas.resolve(p)
    assert twin == thing
    assert type(twin) is Point
    assert twin is not thing
    for question in (pygas.owner, pygas.is_local, pygas.local, pygas.resolve):
        with pytest.raises(TypeError, match=r"needs a pygas\.Proxy, and a Point is none"):
            question(thing)
    with pytest.raises(TypeError):
        pygas.resolve(pygas.at(0).call(threading.Lock))
    assert not [name for name in vars(pygas.Proxy) if not name.startswith("__")]
    pygas.barrier()
