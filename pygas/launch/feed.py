"""The launcher's standard input on its way to rank 0.

Design notes
------------
One daemon thread reads and writes; it may wait for either side as long as it likes. It stops at end
of file, and as soon as rank 0 has closed its standard input (the pipe then reports an error), so
that a terminal's type-ahead is left to the shell. That is when rank 0 ends, unless another process
has inherited that end: then the thread is left behind. It is the only user of both descriptors.

A terminal is read only while the launcher is in its foreground process group. The check can lose a
race against job control; SIGTTIN is ignored, so the read then fails and the check is made again.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

_READ_SIZE = 1 << 16
_BACKGROUND_CHECK_MS = 200
_LAST_STEPS = 0.1  # seconds


class StdinFeed:
    """Forward standard input to a pipe.

    Parameters
    ----------
    pipe : int
        Writing end of rank 0's standard input; owned by this object from now on.
    on_line : callable
        Called after a line was typed at a terminal.
    """

    def __init__(self, pipe: int, on_line: Callable[[], None]) -> None:
        os.set_blocking(pipe, False)
        self._source = 0
        self._pipe = pipe
        self._on_line = on_line
        self._terminal = os.isatty(self._source)
        self._either = select.poll()
        self._either.register(self._source, select.POLLIN)
        self._either.register(pipe, 0)
        self._writable = select.poll()
        self._writable.register(pipe, select.POLLOUT)
        self._reader_gone = select.poll()
        self._reader_gone.register(pipe, 0)
        self._thread = threading.Thread(target=self._run, name="pygas-stdin", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def leave(self) -> None:
        """Wait a moment for the thread's end, which follows on rank 0's; else leave it."""
        self._thread.join(_LAST_STEPS)

    def _run(self) -> None:
        try:
            while data := self._read():
                if self._terminal and data.endswith(b"\n"):
                    self._on_line()  # before it can be answered
                if not self._write(data):
                    break
        finally:
            os.close(self._pipe)

    def _read(self) -> bytes:
        """Return the next bytes, nothing at the end of file or if rank 0 does not want any."""
        while True:
            if self._terminal and not self._in_foreground():
                if self._reader_gone.poll(_BACKGROUND_CHECK_MS):
                    return b""
                continue
            ready = self._either.poll(_BACKGROUND_CHECK_MS if self._terminal else None)
            if any(fd == self._pipe for fd, _ in ready):
                return b""
            if not ready:
                continue
            try:
                return os.read(self._source, _READ_SIZE)
            except BlockingIOError:
                continue
            except OSError:
                if not self._terminal or self._in_foreground():
                    return b""

    def _write(self, data: bytes) -> bool:
        """Write all bytes; tell whether rank 0 took them."""
        view = memoryview(data)
        while view:
            self._writable.poll()
            try:
                view = view[os.write(self._pipe, view) :]
            except BlockingIOError:
                continue
            except OSError:
                return False
        return True

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._source) == os.getpgrp()
        except OSError:
            # Not our controlling terminal, so there is no job control; or the terminal is gone,
            # which the read will tell.
            return True
