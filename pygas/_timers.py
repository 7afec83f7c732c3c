"""Calls at a time to come, for the timeouts of waiting requests: one thread for all of them."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

__all__ = ["Timer", "after"]

# Cancelled timers are dropped when they are due; earlier if they become many.
_CANCELLED_MAX = 1000


class Timer:
    """One call to come; made by `after`."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """Forget the call, if it has not begun. Does not block."""
        function, self._function = self._function, None
        if function is not None:
            _clock.forget_one()

    def _run(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


class _Clock:
    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, Timer]] = []  # guarded by _changed, as is all of it
        self._numbers = itertools.count()
        self._cancelled = 0
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, timer: Timer) -> None:
        with self._changed:
            entry = (time.monotonic() + seconds, next(self._numbers), timer)
            heapq.heappush(self._heap, entry)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="pygas-timers", daemon=True
                )
                self._thread.start()
            elif self._heap[0] is entry:
                self._changed.notify()

    def forget_one(self) -> None:
        with self._changed:
            self._cancelled += 1
            if self._cancelled > max(_CANCELLED_MAX, len(self._heap) // 2):
                self._heap = [entry for entry in self._heap if entry[2]._function is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _next(self) -> Timer:
        """Wait for the next one that is due."""
        with self._changed:
            while True:
                left = self._heap[0][0] - time.monotonic() if self._heap else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX) if left is not None else None)

    def _serve(self) -> None:
        while True:
            self._next()._run()


_clock = _Clock()


def after(seconds: float, function: Callable[[], object]) -> Timer:
    """Call `function`, which must not block or raise, in `seconds`, from a thread of its own."""
    if seconds != seconds:
        raise ValueError("timeout is not a number: give seconds, or None")
    timer = Timer(function)
    _clock.add(seconds, timer)
    return timer
