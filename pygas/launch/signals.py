"""Signals and wake-ups of the launcher, through one pipe.

Design notes
------------
The interpreter's C signal handler writes the number of each signal to a non-blocking pipe (see
`signal.set_wakeup_fd`); the event loop reads it there like any other input, so no Python code runs
at an arbitrary place. Threads wake the loop by writing a zero to the same pipe.

A signal that the launcher was started to ignore (``nohup``, a background job of a plain shell) is
left ignored, in the ranks too. SIGTTIN is ignored so that a read of the terminal that loses the
race against job control fails instead of stopping the launcher.
"""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PASSED = (signal.SIGUSR2,)
ASKING = signal.SIGUSR1
HANDLED = (*ENDING, *PASSED, ASKING, signal.SIGTSTP, signal.SIGCONT, signal.SIGCHLD)
_NEVER_LEFT_IGNORED = (signal.SIGCONT, signal.SIGCHLD)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class SignalInbox:
    """Receive signals in an event loop; a context manager of the main thread."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._handlers: dict[signal.Signals, Any] = {}
        self._mask: set[signal.Signals | int] = set()
        self._wakeup_fd = -1

    def __enter__(self) -> Self:
        self._wakeup_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in HANDLED:
            before = signal.getsignal(signum)
            self._handlers[signum] = before
            if before is not signal.SIG_IGN or signum in _NEVER_LEFT_IGNORED:
                signal.signal(signum, _noted)
        self._handlers[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for signum, handler in self._handlers.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup_fd)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._reader

    def receive(self) -> list[int]:
        """Return the signals that came since the last call, in order; never blocks."""
        received = bytearray()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 4096):
                received += data
        return [number for number in received if number]

    def wake(self) -> None:
        """Wake the event loop; from any thread, never blocks."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    def restore_in_child(self) -> None:
        """Give a child what the launcher was started with; call it with all signals blocked."""
        signal.set_wakeup_fd(-1)
        for signum, handler in self._handlers.items():
            ignored = handler is signal.SIG_IGN
            signal.signal(signum, signal.SIG_IGN if ignored else signal.SIG_DFL)
        for signum in _IGNORED_BY_PYTHON:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def signal_name(number: int) -> str:
    """Return the name of a signal, like ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: the interpreter has put the number into the pipe already."""
