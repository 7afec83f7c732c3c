"""Where output lines go, and keeping them whole.

Design notes
------------
A `Stream` is one rank's stdout or stderr. It gathers bytes into whole lines and hands them to its
`Sink`, a file descriptor that many streams may share. A sink is written by one thread at a time
and finishes each piece before it takes the next, so lines never mix. The bytes are not changed;
what is added is the tag in front of each line, if wished, and a newline when an unfinished line
(end of a stream, a prompt, a line cut because it exceeds `MAX_LINE`) is followed by something else.

``Sink.unfinished`` names the owner of a line that was written without its newline. A stream whose
owner it is continues that line, any other one starts a new line. An eager stream does not gather:
it is used where nobody else writes to the sink, or one rank only, whose streams then have a common
owner so that its output looks as it does without a launcher.

`Screen` remembers what was shown last over all sinks, so that the end of the job knows whether the
traceback that matters is the last thing the user sees. Its lock is a leaf: held for a few
assignments only.
"""

from __future__ import annotations

import os
import select
import threading
import time

MAX_LINE = 1 << 20
TAIL_SIZE = 1 << 16
_WRITE_SIZE = 1 << 16


class Screen:
    """What was written last: which stream, and how much of it without a break."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Stream | None = None
        self._run = 0

    def note(self, stream: Stream | None, count: int) -> None:
        """Record that `count` bytes of a stream, or of the launcher itself, will be shown next."""
        with self._lock:
            self._run = self._run + count if stream is self._last else count
            self._last = stream

    def ends_with(self, stream: Stream, count: int) -> bool:
        """Tell whether the last `count` bytes of a stream are the last thing shown."""
        with self._lock:
            return stream is self._last and self._run >= count


class Sink:
    """A file descriptor that output is written to.

    Attributes
    ----------
    name : str
        For error messages.
    error : OSError or None
        Why nothing can be written any more; from then on output is dropped.
    written : int
        Bytes written so far, for others to see whether it moves.
    unfinished : object or None
        The owner of the line that has been written without its newline.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.error: OSError | None = None
        self.written = 0
        self.unfinished: object | None = None

    def write(self, data: bytes, owner: object, tag: bytes = b"") -> None:
        """Write whole lines, or the beginning or continuation of one; blocks.

        Parameters
        ----------
        data : bytes
            Not empty.
        owner : object
            Who may continue the last line if it has no newline.
        tag : bytes
            Put in front of each line that begins here.
        """
        continued = self.unfinished is owner
        if tag:
            data = _tagged(data, tag, continued)
        if self.unfinished is not None and not continued:
            data = b"\n" + data
        self.unfinished = None if data.endswith(b"\n") else owner
        self._write_all(data)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self.error is None:
            try:
                count = os.write(self.fd, view[:_WRITE_SIZE])
            except BlockingIOError:
                # Somebody else made the open file non-blocking.
                poller = select.poll()
                poller.register(self.fd, select.POLLOUT)
                poller.poll()
                continue
            except OSError as error:
                self.error = error
                return
            self.written += count
            view = view[count:]


class Stream:
    """One rank's stdout or stderr on its way to a sink.

    Parameters
    ----------
    fd : int
        The launcher's end of the pipe.
    sink : Sink
        Where it goes.
    screen : Screen or None
        Told of everything that is shown; None if the sink is not shown.
    tag : bytes
        Put in front of each line.
    eager : object or None
        If given, bytes are passed on as they come, as a line of this owner.
    prompt : bool
        Whether the beginning of a line is passed on after a while.
    keep_tail : bool
        Whether the last bytes are kept, for `tail`.
    """

    def __init__(
        self,
        fd: int,
        sink: Sink,
        screen: Screen | None,
        *,
        tag: bytes = b"",
        eager: object | None = None,
        prompt: bool = False,
        keep_tail: bool = False,
    ) -> None:
        self.fd = fd
        self.sink = sink
        self.backlog = 0
        self._screen = screen
        self._tag = tag
        self._eager = eager is not None
        self._owner: object = self if eager is None else eager
        self.prompt = prompt
        self._keep_tail = keep_tail
        self._tail = bytearray()
        self._line = bytearray()
        self._line_began = 0.0

    @property
    def tail(self) -> bytes:
        """The last `TAIL_SIZE` bytes that the rank wrote."""
        return bytes(self._tail[-TAIL_SIZE:])

    @property
    def prompt_due(self) -> float | None:
        """The time at which a gathered beginning of a line is to be shown; None if never."""
        return self._line_began if self.prompt and self._line else None

    def feed(self, data: bytes) -> None:
        """Take bytes from the pipe and pass on what is complete; blocks while the sink does."""
        if self._keep_tail:
            self._tail += data
            if len(self._tail) > 4 * TAIL_SIZE:
                del self._tail[:-TAIL_SIZE]
        if self._eager:
            self._pass_on(data)
            return
        whole = data.rfind(b"\n") + 1
        if whole:
            self._pass_on(bytes(self._line) + data[:whole])
            self._line.clear()
        if whole < len(data):
            if not self._line:
                self._line_began = time.monotonic()
            self._line += data[whole:]
            if len(self._line) >= MAX_LINE:
                self.flush()

    def flush(self) -> None:
        """Pass on the beginning of a line."""
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            self._pass_on(line)

    def _pass_on(self, data: bytes) -> None:
        if self._screen is not None:
            self._screen.note(self, len(data))
        self.sink.write(data, self._owner, self._tag)


def _tagged(data: bytes, tag: bytes, continued: bool) -> bytes:
    """Put a tag in front of each line that begins in `data`."""
    end = b"\n" if data.endswith(b"\n") else b""
    body = data[: len(data) - len(end)].replace(b"\n", b"\n" + tag) + end
    return body if continued else tag + body
