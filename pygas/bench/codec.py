"""``pygas bench codec``: what copying a value costs, next to pickle.

Encoding and decoding are timed together, in this process, with what messages use: a value is
encoded into a payload, as it is sent, and made again from it. Every variant of a row is timed in
turns with the others, and the medians of all rounds are shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import marshal
import math
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pygas.bench import timing

_BATCH_SECONDS = 0.002  # one timing is of so many repetitions as take about that long

_OURS, _PICKLE, _MARSHAL, _MSGSPEC = "pygas", "pickle 5", "marshal", "msgspec"
_PEERS = (_OURS, _PICKLE, _MARSHAL, _MSGSPEC)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--rounds", type=int, default=15, help="rounds, each with every variant")
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")


@dataclasses.dataclass
class Record:
    """A small dataclass."""

    number: int
    name: str
    weight: float


class Row(NamedTuple):
    """A value to copy, and what else can copy it."""

    label: str
    value: Any
    plain: bool  # marshal and msgspec know the parts
    type: Any = Any  # what msgspec is told to expect


def document() -> dict[str, Any]:
    """Return a nested document, as JSON has them."""
    return {
        "id": 4711,
        "title": "A shared world",
        "tags": ["pgas", "python", "proxies"],
        "author": {"name": "K. Driscoll", "orcid": None, "active": True},
        "score": 12.75,
        "sections": [
            {
                "heading": f"Section {i}",
                "pages": [i, i + 3],
                "words": 100 * i,
                "figures": [{"file": f"figure{i}.png", "width": 3.25, "colour": i % 2 == 0}],
            }
            for i in range(12)
        ],
    }


def rows() -> list[Row]:
    """Return what is measured."""
    import numpy as np

    error = ValueError("a value is out of range", 17)
    error.add_note("while reading row 3")
    dicts = [{"id": i, "name": f"name {i}", "weight": i * 0.5} for i in range(1000)]
    records = [Record(i, f"name {i}", i * 0.5) for i in range(100)]
    return [
        Row("int", 123_456, True),
        Row("3-tuple", (1, "two", 3.0), True, tuple),
        Row("short str", "a short text", True),
        Row("dict of 10 str -> float", {f"key {i}": i * 1.5 for i in range(10)}, True),
        Row("list of 1,000 floats", [i * 0.1 for i in range(1000)], True),
        Row("list of 1,000 small dicts", dicts, True),
        Row("nested document", document(), True),
        Row("dataclass instance", Record(1, "name", 2.5), False, Record),
        Row("list of 100 instances", records, False, list[Record]),
        Row("1 MiB array", np.arange(1 << 17, dtype="f8"), False),
        Row("exception with a note", error, False),
    ]


def _ours(value: Any) -> Callable[[], Any]:
    from pygas._job import core

    encode = core().encode
    return lambda: encode(value).decode()


def _pickle(value: Any) -> Callable[[], Any]:
    dumps, loads = pickle.dumps, pickle.loads

    def in_band() -> Any:
        return loads(dumps(value, 5))

    def out_of_band() -> Any:
        buffers: list[pickle.PickleBuffer] = []
        data = dumps(value, 5, buffer_callback=buffers.append)
        return loads(data, buffers=buffers)

    # For what has no buffers the callback costs a little, so pickle is spared it.
    return out_of_band if hasattr(value, "__array_interface__") else in_band


def _marshal(value: Any) -> Callable[[], Any]:
    return lambda: marshal.loads(marshal.dumps(value))


def _msgspec(value: Any, kind: Any) -> Callable[[], Any]:
    import msgspec

    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(kind).decode
    return lambda: decode(encode(value))


def _variants(row: Row) -> dict[str, Callable[[], Any]]:
    found = {_OURS: _ours(row.value), _PICKLE: _pickle(row.value)}
    if row.plain:
        found[_MARSHAL] = _marshal(row.value)
    if importlib.util.find_spec("msgspec") and (row.plain or row.type is not Any):
        found[_MSGSPEC] = _msgspec(row.value, row.type)
    return found


def _repetitions(operation: Callable[[], object]) -> int:
    operation()
    start = time.perf_counter()
    operation()
    return max(1, round(_BATCH_SECONDS / (time.perf_counter() - start + 1e-7)))


def _batch(operation: Callable[[], object], count: int) -> float:
    repeat = range(count)
    start = time.perf_counter()
    for _ in repeat:
        operation()
    return (time.perf_counter() - start) / count


def measure(row: Row, rounds: int) -> dict[str, float]:
    """Return the median seconds of each variant, timed in turns."""
    variants = _variants(row)
    counts = {name: _repetitions(operation) for name, operation in variants.items()}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, operation in variants.items():
            times[name].append(_batch(operation, counts[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def _geometric_mean(numbers: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, numbers)))


def _print_table(results: dict[str, dict[str, float]], ratios: dict[str, float]) -> None:
    print(f"{'us to encode and decode':28s}" + "".join(f"{p:>10s}" for p in _PEERS), end="")
    print(f"{'x pickle':>10s}")
    for label, medians in results.items():
        cells = "".join(
            f"{medians[p] * 1e6:10.2f}" if p in medians else f"{'-':>10s}" for p in _PEERS
        )
        print(f"{label:28s}{cells}{ratios[label]:10.2f}")
    print(f"{'geometric mean':68s}{_geometric_mean(list(ratios.values())):10.2f}")
    print(f"{'slowest':68s}{min(ratios.values()):10.2f}")


def main(args: argparse.Namespace) -> int:
    """Measure and print."""
    import pygas

    pygas.init()
    started = time.monotonic()
    results = {row.label: measure(row, args.rounds) for row in rows()}
    ratios = {label: medians[_PICKLE] / medians[_OURS] for label, medians in results.items()}
    if args.json:
        json.dump(
            {
                "machine": timing.machine(),
                "seconds": results,
                "times_pickle": ratios,
                "geometric_mean": _geometric_mean(list(ratios.values())),
            },
            sys.stdout,
            indent=2,
        )
        print()
        return 0
    if not importlib.util.find_spec("msgspec"):
        print("left out: msgspec (not installed)")
    print(
        f"{timing.machine()}; {args.rounds} rounds in {time.monotonic() - started:.0f} s; medians"
    )
    print("-: does not apply (marshal and msgspec know few types)")
    _print_table(results, ratios)
    return 0
