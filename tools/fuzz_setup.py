"""What the fuzzed decoder may reach, and what it starts from. See src/binding/codec_fuzz.c.

Imported by the fuzzing program. Writes the seeds of the corpus into the folder that
PYGAS_FUZZ_CORPUS names.
"""

from __future__ import annotations

import datetime
import decimal
import os
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import codec_things
import numpy as np

from pygas._job import core

dumps, loads = core().dumps, core().loads

# NumPy's dtypes do not check the state that they are given, so they come by name.
RECORD = np.dtype([("a", "i4"), ("b", "f8")])
OBJECTS = np.dtype([("a", "i4"), ("o", object)])
DATES = np.dtype("M8[D]")
NO_DTYPE = 5

# Whatever walks through an argument is missing: a range of a message can be endless.
_HARMLESS = {
    "builtins": {"object", "complex", "ValueError", "KeyError", "OSError", "Exception", "dict"},
    "collections": {"OrderedDict"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fuzz_setup": {"RECORD", "OBJECTS", "DATES", "NO_DTYPE"},
    "codec_things": {
        "Plain",
        "Child",
        "Point",
        "Frozen",
        "SlottedPoint",
        "Slots",
        "SlotsAndDict",
        "Colour",
        "MyDict",
        "MyInt",
        "MyStr",
        "Stateful",
        "OnlySetstate",
        "NewArgs",
        "OldNewArgs",
        "Reduces",
        "ReducesEx",
        "WithSetter",
        "set_state",
        "Everything",
        "THE_ONE",
        "Registered",
        "WithProperty",
        "Elusive",
        "Fussy",
        "function",
    },
}


class Refused(Exception):
    """A name that is not harmless."""


def guard(event: str, args: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and args[1] not in _HARMLESS.get(args[0], ()):
        raise Refused


def seeds() -> list[Any]:
    things = codec_things
    loop: list[Any] = [1]
    loop.append((loop, {"loop": loop}))
    node = things.Plain(a=[1, 2.5], b="text")
    node.me = node  # type: ignore[attr-defined]
    everything = things.Everything()
    everything.items, everything.pairs = [1, 2, 3], {"k": 1}
    frozen = np.arange(3)
    frozen.flags.writeable = False
    return [
        None,
        [True, False, ..., NotImplemented, type(None), type(...)],
        [0, -1, 300, 2**40, 2**100, 1.5, 2j],
        ["", "a", "é", "a text", "漢字", "😀 and more", "x" * 300],
        [b"", b"bytes", bytearray(b"array")],
        (1, (2, (3,)), [4, [5]], {6: {7: 8}}, {9}, frozenset([10])),
        [1.5] * 6,
        [1, 2, 3, 4, 5],
        [2**40] * 6,
        [slice(1, None, 2), range(3)],
        loop,
        node,
        [things.Point(i, i * 0.5, "p") for i in range(4)],
        things.SlottedPoint(1, 2),
        things.Stateful([1]),
        things.OnlySetstate(a=1),
        things.NewArgs([1], key="k"),
        things.OldNewArgs(7),
        things.Reduces(1, [2]),
        things.ReducesEx("a"),
        things.WithSetter(a=1),
        everything,
        things.MyDict(a=1),
        things.Registered(a=1),
        things.Colour.RED,
        things.THE_ONE,
        things.WithProperty(),
        ValueError("x", [1]),
        OSError(2, "no", "file"),
        datetime.datetime(2020, 1, 2),
        decimal.Decimal("1.5"),
        np.arange(4.0),
        frozen,
        np.asfortranarray(np.ones((2, 3))),
        np.array(1),
        np.float32(1.5),
        np.longdouble(1),
    ]


def write_seeds(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(b"\0" + dumps(value))
    for number, (stream, buffer) in enumerate(arrays_by_hand()):
        loads(stream, None, *[bytearray(8)] * buffer)
        (folder / f"seed-array-{number}").write_bytes(bytes([buffer]) + stream)


def text(value: str) -> bytes:
    data = dumps(value)
    return bytes([data[0] & 0x7F]) + data[1:]


def arrays_by_hand() -> list[tuple[bytes, int]]:
    """Make streams of arrays, and tell how many buffers outside of them they have."""
    head = dumps(np.zeros(1))[0] & 0x7F
    by_name = dumps(codec_things.function)[0] & 0x7F
    one, two = (1).to_bytes(8, sys.byteorder), (2).to_bytes(8, sys.byteorder)
    other, writeable, outside = 0xFF, 1, 4
    record = bytes([by_name]) + text("fuzz_setup") + text("RECORD")
    dates = bytes([by_name]) + text("fuzz_setup") + text("DATES")
    return [
        (bytes([head, 12, writeable | outside, 1]) + one, 1),
        (bytes([head, other, writeable, 1]) + two + record + bytes(24), 0),
        (bytes([head, other, outside, 1]) + one + dates, 1),
    ]


write_seeds(pathlib.Path(os.environ["PYGAS_FUZZ_CORPUS"]))
sys.addaudithook(guard)
