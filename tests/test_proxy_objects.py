"""Attributes, methods, classes, records: what is around an object."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections import deque
from typing import Any

import model_things as things
import pytest
from model_things import (
    Asynchronous,
    Attributes,
    Color,
    Data,
    Dynamic,
    Longer,
    Pair,
    Slotted,
    Vector,
    WithMeta,
)
from twin import on_rank_0

import pygas


def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    return pygas.at(1).new(cls, *args, **kwargs)


def is_proxy(obj: object) -> bool:
    return issubclass(type(obj), pygas.Proxy)


@pytest.mark.ranks(2)
@on_rank_0
def test_attributes() -> None:
    p = new(Attributes)
    assert (p.value, p.kind, p.double, p.__doc__) == (1, "class attribute", 2, "doc of Attributes")
    assert (p.__module__, p.__dict__, vars(p)) == ("model_things", {"value": 1}, {"value": 1})
    assert p.__class__ is Attributes
    assert {"value", "method", "double"} <= set(dir(p))
    p.double = 10
    assert (p.value, p.double) == (5, 10)
    assert p.descriptor == ("get", True)
    p.descriptor = 7
    assert p.written == 7
    assert getattr(p, "nothing", 3) == 3
    with pytest.raises(AttributeError, match="'Attributes' object has no attribute 'nothing'"):
        _ = p.nothing
    with pytest.raises(AttributeError, match="nothing"):
        del p.nothing
    assert (p.method(1, 2), p.make(), p.add(1, 2)) == (("method", (1, 2)), "Attributes", 3)
    assert p.function(3) == 8
    bound = p.method
    p.method = "shadow"
    assert p.method == "shadow"
    with pytest.raises(TypeError, match="'str' object is not callable"):
        p.method(1)
    del p.method
    assert p.method(1) == bound(1) == ("method", (1,))
    p.method = operator_like
    assert p.method(4) == 8


def operator_like(x: int) -> int:
    return 2 * x


@pytest.mark.ranks(2)
@on_rank_0
def test_methods_as_values() -> None:
    p = new(Attributes)
    bound = p.method
    assert bound == p.method != p.later
    assert hash(bound) == hash(p.method)
    assert bound != new(Attributes).method
    assert (bound.__name__, bound.__self__ is p) == ("method", True)
    assert (p.cached(1), p.cached(1)) == (1, 1)
    cached = p.cached
    assert cached.__doc__ == "doc of cached"
    assert cached.cache_info().hits == 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = bound.nothing


@pytest.mark.ranks(2)
@on_rank_0
def test_a_subclass_is_asked_first() -> None:
    p = new(Vector, 1, 2)
    assert p + Longer(1, 1) == Vector(1, 2) + Longer(1, 1) == ("Longer radd", "Vector(1, 2)")
    assert p + new(Longer, 1, 1) == ("Longer radd", "Vector(1, 2)")


@pytest.mark.ranks(2)
@on_rank_0
def test_a_class_that_is_changed_later() -> None:
    p = new(Attributes)
    assert p.later() == "before"
    pygas.at(1).call(things.change_later)
    assert p.later() == "after"
    assert p.new == "new"


@pytest.mark.ranks(2)
@on_rank_0
def test_slots_and_made_up_attributes() -> None:
    s = new(Slotted)
    assert (s.a, hasattr(s, "b")) == (1, False)
    s.b = 2
    assert s.b == 2
    with pytest.raises(AttributeError, match="'Slotted' object has no attribute 'c'"):
        s.c = 1
    d = new(Dynamic)
    assert d.anything(1, 2) == ("anything", (1, 2))
    assert getattr(d, "anything")(3) == ("anything", (3,))  # noqa: B009
    with pytest.raises(AttributeError, match="no _private"):
        _ = d._private


def proxy_of(obj: Any) -> Any:
    return pygas.Proxy(obj)


@pytest.mark.ranks(2)
@on_rank_0
def test_classes() -> None:
    p, listing = pygas.at(1).call(proxy_of, WithMeta), pygas.at(1).call(proxy_of, list)
    assert (p.attribute, p[3], len(p), p.__name__) == (5, ("meta", 3), 7, "WithMeta")
    assert isinstance(p(), WithMeta)
    assert isinstance(42, p)
    assert not isinstance(41, p)
    assert issubclass(WithMeta, p)
    assert listing("ab") == ["a", "b"]
    assert listing[int] == list[int]
    assert isinstance([], listing)
    assert isinstance(new(list), listing)
    assert isinstance(listing, type)
    assert listing == list  # noqa: E721
    with pytest.raises(TypeError, match="type 'Attributes' is not subscriptable"):
        pygas.at(1).call(proxy_of, Attributes)[int]


@pytest.mark.ranks(2)
@on_rank_0
def test_match() -> None:
    def kind(x: Any) -> Any:
        match x:
            case Data(x=1):
                return "data"
            case Pair(a, b):
                return a + b
            case [first, *rest]:
                return first, rest
            case {"a": a, **rest}:
                return a, rest
            case int(number):
                return number
            case _:
                return None

    for make in (lambda: Data(1), lambda: [1, 2], lambda: (1, 2), lambda: Pair(1, 2)):
        assert kind(pygas.at(1).call(proxy_of, make())) == kind(make())
    for make in (lambda: {"a": 1, "b": 2}, lambda: 5, lambda: "text", lambda: deque("ab")):
        assert kind(pygas.at(1).call(proxy_of, make())) == kind(make())


@pytest.mark.ranks(2)
@on_rank_0
def test_asynchronous() -> None:
    async def use() -> Any:
        p = new(Asynchronous)
        async with p as entered:
            raise ValueError("swallowed")
        return await p, [x async for x in p], entered

    assert asyncio.run(use()) == ("awaited", [1, 2, 3], "entered")

    async def wrong() -> None:
        await new(list)

    with pytest.raises(TypeError, match=r"list.* can't be (used in 'await'|awaited)"):
        asyncio.run(wrong())


@pytest.mark.ranks(2)
@on_rank_0
def test_records() -> None:
    d, pair, red = new(Data, 1, [2]), new(Pair, 1, 2), pygas.at(1).call(proxy_of, Color.RED)
    assert d == Data(1, [2])
    assert Data(1, [2]) == d
    assert repr(d) == repr(Data(1, [2]))
    assert [f.name for f in dataclasses.fields(d)] == ["x", "y"]
    assert (pair.a, pair[1], pair._asdict(), pair == (1, 2)) == (1, 2, {"a": 1, "b": 2}, True)
    assert pair._replace(a=5) == Pair(5, 2)
    assert (red.name, red.value, red == Color.RED, red == Color.RED) == ("RED", 1, True, True)


def thousand_classes() -> list[Any]:
    return [pygas.Proxy(type(f"Class{i}", (), {"x": i})()) for i in range(1000)]


@pytest.mark.ranks(2)
@on_rank_0
def test_thousands_of_classes() -> None:
    for _ in range(3):
        proxies = pygas.at(1).call(thousand_classes)
        assert [p.x for p in proxies[::100]] == list(range(0, 1000, 100))
        assert len({type(p) for p in proxies}) == 1000


@pytest.mark.ranks(2)
@on_rank_0
def test_pathlib_and_names() -> None:
    path = new(pathlib.Path, "/etc")
    assert path / "hostname" == pathlib.Path("/etc/hostname")
    assert path.exists()
    with open(new(pathlib.Path, __file__)) as file:
        assert file.readline().startswith('"""')
    assert "pygas" in repr(type(path))
    assert not any(name for name in vars(pygas.Proxy) if not name.startswith("__"))
