"""Where the ranks are, and since when nothing moves.

Design notes
------------
`Watch` decides whether a job hangs: it asks every rank now and then for its pulse, and the job
hangs if each of them has been waiting, and has got no message, for as long as the user has said. A
rank that has not joined the job, or runs Python code outside of PyGAS, does not wait.

`Survey` gathers one report of each rank and puts it into words. Ranks whose reports differ only in
the times and the numbers of threads are shown together. A rank that does not answer is shown as
such.

Both are pure: frames and the time go in, frames to send come out through a function.

A report is lines of fields separated by tabs, by their first field:

=  =================================================================================
W  number of a thread, milliseconds, rank or -1, what: a wait, innermost first
T  number of a thread, its name: its stack follows
S  a line of that stack
B  the interpreter was stuck, and what follows is what its crash reporter wrote
=  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pygas.launch.ending import numbers
from pygas.launch.protocol import ASK, PULSE, Ask, Frame, ProtocolError, encode

ANSWER_TIME = 3.0
_PULSES = 4
_LONGEST_PAUSE = 5.0


class Watch:
    """Tell whether a job hangs.

    Parameters
    ----------
    patience : float
        Seconds for which nothing may move.
    send : callable
        ``send(rank, frame)``.
    """

    def __init__(self, patience: float, send: Callable[[int, bytes], None]) -> None:
        self._patience = patience
        self._send = send
        self._pause = min(patience / _PULSES, _LONGEST_PAUSE)
        self._still_since: dict[int, tuple[int, float]] = {}
        self._waiting: dict[int, float] = {}
        self._told = False
        self.due: float | None = None

    def start(self, now: float) -> None:
        """Begin to watch."""
        self.due = now + self._pause

    def turn(self, now: float, ranks: Iterable[int]) -> bool:
        """Ask the ranks that live if it is time to; tell, once, that the job hangs."""
        if self._told or self.due is None or now < self.due:
            return False
        ranks = list(ranks)
        self._told = bool(ranks) and all(self._is_stuck(rank, now) for rank in ranks)
        self.due = None if self._told else now + self._pause
        if not self._told:
            for rank in ranks:
                self._waiting.pop(rank, None)
                self._send(rank, encode(Frame.ASK, ASK.pack(Ask.PULSE)))
        return self._told

    def answer(self, rank: int, payload: bytes, now: float) -> None:
        """Take the pulse of a rank."""
        if len(payload) != PULSE.size:
            raise ProtocolError(f"a pulse of {len(payload)} bytes")
        activity, milliseconds = PULSE.unpack(payload)
        if self._still_since.get(rank, (-1, 0.0))[0] != activity:
            self._still_since[rank] = activity, now
        self._waiting[rank] = milliseconds / 1e3

    def lose(self, rank: int) -> None:
        """Take note that a rank has finished its part: what it said before, it waits no more."""
        self._waiting.pop(rank, None)

    def _is_stuck(self, rank: int, now: float) -> bool:
        return (
            self._waiting.get(rank, 0.0) >= self._patience
            and now - self._still_since[rank][1] >= self._patience
        )


class Survey:
    """Ask every rank where it is, and put the answers together.

    Parameters
    ----------
    ranks : sequence of int
        Those that are asked.
    mute : sequence of int
        Those that cannot answer.
    send : callable
        ``send(rank, frame)``.
    now : float
        The time.
    """

    def __init__(
        self,
        ranks: Sequence[int],
        mute: Sequence[int],
        send: Callable[[int, bytes], None],
        now: float,
    ) -> None:
        self.due = now + ANSWER_TIME
        self._mute = set(mute)
        self._missing = set(ranks)
        self._reports: dict[int, str] = {}
        for rank in ranks:
            send(rank, encode(Frame.ASK, ASK.pack(Ask.REPORT)))

    def answer(self, rank: int, payload: bytes) -> None:
        """Take the report of a rank."""
        if rank in self._missing:
            self._missing.discard(rank)
            self._reports[rank] = payload.decode("utf-8", "replace")

    def lose(self, rank: int) -> None:
        """Expect nothing of a rank that has ended."""
        self._missing.discard(rank)
        self._mute.discard(rank)

    def is_over(self, now: float) -> bool:
        """Tell whether all have answered, or have had their time."""
        return not self._missing or now >= self.due

    def text(self, reason: str, silent: Callable[[int], str]) -> str:
        """Put it into words.

        Parameters
        ----------
        reason : str
            Why it was asked for.
        silent : callable
            ``silent(rank)`` says why a rank may not have answered.
        """
        lines = [f"pygas: {reason}; where the ranks are:"]
        groups: dict[tuple[str, ...], list[tuple[int, float]]] = {}
        for rank, report in sorted(self._reports.items()):
            place, seconds = _place(report)
            groups.setdefault(place, []).append((rank, seconds))
        for place, members in groups.items():
            ranks = [rank for rank, _ in members]
            longest = max(seconds for _, seconds in members)
            lines.append(f"pygas: {_ranks(ranks)}{f', for {longest:.1f} s' if longest else ''}:")
            lines += [f"    {line}" for line in place]
        said: dict[str, list[int]] = {}
        for rank in sorted(self._missing | self._mute):
            said.setdefault(silent(rank), []).append(rank)
        lines += [f"pygas: {_ranks(ranks)}: {why}" for why, ranks in said.items()]
        return "".join(f"{line}\n" for line in lines)


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'' if len(ranks) == 1 else 's'} {numbers(ranks)}"


def _place(report: str) -> tuple[tuple[str, ...], float]:
    """Return a report in words, without times and numbers of threads, and its longest wait."""
    waits: dict[str, list[str]] = {}
    stacks: list[tuple[str, str, list[str]]] = []
    rest: list[str] = []
    longest = 0.0
    lines = iter(report.splitlines())
    for line in lines:
        kind, *fields = line.split("\t")
        if kind == "W" and len(fields) == 4 and fields[1].isdigit():
            thread, milliseconds, peer, what = fields
            of = "" if peer == "-1" else f" of rank {peer}"
            waits.setdefault(thread, []).append(f"waits for {what}{of}")
            longest = max(longest, int(milliseconds) / 1e3)
        elif kind == "T" and len(fields) == 2:
            stacks.append((fields[0], fields[1], []))
        elif kind == "S" and stacks:
            stacks[-1][2].append(line[2:])
        elif kind == "B":
            rest = ["the interpreter is busy in C code; its threads, most recent call first:"]
            rest += [f"  {line}" for line in lines if line]
    place = []
    for thread, name, stack in stacks:
        place.append(f"{name} {' while it '.join(waits.pop(thread, ['runs']))}:")
        place += stack
    for chain in waits.values():
        place.append(f"a thread {' while it '.join(chain)}")
    return tuple(place + rest), longest
