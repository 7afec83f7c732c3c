"""What stays a reference, what is copied, and the modes by_ref and async_."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest
from model_things import (
    Attributes,
    Dynamic,
    Node,
)
from twin import on_rank_0

import pygas


def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    return pygas.at(1).new(cls, *args, **kwargs)


def is_proxy(obj: object) -> bool:
    return issubclass(type(obj), pygas.Proxy)


def proxy_of(obj: Any) -> Any:
    return pygas.Proxy(obj)


@pytest.mark.ranks(2)
@on_rank_0
def test_copies_references_and_weak_references() -> None:
    p = new(list, [[1]])
    for twin in (copy.copy(p), copy.deepcopy(p), copy.deepcopy({"p": p})["p"], pygas.resolve(p)):
        assert not is_proxy(twin)
        assert twin == [[1]]
    again = pickle.loads(pickle.dumps({"p": p}))["p"]
    again.append(2)
    assert p == [[1], 2]
    reference = weakref.ref(p)
    table = weakref.WeakKeyDictionary({new(Attributes): 1})
    assert reference() is p
    del p
    gc.collect()
    assert reference() is None
    assert len(table) == 0


@pytest.mark.ranks(2)
@on_rank_0
def test_a_proxy_in_a_container_stays_a_proxy() -> None:
    here = [1]
    mine, box, table = pygas.Proxy(here), new(list), new(dict)
    box.append(mine)
    table["k"] = mine
    table.setdefault("l", []), table.update(m=(mine,))
    for got in (box[0], table["k"], table["m"][0], *box):
        assert is_proxy(got)
        assert pygas.local(got) is here
    box.append(box)
    assert is_proxy(box[1])
    assert pygas.owner(box[1]) == 1
    assert box[1][0] == [1]


@pytest.mark.ranks(3)
@on_rank_0
def test_proxies_to_proxies_forward_to_the_end() -> None:
    end = pygas.at(2).new(dict, a=1)
    outer = pygas.at(1).call(proxy_of, pygas.at(1).call(proxy_of, end))
    outer["b"] = 2
    assert end == {"a": 1, "b": 2} == outer
    assert (len(outer), sorted(outer), outer.get("c", 3), "b" in outer) == (2, ["a", "b"], 3, True)
    assert isinstance(outer, dict)
    assert outer | {"z": 0} == {"a": 1, "b": 2, "z": 0}


def opened() -> Any:
    return open(__file__)


def maker(kind: str) -> Any:
    return {
        "generator": (i for i in range(3)),
        "iterator": iter([1, 2]),
        "map": map(str, [1]),
        "lock": threading.Lock(),
        "file": opened(),
        "socket": socket.socket(),
        "module": math_module(),
        "method": Attributes().method,
        "stream": io.BytesIO(b"copied").readline,
        "nested": [threading.Lock()],
        "condition": threading.Condition(),
    }[kind]


def math_module() -> Any:
    import math

    return math


@pytest.mark.ranks(2)
@on_rank_0
def test_what_cannot_be_copied_comes_as_a_proxy() -> None:
    got = {name: pygas.at(1).call(maker, name) for name in ("generator", "iterator", "map", "lock")}
    got |= {name: pygas.at(1).call(maker, name) for name in ("file", "socket", "module", "method")}
    got |= {name: pygas.at(1).call(maker, name) for name in ("stream", "nested", "condition")}
    assert {name for name, value in got.items() if not is_proxy(value)} == set()
    assert (list(got["generator"]), list(got["generator"])) == ([0, 1, 2], [])
    assert (next(got["iterator"]), next(got["iterator"]), next(got["iterator"], "end")) == (
        1,
        2,
        "end",
    )
    assert [*got["map"]] == ["1"]
    with got["lock"]:
        assert got["lock"].locked()
    assert not got["lock"].locked()
    with got["file"] as file:
        assert next(iter(file)).startswith('"""')
    assert file.closed
    got["socket"].close()
    assert got["module"].sqrt(16) == 4
    assert got["method"](1) == ("method", (1,))
    assert got["stream"]() == b"copied"
    with got["condition"]:
        got["condition"].notify_all()


@pytest.mark.ranks(2)
@on_rank_0
def test_arguments_that_cannot_be_copied_are_references() -> None:
    p, lock = new(list), threading.Lock()
    p.extend(i * i for i in range(3))
    assert p == [0, 1, 4]
    p.append(lock)
    assert pygas.local(p[3]) is lock
    with pytest.raises(TypeError, match="cannot pickle"):
        pygas.at(1).call(len, [lock])


@pytest.mark.ranks(2)
@on_rank_0
def test_by_ref_all_the_way_down() -> None:
    tree = pygas.by_ref(new(Node))
    leaf = tree.grow("leaf")
    leaf.grow("small")
    for p in (leaf, tree.first, tree.children[0], tree.children[0].first, tree.name):
        assert is_proxy(p)
        assert pygas.owner(p) == 1
    tree.first.name = "changed"
    assert pygas.resolve(tree).children[0].name == "changed"
    assert pygas.resolve(tree.first.first.name) == "small"
    assert tree.me() is tree
    assert [pygas.resolve(p.name) for p in tree.children] == ["changed"]
    assert is_proxy(tree.name + "x")
    assert len(tree.children) == 1


@pytest.mark.ranks(2)
@on_rank_0
def test_async_for_every_kind_of_operation() -> None:
    items = new(list, [3, 1, 2])
    p = pygas.async_(items)
    futures = [p.index(1), p[0], p[1:], p + items, p * 2, p == [3, 1, 2], p.__class__]
    assert [f.result(10) for f in futures] == [
        1,
        3,
        [1, 2],
        [3, 1, 2] * 2,
        [3, 1, 2] * 2,
        True,
        list,
    ]
    p[0] = 5
    p.sort()
    del p[0]
    assert items == [2, 5]
    number = pygas.async_(new(int, 6))
    futures = [
        -number,
        number + 1,
        1 - number,
        number**2,
        divmod(number, 4),
        abs(number),
        number < 7,
    ]
    assert [f.result(10) for f in futures] == [-6, 7, -5, 36, (1, 2), 6, True]
    thing = new(Attributes)
    q = pygas.async_(thing)
    q.value = 8
    assert (q.value.result(10), q.method(1).result(10)) == (8, ("method", (1,)))
    assert pygas.async_(new(Dynamic)).call.result(10)(2) == ("call", (2,))
    assert isinstance(q.nothing.exception(10), AttributeError)
    for code in ("len(p)", "bool(p)", "1 in p", "hash(q)", "int(number)", "str(p)"):
        with pytest.raises(TypeError, match="async_"):
            eval(code, {"p": p, "q": q, "number": number})


@pytest.mark.ranks(2)
@on_rank_0
def test_the_same_proxy_comes_back() -> None:
    p = new(Node)
    assert p.me() is p
    items = before = new(list)
    items += [1]
    assert items is before


LOAD = """
import pickle, sys, pygas
try:
    pickle.loads(bytes.fromhex(sys.argv[1]))
except ReferenceError as error:
    print("refused:", error)
"""


@pytest.mark.ranks(2)
@on_rank_0
def test_a_proxy_from_another_job_is_refused() -> None:
    data = pickle.dumps(new(list))
    run = [sys.executable, "-c", LOAD, data.hex()]
    out = subprocess.run(
        run, capture_output=True, text=True, timeout=30, check=True, cwd="/"
    ).stdout
    assert "refused: this is a Proxy to a list of another job" in out


@pytest.mark.ranks(2)
@on_rank_0
def test_long_chains() -> None:
    p = pygas.Proxy([1])
    for _ in range(100_000):
        p = pygas.Proxy(p)
    p.append(2)
    assert p == [1, 2]
    nested: Any = None
    for _ in range(100_000):
        nested = pygas.Proxy([nested])
    del nested
    far = new(list)
    for i in range(5):
        far = pygas.at(i % 2).call(proxy_of, far)
    far.append(1)
    assert far == [1]


@pytest.mark.ranks(2)
@on_rank_0
def test_cycles_of_proxies_are_collected() -> None:
    class Cycle:
        pass

    thing = Cycle()
    thing.me = pygas.Proxy(thing)  # type: ignore[attr-defined]
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None


def told_of(proxies: list[Any]) -> list[tuple[str, int]]:
    return [(type(p).__name__, len(p)) for p in proxies]


@pytest.mark.ranks(2, timeout=120)
@on_rank_0
def test_classes_come_again_after_others() -> None:
    """More classes than are remembered, whose names and slots are in part the same."""

    def some(number: int) -> Any:
        sizes = {"__len__": lambda _: number}
        if number % 3 == 0:
            sizes["__contains__"] = lambda *_: False
        return pygas.Proxy(type(f"Class{number // 2}", (), sizes)())

    there = pygas.at(1)
    kept = [some(number) for number in range(10)]
    for start in [*range(10, 4000, 100), *range(10, 4000, 700)]:
        numbers = range(start, start + 100)
        expected = [(f"Class{number // 2}", number) for number in (*numbers, *range(10))]
        assert there.call(told_of, [*(some(number) for number in numbers), *kept]) == expected
