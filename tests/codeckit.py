"""What the tests of the codec share: how to copy, and samples of all that can be copied."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import os
import pathlib
import pickle
import types
from collections.abc import Callable
from typing import Any

import codec_things as things
import numpy as np

from pygas._job import core


def dumps(obj: Any) -> bytes:
    return core().dumps(obj)  # type: ignore[no-any-return]


def loads(data: bytes) -> Any:
    return core().loads(data)


def copied(obj: Any) -> Any:
    return loads(dumps(obj))


def pickled(obj: Any) -> Any:
    return pickle.loads(pickle.dumps(obj, 5))


def check(obj: Any) -> Any:
    """Check that the codec copies `obj` as pickle does."""
    twin = copied(obj)
    things.assert_twins(pickled(obj), twin)
    return twin


def with_slots() -> Any:
    slots, both = things.Slots(), things.SlotsAndDict()
    slots.a = [1]
    both.a, both.b, both.c = 1, slots, 2  # type: ignore[attr-defined]
    return [slots, both]


def everything() -> Any:
    made = things.Everything()
    made.items, made.pairs = list(range(2500)), {i: str(i) for i in range(1200)}
    return made


EXAMPLES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: [0, 1, -1, 127, 128, -128, -129, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1],
    "large numbers": lambda: [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 7**1000, -(7**1000)],
    "floats": lambda: [0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), 5e-324],
    "constants": lambda: [None, True, False, ..., NotImplemented, 1j, -0.0j],
    "their types": lambda: [type(None), type(...), type(NotImplemented), bool, int, type],
    "texts": lambda: [
        "",
        "a",
        "é",
        "ab",
        "éa",
        "漢字",
        "😀a",
        "\0",
        "\ud800",
        "x" * 300,
        "é" * 254,
    ],
    "long texts": lambda: [c * n for c in "aé漢😀" for n in (31, 32, 33, 254, 255, 256, 70_000)],
    "bytes": lambda: [b"", b"a", b"ab" * 300, bytearray(), bytearray(b"ab" * 500)],
    "tuples": lambda: [(), (1,), (1, (2, (3,))), tuple(range(300))],
    "lists of floats": lambda: [[1.5] * 5, [float(i) for i in range(1000)], [1.5] * 9 + [1]],
    "lists of ints": lambda: [
        [1, 2, 3, 4, 5],
        [-128, 127] * 5,
        [128] * 5,
        [-32769] * 5,
        [2**31] * 5,
        [2**62, -(2**63)] * 4,
        [2**64] * 5,
        [1] * 9 + [2**64],
        [1, 2, 3, 4, True],
        list(range(1000)),
    ],
    "dicts": lambda: [{}, {1: 2}, {"a": {"b": ()}}, {i: str(i) for i in range(400)}],
    "keys": lambda: {1: 1, 1.5: 2, None: 3, (1, "x"): 4, frozenset([1]): 5, b"k": 6, "k": 7},
    "sets": lambda: [set(), {1, 2}, frozenset(), frozenset([1, "x"]), {(1, 2), frozenset([3])}],
    "slices": lambda: [slice(None), slice(1, 2, 3), slice("a", [1], None), range(5), range(2**70)],
    "instances": lambda: [things.Plain(), things.Plain(a=1, b=[2]), things.Child(x={})],
    "many instances": lambda: [things.Point(i, i * 0.5, f"p{i}") for i in range(300)],
    "frozen": lambda: [things.Frozen(1), things.SlottedPoint(1, 2)],
    "slots": with_slots,
    "enums": lambda: [things.Colour.RED, things.Colour.BLUE, things.Flags.A | things.Flags.B],
    "named tuples": lambda: [things.Pair(1, [2]), os.stat("/")],
    "subclasses": lambda: [
        things.MyList([1, 2]),
        things.MyDict(a=1),
        things.MyInt(5),
        things.MyStr("s"),
        things.MyTuple((1, 2)),
        things.MySet([1, 2]),
    ],
    "long subclasses": lambda: [things.MyList(range(2001)), things.MyDict.fromkeys(range(1001))],
    "stateful": lambda: [things.Stateful([1]), things.OnlySetstate(a=1), things.OnlySetstate()],
    "no state": lambda: things.Falsy(a=1),
    "new arguments": lambda: [things.NewArgs([1], key="k"), things.OldNewArgs(7)],
    "reductions": lambda: [things.Reduces(1, [2]), things.ReducesEx("a")],
    "setter": lambda: things.WithSetter(a=1, b=2),
    "every part": everything,
    "by name": lambda: [things.THE_ONE, things.function, things.Plain, things.Outer.Inner, len],
    "nested class": lambda: things.Outer.Inner(a=1),
    "registered": lambda: things.Registered(a=1),
    "elusive": lambda: things.Elusive(a=1),
    "metaclass": lambda: [things.WithMeta, things.WithMeta(a=1)],
    "hook in the instance": lambda: [things.Plain(a=1), things.Plain(b=2)],
    "exceptions": lambda: [ValueError("x", [1]), KeyError(), things.Fussy(1, 2), StopIteration(3)],
    "system errors": lambda: [OSError(2, "no", "file"), FileNotFoundError(2, "no", "f")],
    "odd exceptions": lambda: [
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        ImportError("x", name="n", path="p"),
        SystemExit(3),
        ExceptionGroup("several", [ValueError(1), TypeError("two")]),
    ],
    "dates": lambda: [datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)] * 2,
    "library": lambda: [
        collections.OrderedDict(a=1),
        collections.Counter("abca"),
        collections.defaultdict(list, {1: [2]}),
        collections.deque([1, [2]], 5),
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
        pathlib.PurePosixPath("/a/b"),
        array.array("d", [1.5, 2.5]),
        types.SimpleNamespace(a=[1]),
        datetime.timedelta(1, 2, 3),
    ],
    "iterators": lambda: [object],
}


def arrays() -> dict[str, Any]:
    base = np.arange(24.0).reshape(4, 6)
    frozen = np.arange(5)
    frozen.flags.writeable = False
    metadata = np.dtype("f8", metadata={"unit": "m"})
    return {
        "C": base,
        "F": np.asfortranarray(base),
        "strided": base[::2, ::-1],
        "permuted": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
        "read-only": frozen,
        "0-d": np.array(2.5),
        "empty": np.empty((3, 0, 2), dtype="i2"),
        "big endian": base.astype(">i4"),
        "structured": np.zeros(3, dtype=[("a", "<i2"), ("b", ">f8", (2,)), ("c", "S3")]),
        "nested": np.zeros(2, dtype=[("a", [("x", "f4")]), ("y", "?")]),
        "aligned": np.zeros(2, dtype=np.dtype("i1,f8", align=True)),
        "texts": np.array(["a", "éé"]),
        "bytes": np.array([b"a", b"bcd"]),
        "no bytes": np.zeros(3, dtype="V0"),
        "dates": np.array(["2020-01-01"], dtype="M8[D]"),
        "spans": np.array([1, 2], dtype="m8[ms]"),
        "objects": np.array([[1, "a"], [None, [2]]], dtype=object),
        "structured objects": np.array([(1, [2])], dtype=[("a", "i4"), ("o", object)]),
        "metadata": np.zeros(2, dtype=metadata),
        "memory map": np.zeros(3).view(np.memmap),
        "masked": np.ma.masked_array([1, 2], mask=[True, False]),
        "record": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "many dimensions": np.zeros((1,) * 30),
        **{f"type {c}": np.zeros(3, dtype=c) for c in "?bBhHiIlLqQefdgFDG"},
    }
