"""The thread that carries output from the ranks' pipes to sinks.

Design notes
------------
A pump may block in a write for as long as it likes: a paused terminal, a full pipe. It then does
not read from its ranks, whose own writes block in turn; nothing piles up in the launcher. The
event loop is never involved. There is one pump for stdout and one for stderr, so that one being
blocked does not hold up the other, unless both go to the same place: then there is one for both,
because only one thread may write to a place.

``_draining``, ``closed`` and ``_posted`` are the only attributes shared with the main thread: two
events, and a deque, which needs no lock.
The thread is a daemon: a launcher that has given up on a blocked sink just leaves it.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import selectors
import socket
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from pygas.launch.sink import Stream

PROMPT_DELAY = 0.2
DRAIN_TIME = 0.2
_READ_SIZE = 1 << 16


class Pump:
    """Carry the output of some streams to their sinks.

    Parameters
    ----------
    name : str
        Name of the thread.
    streams : sequence of Stream
        The pump owns them and closes their descriptors.
    notify : callable
        Called, from the thread, when a sink has failed or the pump has ended. Must not block.
    """

    def __init__(self, name: str, streams: Sequence[Stream], notify: Callable[[], None]) -> None:
        self.closed = threading.Event()
        self._draining = threading.Event()
        self._posted: deque[Callable[[], None]] = deque()
        self._streams = set(streams)
        self._prompts = [stream for stream in streams if stream.prompt]
        self._notify = notify
        self._drain_end: float | None = None
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        for stream in self._streams:
            self._selector.register(stream.fd, selectors.EVENT_READ, stream)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, write: Callable[[], None]) -> None:
        """Have the thread call a function, between two pieces of output; does not block."""
        self._posted.append(write)
        self._wake()

    def drain(self) -> None:
        """Carry what the pipes hold now, and a short time later close them; does not block.

        To be called when all ranks are gone: whoever still holds a pipe open is not waited for.
        """
        self._draining.set()
        self._wake()

    def leave(self) -> None:
        """Wait for the thread's last steps if it has carried everything, else leave it."""
        if self.closed.is_set():
            self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then a wake-up is on its way
            self._wake_writer.send(b"\0")

    def _run(self) -> None:
        try:
            while self._streams or not self._draining.is_set():
                for key, _ in self._selector.select(self._patience()):
                    if key.data is None:
                        self._wake_reader.recv(4096)
                        while self._posted:
                            self._posted.popleft()()
                    else:
                        self._carry(key.data)
                now = time.monotonic()
                self._show_prompts(now)
                if self._draining.is_set():
                    self._drain(now)
        finally:
            self._selector.close()
            self.closed.set()
            self._notify()

    def _carry(self, stream: Stream) -> None:
        data = os.read(stream.fd, _READ_SIZE)
        stream.backlog -= len(data)
        healthy = stream.sink.error is None
        if data:
            stream.feed(data)
        else:
            self._finish(stream)
        if healthy and stream.sink.error is not None:
            self._notify()

    def _finish(self, stream: Stream) -> None:
        stream.flush()
        self._selector.unregister(stream.fd)
        self._streams.discard(stream)
        os.close(stream.fd)

    def _show_prompts(self, now: float) -> None:
        for stream in self._prompts:
            began = stream.prompt_due
            if began is not None and began + PROMPT_DELAY <= now:
                stream.flush()

    def _drain(self, now: float) -> None:
        """Close the pipes whose backlog has been read, once the drain time is over."""
        if self._drain_end is None:
            self._drain_end = now + DRAIN_TIME
            for stream in self._streams:
                stream.backlog = _bytes_in_pipe(stream.fd)
        elif now >= self._drain_end:
            for stream in [stream for stream in self._streams if stream.backlog <= 0]:
                self._finish(stream)

    def _patience(self) -> float | None:
        """Return the time in seconds until something is due though no pipe is readable."""
        dues = [stream.prompt_due for stream in self._prompts]
        times = [due + PROMPT_DELAY for due in dues if due is not None]
        if self._drain_end is not None:
            times.append(self._drain_end)
        return max(0.0, min(times) - time.monotonic()) if times else None


def _bytes_in_pipe(fd: int) -> int:
    count = array.array("i", [0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
