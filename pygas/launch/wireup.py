"""The state of a job's wire-up: addresses, fences, who finished, who is lost.

Design notes
------------
A pure state machine: frames go in through `Wireup.handle`, answers go out through the function
given to the constructor. It knows nothing of sockets and processes and never blocks.

``_fences[r]`` counts the FENCE frames of rank r, ``_done`` the fences that all ranks have reached,
``_arrived`` the ranks that are past ``_done``. Ranks that are lost count nowhere: what all have to
do is done when the others have. A rank waits if it has sent more FENCE frames than
``_done``, or has asked for a blob that is not there; `Wireup.waiting_for` tells whom a rank that
ended left waiting.
"""

from __future__ import annotations

from collections.abc import Callable

from pygas.launch.protocol import CODE, HEADER, RANK, Frame, ProtocolError, encode


class RankAborted(Exception):
    """A rank asked to end the whole job."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Wireup:
    """Serve the frames of all ranks.

    Parameters
    ----------
    size : int
        Number of ranks.
    send : callable
        ``send(rank, *parts)`` sends one frame, given in parts, to a rank. Must not block.

    Attributes
    ----------
    go_on : bool
        Whether the job goes on when a rank fails; ranks may change it.
    """

    def __init__(self, size: int, send: Callable[..., None]) -> None:
        self._size = size
        self._send = send
        self._blobs: list[bytes | None] = [None] * size
        self._askers: dict[int, list[int]] = {}
        self._fences = [0] * size
        self._done = 0
        self._arrived = 0
        self._serving: set[int] = set()
        self._finished: set[int] = set()
        self._lost: set[int] = set()
        self._ended = False
        self.go_on = False

    def joined(self, rank: int) -> bool:
        """Tell whether the rank has sent its address."""
        return self._blobs[rank] is not None

    def finished(self, rank: int) -> bool:
        """Tell whether the rank has said BYE."""
        return rank in self._finished

    def lose(self, rank: int) -> None:
        """Note that a rank has failed: nobody waits for it any more."""
        if rank in self._lost:
            return
        self._lost.add(rank)
        self._serving.discard(rank)
        if self._fences[rank] > self._done:
            self._arrived -= 1
        if self._blobs[rank] is None:
            for asker in self._askers.pop(rank, ()):
                self._send_value(asker, rank, b"")
        self._complete_fences()
        self._end_together()

    @property
    def anyone_waits(self) -> bool:
        """Whether any rank waits for another one."""
        return self._arrived > 0 or bool(self._askers)

    def waiting_for(self, rank: int) -> list[int]:
        """Return the ranks that cannot go on before `rank` sends something."""
        if rank in self._lost:
            return []
        waiting = set(self._askers.get(rank, ()))
        count = self._fences[rank]
        waiting.update(r for r, fences in enumerate(self._fences) if fences > count)
        waiting.discard(rank)
        return sorted(waiting)

    def handle(self, rank: int, kind: Frame, payload: bytes) -> None:
        """Take one frame of a rank.

        Raises
        ------
        ProtocolError
            The frame is against the contract.
        RankAborted
            The frame is a proper ABORT.
        """
        match kind:
            case Frame.PUT:
                self._put(rank, payload)
            case Frame.FENCE:
                _expect_length(kind, payload, 0)
                self._fence(rank)
            case Frame.GET:
                _expect_length(kind, payload, RANK.size)
                self._get(rank, RANK.unpack(payload)[0])
            case Frame.FINISHED:
                _expect_length(kind, payload, 0)
                self._serving.add(rank)
                self._end_together()
            case Frame.BYE:
                _expect_length(kind, payload, 0)
                self._finished.add(rank)
                self._serving.discard(rank)
                self._end_together()
            case Frame.POLICY:
                _expect_length(kind, payload, RANK.size)
                self.go_on = RANK.unpack(payload)[0] != 0
                self._send(rank, encode(Frame.POLICY_DONE))
            case Frame.ABORT:
                if len(payload) < CODE.size:
                    _expect_length(kind, payload, CODE.size)
                text = payload[CODE.size :].decode("utf-8", "replace")
                raise RankAborted(CODE.unpack_from(payload)[0], text)

    def _put(self, rank: int, blob: bytes) -> None:
        if self._blobs[rank] is not None:
            raise ProtocolError("a second PUT")
        self._blobs[rank] = blob
        for asker in self._askers.pop(rank, ()):
            self._send_value(asker, rank, blob)

    def _get(self, asker: int, rank: int) -> None:
        if rank >= self._size:
            raise ProtocolError(f"GET of rank {rank}, there are {self._size}")
        blob = self._blobs[rank]
        if blob is None and rank in self._lost:
            self._send_value(asker, rank, b"")
        elif blob is None:
            self._askers.setdefault(rank, []).append(asker)
        else:
            self._send_value(asker, rank, blob)

    def _send_value(self, asker: int, rank: int, blob: bytes) -> None:
        head = HEADER.pack(Frame.VALUE, RANK.size + len(blob)) + RANK.pack(rank)
        self._send(asker, head, blob)

    def _fence(self, rank: int) -> None:
        self._fences[rank] += 1
        if self._fences[rank] == self._done + 1:
            self._arrived += 1
        if self._arrived == self._size - len(self._lost):
            self._complete_fences()

    def _complete_fences(self) -> None:
        living = [rank for rank in range(self._size) if rank not in self._lost]
        while self._arrived == len(living) > 0:
            self._done += 1
            self._arrived = sum(self._fences[rank] > self._done for rank in living)
            done = encode(Frame.FENCE_DONE)
            for rank in living:
                self._send(rank, done)

    def _end_together(self) -> None:
        """Let the ranks that serve end if there is nobody left who is not through."""
        if self._ended or not self._serving:
            return
        if len(self._serving) + len(self._finished | self._lost) == self._size:
            self._ended = True
            for rank in sorted(self._serving):
                self._send(rank, encode(Frame.ENDED))


def _expect_length(kind: Frame, payload: bytes, length: int) -> None:
    if len(payload) != length:
        raise ProtocolError(f"{kind.name} with {len(payload)} bytes instead of {length}")
