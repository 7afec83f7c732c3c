"""What the jobs of the kill test do: a phase, over and over, in which a rank is killed.

Survivors of a job that goes on show that they still can call each other.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import time

import pygas

SECONDS = 0.6
SIZE = 4_000_000


def swap(data: bytes) -> bytes:
    return data


def collectives() -> None:
    pygas.barrier()
    pygas.broadcast(list(range(100)), root=pygas.THREADS - 1)
    pygas.share([], root=0).append(1)


def transfers() -> None:
    other = (pygas.MYTHREAD + 1) % pygas.THREADS
    assert len(pygas.at(other).call(swap, bytes(SIZE))) == SIZE


def calls() -> None:
    futures = [
        pygas.at(rank).submit(divmod, number, 7)
        for number in range(50)
        for rank in range(pygas.THREADS)
    ]
    for future in futures:
        future.result()


def mixed() -> None:
    calls()
    transfers()
    collectives()


def say_goodbye(box: list[int]) -> None:
    with contextlib.suppress(pygas.RankFailedError):
        box.append(pygas.MYTHREAD)


def repeat(phase: str) -> None:
    """Do something until time is up; collectives end together."""
    action = globals()[phase]
    end = time.monotonic() + SECONDS
    together = phase in ("collectives", "mixed")
    while pygas.broadcast(time.monotonic() < end) if together else time.monotonic() < end:
        action()


def survive(victim: int) -> None:
    alive = [rank for rank in range(pygas.THREADS) if rank not in pygas.failed_ranks()]
    assert victim not in alive, (victim, alive)
    for rank in alive:
        assert pygas.at(rank).call(divmod, 9, 2) == (4, 1)


def main() -> None:
    phase = sys.argv[1]
    if phase == "start":
        pygas.init()
        return
    try:
        if phase == "exit":
            atexit.register(say_goodbye, pygas.share([], root=0))
        else:
            repeat(phase)
    except pygas.RankFailedError as error:
        survive(error.rank)


main()
