"""What the launcher and a rank say to each other.

Contract (mirrored by the C runtime)
------------------------------------
The launcher gives every rank one end of an ``AF_UNIX``, ``SOCK_STREAM`` socket pair and names it
in the rank's environment::

    PYGAS_BOOT=fd:<n>,rank:<r>,size:<N>,key:<32 hexadecimal digits>

``fd`` is the inherited file descriptor, ``rank`` counts from 0, ``size`` is the number of ranks,
``key`` is the job's 128-bit key, the same on all ranks. A rank should set close-on-exec on the
descriptor before it starts processes of its own.

Both directions carry frames: a header of two native 32-bit unsigned integers, type and length of
the payload, then the payload. No frame from a rank has a payload of more than `MAX_PAYLOAD` bytes.

=====  ==========  ================  ========================================================
type   name        direction         payload and meaning
=====  ==========  ================  ========================================================
1      PUT         rank to launcher  the rank's address blob, any bytes; at most once. From now
                                     on the rank is part of the job and has to end with BYE.
2      FENCE       rank to launcher  empty. Asks to be told when all ranks came this far.
3      FENCE_DONE  launcher to rank  empty. All ranks have sent their k-th FENCE; sent to all,
                                     once for each k, in order.
4      GET         rank to launcher  uint32 rank. Asks for that rank's blob.
5      VALUE       launcher to rank  uint32 rank, then its blob. Answers one GET; if the blob is
                                     not there yet, as soon as it is. Answers of different ranks
                                     may come in another order than the questions.
6      BYE         rank to launcher  empty. The rank has finished its part properly.
7      ABORT       rank to launcher  int32 exit code, then UTF-8 text. Ends the whole job.
8      FAILED      launcher to rank  uint32 rank, int32 status, then UTF-8 text. That rank has ended
                                     without BYE: with exit code `status`, by signal -`status`, or
                                     otherwise; the text says it in words. Unasked.
9      FINISHED    rank to launcher  empty. The rank has come to the end of its program, and goes on
                                     serving the others.
10     ENDED       launcher to rank  empty. Every rank has sent FINISHED or has failed. Unasked.
11     POLICY      rank to launcher  uint32: 1, the job goes on when a rank fails; 0, it is ended.
12     POLICY_DONE launcher to rank  empty. Answers POLICY: it is so from now on.
13     ASK         launcher to rank  uint32, an `Ask`: how the rank is, or where its threads
                                     are. Unasked.
14     ANSWER      rank to launcher  the same uint32, then, to PULSE, a `PULSE`; to REPORT, text
                                     (see `pygas.launch.diagnosis`).
=====  ==========  ================  ========================================================

The answer to GET of a rank that has failed before it sent its address has no blob.

Any other frame (unknown type, too long, wrong length, GET of a rank that does not exist, a second
PUT) ends the job with an error that names the rank. A program that never says anything is not part
of a job and may end as it likes. End of file at a rank's side means that the launcher is gone: the
rank is about to be killed and should end.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

BOOT_VARIABLE = "PYGAS_BOOT"
HEADER = struct.Struct("=II")
RANK = struct.Struct("=I")
CODE = struct.Struct("=i")
ASK = struct.Struct("=I")
#: Activity, which grows with each message; milliseconds for which the rank has only waited.
PULSE = struct.Struct("=QQ")
FAILURE = struct.Struct("=Ii")
MAX_REASON = 80
MAX_PAYLOAD = 1 << 20


class Frame(enum.IntEnum):
    """The type of a frame."""

    PUT = 1
    FENCE = 2
    FENCE_DONE = 3
    GET = 4
    VALUE = 5
    BYE = 6
    ABORT = 7
    FAILED = 8
    FINISHED = 9
    ENDED = 10
    POLICY = 11
    POLICY_DONE = 12
    ASK = 13
    ANSWER = 14


class Ask(enum.IntEnum):
    """What a rank is asked for."""

    PULSE = 0
    REPORT = 1


FROM_RANK = frozenset(
    {
        Frame.PUT,
        Frame.FENCE,
        Frame.GET,
        Frame.BYE,
        Frame.ABORT,
        Frame.FINISHED,
        Frame.POLICY,
        Frame.ANSWER,
    }
)


class ProtocolError(Exception):
    """A rank sent something that is not part of the contract."""


def boot_value(fd: int, rank: int, size: int, key: str) -> str:
    """Return the value of ``PYGAS_BOOT`` for one rank."""
    return f"fd:{fd},rank:{rank},size:{size},key:{key}"


def boot_fd(value: str) -> int | None:
    """Return the file descriptor named in a value of ``PYGAS_BOOT``, None if there is none."""
    for item in value.split(","):
        name, _, text = item.partition(":")
        if name == "fd" and text.isascii() and text.isdigit():
            return int(text)
    return None


def encode(kind: Frame, payload: bytes = b"") -> bytes:
    """Return one whole frame."""
    return HEADER.pack(kind, len(payload)) + payload


def failed(rank: int, status: int, reason: str) -> bytes:
    """Return a FAILED frame."""
    return encode(Frame.FAILED, FAILURE.pack(rank, status) + reason.encode()[:MAX_REASON])


class FrameDecoder:
    """Cut a stream of bytes that comes from a rank into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """Add bytes and yield the frames that are complete now.

        Raises
        ------
        ProtocolError
            At the first header that is not one of a rank's frames; the frames before it have
            been yielded.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            number, length = HEADER.unpack_from(self._buffer)
            if number not in FROM_RANK:
                raise ProtocolError(f"unknown frame type {number}")
            if length > MAX_PAYLOAD:
                raise ProtocolError(f"a frame of {length} bytes, {MAX_PAYLOAD} are allowed")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield Frame(number), payload
