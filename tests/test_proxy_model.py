"""The data model through Proxies: the same values, errors and texts as with the object itself."""

from __future__ import annotations

import array
import collections
import decimal
import fractions
import functools
import math  # noqa: F401  (for the expressions)
import operator  # noqa: F401
from collections import abc
from typing import Any

import pytest
from model_things import Bare, Everything, Missing, Vector
from twin import compare, on_rank_0

import pygas

BINARY = ["+", "-", "*", "/", "//", "%", "@", "**", "<<", ">>", "&", "|", "^"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]

# Pairs of operands. What C code does not take for what it stands for (a text, a tuple, bytes as the
# right operand of a plain one) is in test_where_code_must_notice.
OPERANDS: list[tuple[Any, Any]] = [
    (functools.partial(int, 7), functools.partial(int, 2)),
    (functools.partial(int, 7), functools.partial(float, 2)),
    (functools.partial(float, 7), lambda: None),
    (functools.partial(complex, 1), functools.partial(int, 2)),
    (functools.partial(decimal.Decimal, 7), functools.partial(int, 2)),
    (functools.partial(int, 7), functools.partial(fractions.Fraction, 1, 2)),
    (functools.partial(set, [1, 2, 3]), functools.partial(set, [2, 3, 4])),
    (functools.partial(set, [1, 2, 3]), functools.partial(frozenset, [2, 3, 4])),
    (functools.partial(set, [1, 2, 3]), functools.partial(list, [2, 3, 4])),
    (functools.partial(dict, a=1), functools.partial(dict, b=2)),
    (functools.partial(list, [1, 2]), functools.partial(int, 2)),
    (functools.partial(int, 2), functools.partial(list, [1, 2])),
    (functools.partial(collections.Counter, "aab"), functools.partial(collections.Counter, "abc")),
    (functools.partial(Vector, 1, 2), functools.partial(Vector, 3, 4)),
    (functools.partial(Vector, 1, 2), functools.partial(int, 2)),
    (functools.partial(int, 2), functools.partial(Vector, 1, 2)),
    (functools.partial(Vector, 1, 2), Bare),
    (Bare, functools.partial(Vector, 1, 2)),
    (Bare, Bare),
    (functools.partial(list, [1]), functools.partial(Vector, 1)),
]


@pytest.mark.ranks(2, 3)
@on_rank_0
def test_binary_operators() -> None:
    for (x, y), sign in [(pair, sign) for pair in OPERANDS for sign in BINARY]:
        compare(f"x {sign} y", x=x, y=y)


@pytest.mark.ranks(2, 3)
@on_rank_0
def test_inplace_operators() -> None:
    for (x, y), sign in [(pair, sign) for pair in OPERANDS for sign in BINARY]:
        compare(f"x {sign}= y", x=x, y=y)


@pytest.mark.ranks(2, 3)
@on_rank_0
def test_comparisons() -> None:
    for (x, y), sign in [(pair, sign) for pair in OPERANDS for sign in COMPARISONS]:
        compare(f"x {sign} y", x=x, y=y)


@pytest.mark.ranks(2, 3)
@on_rank_0
def test_sequences() -> None:
    for cls in (list, collections.deque):
        one, two = functools.partial(cls, "ab"), functools.partial(cls, "cd")
        for code in ("x + y", "x += y", "x == y", "x < y", "y in x", "x.extend(y) or list(x)"):
            compare(code, x=one, y=two)
    compare("x += y", x=functools.partial(list, "ab"), y=functools.partial(tuple, "cd"))
    compare("x += y", x=functools.partial(bytearray, b"ab"), y=functools.partial(bytes, b"cd"))
    compare("x += y", x=functools.partial(array.array, "i", [1]), y=lambda: array.array("i", [2]))
    compare("x *= 2", x=functools.partial(list, "ab"))
    compare("x *= y", x=functools.partial(list, "ab"), y=functools.partial(int, 2))


UNARY = """
-x|+x|abs(x)|~x|int(x)|float(x)|complex(x)|operator.index(x)|round(x)|round(x, 2)|math.trunc(x)
math.floor(x)|math.ceil(x)|bool(x)|not x|len(x)|hash(x)|str(x)|repr(x)|format(x, "")|f"{x}"
f"{x!r:>20}"|"%s" % x|"%r" % (x,)|bytes(x)|list(x)|tuple(x)|sorted(x)|list(reversed(x))
iter(x) is None|next(x)|operator.length_hint(x)|1 in x|"inside" in x|x[0]|x[1:2]|x["a", 1]|x()
x(1, a=2)|callable(x)|divmod(x, 2)|divmod(7, x)|pow(x, 2)|pow(x, 2, 3)|pow(2, x)|set(x)|dict(x)
sum(x)|max(x)|list(enumerate(x))|list(zip(x, x))|(lambda *a: a)(*x)|(lambda **k: k)(**x)|{**x}
[*x]|"-".join(x)|b"-".join(x)|range(5)[x]|[1, 2, 3][x]|"abc" * x|x.__doc__|x.__class__
x.__module__|x.nothing|getattr(x, "nothing", 5)|hasattr(x, "nothing")|isinstance(x, x.__class__)
x == x|x != x|x is x|__import__("os").fspath(x)|{x: 1}[x]|x.__class__.__name__|"%d" % x
"{0:}".format(x)
"""

CHANGES = """
x[0] = 1|x["a"] = 1|del x[0]|del x["a"]|x.new = 1|del x.new|x.__class__ = 5|with x: pass
for x in x: pass|a, b = x|x[1:] = [7, 8]|x[...] = 1|x.append(5)|x.update([3])
"""


def codes(table: str) -> list[str]:
    return [code for line in table.split("\n") for code in line.split("|") if code]


@pytest.mark.ranks(2)
@on_rank_0
def test_one_operand() -> None:
    makers: list[Any] = [
        *(functools.partial(int, 3), functools.partial(float, 2.5), functools.partial(str, "ab")),
        *(functools.partial(bytes, b"ab"), functools.partial(list, [1, 2]), lambda: (1, 2)),
        *(lambda: {"a": 1}, functools.partial(set, [1]), functools.partial(range, 3)),
        *(functools.partial(complex, 1), functools.partial(Vector, 1, 2), Everything, Missing),
        *(functools.partial(collections.deque, [3, 4]), functools.partial(frozenset, [1])),
    ]
    for maker in makers:
        for code in codes(UNARY + CHANGES):
            if not needs_exact_type(code, maker()):
                compare(code, x=maker)


def needs_exact_type(code: str, x: Any) -> bool:
    """Tell whether C code in it insists on a type: see docs/proxies.md."""
    if code == '"%s" % x' and isinstance(x, tuple):
        return True
    if code in ("bytes(x)",) and isinstance(x, bytes | str | int):
        return True
    if code == '"%d" % x':
        return isinstance(x, tuple)
    texts = ("int(x)", "float(x)", "complex(x)", '__import__("os").fspath(x)')
    return code in texts and isinstance(x, str | bytes)


@pytest.mark.ranks(2)
@on_rank_0
def test_abstract_classes() -> None:
    names = [name for name in abc.__all__ if name not in ("ByteString", "Buffer")]
    objects: list[Any] = [
        5,
        "a",
        b"",
        [],
        (),
        {},
        set(),
        iter([]),
        range(3),
        len,
        Bare(),
        Everything(),
    ]
    objects += [Vector(1), Missing(), collections.deque(), {}.items(), (i for i in [])]
    for obj in objects:
        p = pygas.at(1).call(kept, obj) if copyable(obj) else pygas.Proxy(obj)
        for name in names:
            cls = getattr(abc, name)
            assert isinstance(p, cls) == isinstance(obj, cls), (obj, name)


def copyable(obj: Any) -> bool:
    return not isinstance(obj, abc.Generator | abc.ItemsView)


def kept(obj: Any) -> Any:
    return pygas.Proxy(obj)


@pytest.mark.ranks(2)
@on_rank_0
def test_special_method_of_everything() -> None:
    p = pygas.at(1).new(Everything)
    with p as q:
        assert q is p
        raise KeyError("swallowed")
    with pytest.raises(ValueError, match="not swallowed"), p:
        raise ValueError("not swallowed")
    assert p.log == ["enter", ("KeyError", "'swallowed'"), "enter", ("ValueError", "not swallowed")]
