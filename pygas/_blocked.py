"""The report of a request that blocks its rank; the extension makes it."""

from __future__ import annotations

import sys
import traceback
from typing import Any

__all__ = ["report"]


def _what(op: str, thing: Any, args: Any) -> str:
    """Name the operation, without asking the object anything."""
    kind = type(thing).__name__
    if op in ("METHOD", "SPECIAL") and args:
        return f"{args[0]}() of a {kind} object"
    if op in ("FUNCTION", "NEW") and args:
        return f"{getattr(args[0], '__qualname__', type(args[0]).__name__)}()"
    if op == "CALL":
        return f"a call of a {kind} object"
    return f"{op.lower()} of a {kind} object"


def report(
    thread: int, op: str, thing: Any, args: Any, source: int, waiting: int, seconds: int
) -> None:
    """Write to sys.stderr that a request has been blocked for some seconds, and where it is."""
    from pygas import _core

    frame = sys._current_frames().get(thread)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else "  (not known)\n"
    behind = {0: "No others wait now"}.get(waiting, f"{waiting} more wait behind it")
    print(
        f"pygas: rank {_core.rank()} runs no requests: that of rank {source}, "
        f"{_what(op, thing, args)}, has been blocked for {seconds} s or more. {behind}; if it "
        "waits for what one of them is to do, it waits for ever. pygas.Lock, pygas.Queue and their "
        "like never block their owner; see also pygas.deferred. It is here:\n"
        f"{stack}",
        end="",
        file=sys.stderr,
        flush=True,
    )
