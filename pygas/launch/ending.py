"""Why a job ended, its exit code, and the words for it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

from pygas.launch.signals import signal_name

TIMEOUT_CODE = 124
CLOSED_OUTPUT_CODE = 128 + signal.SIGPIPE


class Ending(NamedTuple):
    """Why a job is ended before all of its ranks are done.

    Attributes
    ----------
    code : int
        Exit code of the launcher.
    message : str
        What is said, without the leading ``pygas: ``; nothing is said if it is empty.
    culprit : int or None
        The rank whose last words are to be shown last.
    excusable : bool
        Whether the job counts as successful after all if all ranks end with 0.
    hasty : bool
        Whether output that nobody takes is given up soon.
    status : int
        What the culprit's process ended with: its exit code, or minus a signal's number.
    reason : str
        What became of the culprit, as the end of a sentence.
    """

    code: int
    message: str = ""
    culprit: int | None = None
    excusable: bool = False
    hasty: bool = False
    status: int = 0
    reason: str = ""


def not_started(rank: int, size: int, error: OSError) -> Ending:
    """End the job because a rank could not be started."""
    return Ending(1, f"cannot start rank {rank} of {size}: {error.strerror}", hasty=True)


def rank_failed(rank: int, size: int, status: int) -> Ending:
    """End the job because a rank exited with a code (`status` > 0) or by a signal (< 0)."""
    reason = f"was killed by {signal_name(-status)}" if status < 0 else f"exited with code {status}"
    code = 128 - status if status < 0 else status
    text = f"rank {rank} of {size} {reason}"
    return Ending(code, text, culprit=rank, status=status, reason=reason)


def rank_aborted(rank: int, code: int, text: str) -> Ending:
    """End the job because a rank asked for it."""
    return Ending(code & 0xFF, f"rank {rank}: {text}", culprit=rank)


def rank_left(rank: int, size: int) -> Ending:
    """End the job because a rank that had joined exited with 0 but without BYE."""
    reason = "left without finishing its part of the job (os._exit?)"
    return Ending(1, f"rank {rank} of {size} {reason}", culprit=rank, reason=reason)


def rank_missed(rank: int, size: int, joined: bool, waiting: Sequence[int]) -> Ending:
    """End the job because a rank exited with 0 while others wait for it."""
    how = "finished" if joined else "ended without joining the job"
    who = numbers(waiting)
    waits = f"which rank {who} waits for" if len(waiting) == 1 else f"which ranks {who} wait for"
    return Ending(1, f"rank {rank} of {size} {how}, {waits}", culprit=rank, reason=how)


def rank_garbled(rank: int, size: int, error: Exception) -> Ending:
    """End the job because a rank broke the boot protocol."""
    text = f"rank {rank} of {size} broke the boot protocol: {error}"
    return Ending(1, text, culprit=rank)


def timed_out(seconds: float) -> Ending:
    """End the job because it took longer than the user allowed."""
    text = f"the job took longer than {seconds:g} s and was ended"
    return Ending(TIMEOUT_CODE, text, hasty=True)


def signalled(number: int) -> Ending:
    """End the job because the launcher got a signal that ends it."""
    text = f"the job was ended by {signal_name(number)}"
    return Ending(128 + number, text, excusable=True, hasty=True)


def output_failed(name: str, error: OSError) -> Ending:
    """End the job because output cannot be written, quietly if nobody wants it any more."""
    if isinstance(error, BrokenPipeError):
        return Ending(CLOSED_OUTPUT_CODE, hasty=True)
    return Ending(1, f"cannot write to {name}: {error.strerror}", hasty=True)


def numbers(ranks: Sequence[int]) -> str:
    """Return increasing numbers in words, like ``0, 2-5 and 9``."""
    runs: list[tuple[int, int]] = []
    for rank in ranks:
        if runs and runs[-1][1] == rank - 1:
            runs[-1] = (runs[-1][0], rank)
        else:
            runs.append((rank, rank))
    words = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
