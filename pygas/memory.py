"""What is shared, and what has been sent: for finding leaks and for tuning."""

from __future__ import annotations

import dataclasses
import os
import sys
import types
from collections import Counter
from typing import NamedTuple

from pygas._job import core, init

__all__ = ["SharedObject", "Stats", "Traffic", "objects", "stats"]

# The handlers of messages, as in src/gas/job.h and src/binding/state.h.
_KINDS = {
    0: "collective",
    1: "collective",
    2: "probe",
    3: "segment key",
    4: "segment key",
    5: "one-sided",
    6: "one-sided",
    7: "collective",
    8: "request",
    9: "reply",
    10: "cancel",
    11: "cancel",
    12: "ping",
    13: "blocked",
    14: "release",
    15: "weight",
    16: "weight",
    17: "recount",
}
_OWN_CODE = os.path.dirname(__file__) + os.sep
_LINES_MOST = 20  # of a report


class Traffic(NamedTuple):
    """Messages and bytes that this rank has sent and received."""

    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


@dataclasses.dataclass(frozen=True)
class Stats:
    """What this rank has done so far, and what it holds now. See `stats`.

    Attributes
    ----------
    exported
        Objects of this rank that other ranks refer to, now.
    imported
        Objects of other ranks that this rank refers to, now.
    proxies
        Proxies on this rank, now; also those to its own objects.
    requests_sent, requests_run
        Operations asked of other ranks (and of this one, by message), and operations run here.
    waits
        How often a thread waited in PyGAS, if only for a moment.
    kinds
        Messages by kind: ``"request"``, ``"reply"``, ``"release"`` and so on.
    peers
        Messages by rank, without the ranks that nothing was exchanged with.
    """

    exported: int
    imported: int
    proxies: int
    requests_sent: int
    requests_run: int
    waits: int
    kinds: dict[str, Traffic]
    peers: dict[int, Traffic]


class SharedObject(NamedTuple):
    """An object of this rank that other ranks refer to. See `objects`.

    Attributes
    ----------
    object
        The object.
    id
        Its index in the table of shared objects and the generation of that entry, ``"7.1"``.
    weight
        How much weight is out for it; 0 if only this rank, for a moment, needs the entry.
    where
        The file and line that shared it, if ``PYGAS_DEBUG=leaks``, else None.
    """

    object: object
    id: str
    weight: int
    where: str | None


def _id_text(number: int) -> str:
    return f"{number & 0xFFFFFFFF}.{number >> 32}"


def stats() -> Stats:
    """Return what this rank has done so far and what it holds. Does not block; starts the job.

    Counts are of messages between the ranks' runtimes, bytes those of their heads and contents.
    Arrays that are read or written in a segment of the same host are no messages.
    """
    init()
    handlers, peers = core().traffic()
    kinds: dict[str, Traffic] = {}
    for handler, row in handlers.items():
        kind = _KINDS.get(handler, f"handler {handler}")
        kinds[kind] = Traffic(*map(sum, zip(kinds.get(kind, Traffic()), row, strict=True)))
    return Stats(
        **core().numbers(),
        kinds=kinds,
        peers={rank: Traffic(*row) for rank, row in peers.items()},
    )


def objects() -> list[SharedObject]:
    """Return the objects of this rank that other ranks refer to. Does not block; starts the job.

    Releases come in batches, a moment after the last Proxy has gone. The result refers to the
    objects itself.
    """
    init()
    return [
        SharedObject(thing, _id_text(number), weight, where)
        for number, thing, weight, _, where in core().exported()
    ]


def place() -> str:
    """Return the line of the program that is running; called when an object is shared."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OWN_CODE):
        frame = frame.f_back
    if frame is None:
        return "no line of the program"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def report() -> None:
    """Print what this rank still shares and holds; called at the end with ``PYGAS_DEBUG=leaks``."""
    module = core()
    me = module.rank()
    shared = Counter(
        (type(thing).__qualname__, where) for _, thing, _, _, where in module.exported()
    )
    held = Counter(owner for owner, _, count, _ in module.imported() if count > 0)
    lines = [
        f"pygas: rank {me}: {count} x {name}, shared first at {where or 'an unknown place'}"
        for (name, where), count in shared.most_common()
    ]
    if len(lines) > _LINES_MOST:
        lines[_LINES_MOST:] = [f"pygas: rank {me}: and {len(lines) - _LINES_MOST} other places"]
    lines += [
        f"pygas: rank {me}: refers to {count} objects of rank {owner}"
        for owner, count in sorted(held.items())
    ]
    if lines:
        print("\n".join(lines), file=sys.stderr)
