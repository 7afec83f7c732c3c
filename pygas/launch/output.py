"""All output of a job.

Design notes
------------
Which sinks and pumps there are depends on where output goes: to the launcher's own stdout and
stderr, which may be the same file or terminal, or to two files for each rank. What the launcher
itself has to say is written last, by a short-lived thread of its own, because even that may block.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pygas.launch.pump import Pump
from pygas.launch.rank import Rank
from pygas.launch.sink import Screen, Sink, Stream

_TRACEBACK = b"Traceback (most recent call last):"
_LAST_LINES = 20


class OutputOptions(NamedTuple):
    """What the user wants to become of the ranks' output.

    Attributes
    ----------
    tag : bool
        Put the rank's number in front of each line.
    directory : str or None
        Write files there instead of forwarding.
    """

    tag: bool = False
    directory: str | None = None


class OutputRefused(Exception):
    """A file for output cannot be opened."""


class Output:
    """Carry the output of all ranks; belongs to the main thread, whose calls do not block.

    Parameters
    ----------
    size : int
        Number of ranks.
    options : OutputOptions
        Where output goes; files are opened right away.
    notify : callable
        Called from other threads when `failure` or `idle` may have changed.

    Raises
    ------
    OutputRefused
        The output directory or a file in it cannot be written.
    """

    def __init__(self, size: int, options: OutputOptions, notify: Callable[[], None]) -> None:
        self._size = size
        self._width = len(str(size))
        self._options = options
        self._notify = notify
        self._screen = Screen()
        self._stdout = Sink(1, "standard output")
        self._stderr = self._stdout if _same_file(1, 2) else Sink(2, "standard error")
        self._files: list[tuple[Sink, Sink]] = []
        if options.directory is not None:
            try:
                os.makedirs(options.directory, exist_ok=True)
                for rank in range(size):
                    self._files.append((self._file(rank, "out"), self._file(rank, "err")))
            except OSError as error:
                raise OutputRefused(f"{error.filename}: {error.strerror}") from None
        self._stderr_streams: list[Stream] = []
        self._pumps: list[Pump] = []
        self._stderr_pump: Pump | None = None
        self._spoken = threading.Event()
        self._spoken.set()
        self._speaker: threading.Thread | None = None

    def start(self, ranks: Sequence[Rank], prompts: bool) -> None:
        """Start the threads; no process may be forked any more.

        Parameters
        ----------
        ranks : sequence of Rank
            Their output pipes are owned by the pumps from now on.
        prompts : bool
            Whether the beginning of a line of rank 0 is shown after a while.
        """
        stdout_streams = [self._stream(rank, False, prompts) for rank in ranks]
        self._stderr_streams = [self._stream(rank, True, prompts) for rank in ranks]
        together = stdout_streams + self._stderr_streams
        if self._files:
            self._pumps = [
                Pump("pygas-output", together, self._notify),
                Pump("pygas-stderr", (), self._notify),  # for what the launcher has to say
            ]
        elif self._stdout is self._stderr:
            self._pumps = [Pump("pygas-output", together, self._notify)]
        else:
            self._pumps = [
                Pump("pygas-stdout", stdout_streams, self._notify),
                Pump("pygas-stderr", self._stderr_streams, self._notify),
            ]
        self._stderr_pump = self._pumps[-1]
        for pump in self._pumps:
            pump.start()

    @property
    def failure(self) -> Sink | None:
        """A sink that cannot be written any more, if there is one."""
        return next((sink for sink in self._sinks() if sink.error is not None), None)

    @property
    def written(self) -> int:
        """Bytes written so far, to see whether anything moves."""
        return sum(sink.written for sink in self._sinks())

    @property
    def idle(self) -> bool:
        """Whether all that was to be written has been written."""
        return self._spoken.is_set() and all(pump.closed.is_set() for pump in self._pumps)

    def drain(self) -> None:
        """Finish, now that all ranks are gone; `idle` tells when it is done."""
        for pump in self._pumps:
            pump.drain()

    def leave(self) -> None:
        """Wait for the last steps of the threads that are done; others are blocked, and left.

        A thread that still runs Python code while the interpreter goes can crash it.
        """
        for pump in self._pumps:
            pump.leave()
        if self._speaker is not None and self._spoken.is_set():
            self._speaker.join()

    def say(self, text: bytes) -> None:
        """Write what the launcher has to say to stderr; `idle` tells when it is done.

        Nothing is said if output has been given up while stderr was blocked.
        """
        if self._stderr_pump is not None and not self._stderr_pump.closed.is_set():
            return

        def speak() -> None:
            self._stderr.write(text, self)
            self._spoken.set()
            self._notify()

        self._spoken.clear()
        self._speaker = threading.Thread(target=speak, name="pygas-say", daemon=True)
        self._speaker.start()

    def announce(self, text: bytes) -> None:
        """Write whole lines to stderr while the job goes on; does not block."""

        def write() -> None:
            self._screen.note(None, len(text))
            self._stderr.write(text, self)

        if self._stderr_pump is not None:
            self._stderr_pump.post(write)

    def line_typed(self) -> None:
        """Note that the terminal has moved to a new line because the user ended one."""
        for sink in (self._stdout, self._stderr):
            if os.isatty(sink.fd):
                sink.unfinished = None

    def last_words(self, rank: int) -> bytes:
        """Return the end of a rank's stderr if it is not the last thing on the screen.

        Returns
        -------
        bytes
            From its last traceback on, or its last lines if there is none; empty if there is
            nothing to repeat.
        """
        stream = self._stderr_streams[rank]
        lines = stream.tail.splitlines(keepends=True)
        starts = [i for i, line in enumerate(lines) if line.startswith(_TRACEBACK)]
        words = b"".join(lines[starts[-1] :] if starts else lines[-_LAST_LINES:])
        if not words or self._screen.ends_with(stream, len(words)):
            return b""
        return words if words.endswith(b"\n") else words + b"\n"

    def _sinks(self) -> Iterator[Sink]:
        yield self._stdout
        yield self._stderr
        for pair in self._files:
            yield from pair

    def _file(self, rank: int, suffix: str) -> Sink:
        path = f"{self._options.directory}/rank-{rank:0{self._width}d}.{suffix}"
        return Sink(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), path)

    def _stream(self, rank: Rank, is_stderr: bool, prompts: bool) -> Stream:
        tag = b"[%*d] " % (self._width, rank.index) if self._options.tag else b""
        if self._files:
            sink = self._files[rank.index][is_stderr]
        else:
            sink = self._stderr if is_stderr else self._stdout
        alone = self._size == 1 or bool(self._files)
        return Stream(
            rank.stderr if is_stderr else rank.stdout,
            sink,
            None if self._files else self._screen,
            tag=tag,
            eager=rank if alone and not tag else None,
            prompt=prompts and rank.index == 0,
            keep_tail=is_stderr,
        )


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
