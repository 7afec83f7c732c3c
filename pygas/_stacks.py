"""Where the threads of this process are; for the launcher, when a job hangs."""

from __future__ import annotations

import sys
import threading
import traceback
import types

_DEEPEST = 60


def frames() -> dict[int, types.FrameType]:
    """Return where each thread is that runs Python code. May not return while one is stuck."""
    return sys._current_frames()


def describe(frames: dict[int, types.FrameType]) -> str:
    """Describe the stacks of threads, but for the one that asks.

    Returns
    -------
    str
        For each thread a line "T<tab>number of the thread<tab>name", then a line "S<tab>..." for
        each line of its traceback, most recent call last.
    """
    me = threading.get_ident()
    threads = {thread.ident: thread for thread in threading.enumerate()}
    lines = []
    for ident, frame in sorted(frames.items()):
        if ident == me:
            continue
        thread = threads.get(ident)
        name = thread.name if thread is not None else "a thread of PyGAS or of C code"
        number = thread.native_id if thread is not None else 0
        lines.append(f"T\t{number}\t{name}")
        stack = traceback.StackSummary.extract(
            traceback.walk_stack(frame), limit=_DEEPEST, lookup_lines=True
        )
        stack.reverse()
        lines += [f"S\t{line}" for text in stack.format() for line in text.rstrip().split("\n")]
    return "".join(line + "\n" for line in lines)
