"""What the tests of futures share: requests to make, and a gate that keeps a rank from serving."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pygas

LIMIT = 20.0  # seconds: nothing here takes that long unless it hangs

gate = threading.Event()
touched: list[int] = []


def fail(text: str) -> None:
    raise LookupError(text)


def hold() -> None:
    """Keep this rank from starting other requests until somebody opens the gate."""
    held_file().touch()
    assert gate.wait(LIMIT)


def gate_file() -> Path:
    return Path(os.environ["PYGAS_TEST_GATE"])


def held_file() -> Path:
    return gate_file().with_suffix(".held")


def touch(number: int) -> int:
    touched.append(number)
    return number


def copy_of_touched() -> list[int]:
    return touched


def other() -> pygas.Rank:
    return pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS)


def until(condition: Callable[[], object]) -> None:
    """Compute in Python (so that requests run by pending calls) until it holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "it never became true"


def wait_until_failed(future: pygas.Future[Any]) -> None:
    """Until it is decoded as well, which asking it would do."""
    until(lambda: "failed" in repr(future))


@contextlib.contextmanager
def unraisable() -> Iterator[list[Any]]:
    caught: list[Any] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda args: caught.append((args.exc_type, args.err_msg, args.object))
    try:
        yield caught
    finally:
        sys.unraisablehook = before


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def release() -> None:
    """Let rank 1 go on, which is inside `hold` and so runs no requests."""
    gate_file().touch()


def serve_gate() -> None:
    """On rank 1: open the gate when `release` asks."""
    path = gate_file()

    def watch() -> None:
        end = time.monotonic() + LIMIT
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.002)
        gate.set()

    in_thread(watch)
