"""How many requests things cost; what an operation costs on the owner is printed."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable
from typing import Any

import pytest
from model_things import Attributes, Dynamic
from twin import on_rank_0

import pygas
from pygas import _core


def requests(operation: Callable[[], object]) -> int:
    before = _core.requests_sent()
    operation()
    return _core.requests_sent() - before


@pytest.mark.ranks(2)
@on_rank_0
def test_one_request_each() -> None:
    items, table = pygas.at(1).new(list, [1, 2, 3]), pygas.at(1).new(dict, a=1)
    thing, dynamic = pygas.at(1).new(Attributes), pygas.at(1).new(Dynamic)
    number, text = pygas.at(1).new(int, 5), pygas.at(1).new(str, "text")
    single: dict[str, Callable[[], object]] = {
        "method": lambda: items.append(4),
        "method with keywords": lambda: items.sort(reverse=True),
        "user's method": lambda: thing.method(1),
        "class method": lambda: thing.make(),
        "static method": lambda: thing.add(1, 2),
        "property that returns a function": lambda: thing.function(1),
        "made-up attribute": lambda: dynamic.anything(1),
        "attribute": lambda: thing.value,
        "attribute set": lambda: setattr(thing, "value", 2),
        "item": lambda: items[0],
        "slice": lambda: items[1:],
        "item set": lambda: items.__setitem__(0, 5),
        "key": lambda: table["a"],
        "in": lambda: 2 in items,
        "len": lambda: len(items),
        "bool": lambda: bool(items),
        "hash": lambda: hash(number),
        "str": lambda: str(items),
        "format": lambda: f"{number:>5}",
        "comparison": lambda: items == [1],
        "ordering": lambda: number < 6,
        "operator": lambda: number + 1,
        "reflected operator": lambda: 1 - number,
        "concatenation": lambda: items + items,
        "text": lambda: text + "s",
        "isinstance": lambda: isinstance(items, list),
    }
    assert {name: requests(operation) for name, operation in single.items()} == dict.fromkeys(
        single, 1
    )


@pytest.mark.ranks(2)
@on_rank_0
def test_method_calls_wherever_they_stand() -> None:
    p = pygas.at(1).new(list)

    def loop() -> None:
        for i in range(100):
            p.append(i)

    def comprehension() -> list[None]:
        return [p.append(i) for i in range(100)]

    def many_names() -> None:
        a = b = c = d = e = p
        for q in (a, b, c, d, e) * 20:
            q.append(q.count(0) and 0)

    assert requests(loop) == 100
    assert requests(comprehension) == 100
    assert requests(lambda: {p.append(i) for i in range(100)}) == 100
    assert requests(lambda: [*(p.append(i) for i in range(100))]) == 100
    assert requests(many_names) == 200
    names: dict[str, Any] = {"p": p}
    filler = "".join(f"x{i} = y.z{i} = None\n" for i in range(300))  # names beyond an EXTENDED_ARG
    names["y"] = type("Y", (), {})()
    exec(f"def late():\n    {filler.replace(chr(10), ';')}p.append(1)", names)
    assert requests(names["late"]) == 1


@pytest.mark.ranks(2)
@on_rank_0
def test_method_calls_while_traced() -> None:
    p = pygas.at(1).new(list)

    def trace(frame: object, event: str, arg: object) -> Any:
        return trace

    def loop() -> None:
        for i in range(20):
            p.append(i)

    sys.settrace(trace)
    try:
        assert requests(loop) == 20
    finally:
        sys.settrace(None)
    sys.setprofile(lambda *event: None)
    try:
        assert requests(loop) == 20
    finally:
        sys.setprofile(None)


@pytest.mark.ranks(2)
@on_rank_0
def test_iteration_takes_few_requests() -> None:
    for kind in (list, tuple, set, range, dict.fromkeys):
        p = pygas.at(1).new(kind, 10_000) if kind is range else pygas.at(1).new(kind, range(10_000))
        assert requests(lambda p=p: [None for _ in p]) <= 14
        assert requests(lambda p=p: sum(p)) <= 14
    assert requests(lambda: "".join(pygas.at(1).new(str, 10_000 * "x"))) <= 15
    q = pygas.at(1).new(list, range(5))
    seen = []
    for item in q:
        seen.append(item)
        if item == 1:
            q.append(9)
    assert seen == [0, 1, 2, 3, 4, 9]


@pytest.mark.ranks(1)
def test_what_an_operation_costs_on_the_owner() -> None:
    names: dict[str, Any] = {"x": [1, 2, 3], "d": {"a": 1}, "n": 5, "t": Attributes()}
    proxies = {name: pygas.Proxy(value) for name, value in names.items()}
    for code in (
        *(
            "x[0]",
            "x[0] = 1",
            "len(x)",
            "2 in x",
            "bool(x)",
            "d['a']",
            "n + 1",
            "1 + n",
            "n < 6",
            "-n",
        ),
        *("t.value", "t.method()", "x.append", "x == x", "hash(n)", "t.value = 1"),
    ):
        number = 50_000
        plain, proxy = (
            min(timeit.repeat(code, globals=where, number=number, repeat=3)) / number * 1e6
            for where in (names, proxies)
        )
        print(f"{code:12} {plain:.3f} us, through a Proxy {proxy - plain:+.3f} us")
