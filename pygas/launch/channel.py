"""One rank's boot socket.

Design notes
------------
The socket is non-blocking in both directions. What cannot be sent waits in a queue of views, so a
blob that hundreds of ranks ask for is stored once. A rank that asks without reading the answers is
not read any further until its queue has shrunk below `QUEUE_LIMIT`.

All of this belongs to the launcher's main thread.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Iterator

from pygas.launch.protocol import Frame, FrameDecoder

READ_SIZE = 1 << 16
QUEUE_LIMIT = 4 << 20
_MAX_VIEWS = 64


class Channel:
    """The launcher's end of one rank's boot socket.

    Attributes
    ----------
    open : bool
        False once the rank has closed its end or `close` was called.
    exhausted : bool
        The last `frames` found nothing to read.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.open = True
        self.exhausted = False
        self._socket = sock
        self._decoder = FrameDecoder()
        self._queue: deque[memoryview] = deque()
        self._queued = 0

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 after `close`."""
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """The selector events that the channel waits for; 0 if it is not open."""
        if not self.open:
            return 0
        events = selectors.EVENT_READ if self._queued < QUEUE_LIMIT else 0
        return events | selectors.EVENT_WRITE if self._queue else events

    def frames(self) -> Iterator[tuple[Frame, bytes]]:
        """Read once and yield the frames that are complete now.

        Raises
        ------
        ProtocolError
            The rank sent something else than a frame.
        """
        self.exhausted = True
        if not self.open:
            return
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.open = False
            return
        self.exhausted = False
        yield from self._decoder.feed(data)

    def send(self, *parts: bytes) -> None:
        """Send a frame given in parts, or as much of it as the socket takes now."""
        if not self.open:
            return
        for part in parts:
            if part:
                self._queue.append(memoryview(part))
                self._queued += len(part)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._queue and self.open:
            views = [self._queue[i] for i in range(min(len(self._queue), _MAX_VIEWS))]
            try:
                sent = self._socket.sendmsg(views)
            except BlockingIOError:
                return
            except OSError:
                # The rank closed its end. What it sent before can still be read.
                self._queue.clear()
                self._queued = 0
                return
            self._queued -= sent
            while sent:
                first = self._queue.popleft()
                if sent < len(first):
                    self._queue.appendleft(first[sent:])
                    break
                sent -= len(first)

    def close(self) -> None:
        """Close the socket; the channel takes and gives nothing any more."""
        self.open = False
        self._queue.clear()
        self._queued = 0
        self._socket.close()
