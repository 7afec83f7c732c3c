"""Random sharing, copying, dropping and calling among ranks, some of which die meanwhile.

In the end nothing may be left at the others, and nothing that they use may ever be gone.

Run as ``pygas run -n 4 --on-failure=continue tests/reclaim_stress.py SEED VICTIM...``: the victims
kill themselves at random moments.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from typing import Any

from boxes import Box, Holder

import pygas
from pygas._job import core

ROOM = 30
LASTS = 1.0  # seconds


common: list[Any] = []


def keep(thing: Any) -> Any:
    """Keep something for any thread of this rank; give something else back."""
    common.append(thing)
    return common.pop(0) if len(common) > ROOM else thing


class Player(Holder):
    """What one thread does."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, ROOM)
        self.failure: BaseException | None = None
        self.steps = 0

    def step(self) -> None:
        """Do something."""
        rank = self.rank()
        match self.random.randrange(8):
            case 0:
                self.hold(rank.new(Box), pygas.Proxy(Box()))
            case 1 | 2:
                self.any().put(self.any(), self.any())
            case 3:
                self.hold(self.any().take())
            case 4:
                self.hold(*self.any().look())
            case 5:
                self.hold(rank.call(keep, self.any()))
            case 6:
                self.futures.append(pygas.async_(self.any()).take())
                self.futures.append(rank.submit(keep, self.any()))
                if len(self.futures) > 12:
                    self.futures[0].cancel()
                    del self.futures[:5]
            case 7:
                self.drop()

    def play(self) -> None:
        """Do that for a while. What fails because a rank has failed is fine, nothing else."""
        end = time.monotonic() + LASTS
        while time.monotonic() < end and self.failure is None:
            try:
                self.step()
            except pygas.RankFailedError as error:
                # Objects of the dead are of no use, and come up again and again.
                self.held = [p for p in self.held if pygas.owner(p) not in error.ranks]
                self.held.append(pygas.Proxy(Box()))
            except BaseException as error:
                self.failure = error
            self.steps += 1


def fall(seed: int) -> None:
    """Die some time."""
    time.sleep(random.Random(seed).uniform(0.05, LASTS * 0.9))
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Play."""
    seed = int(sys.argv[1])
    victims = [int(word) for word in sys.argv[2:]]
    pygas.barrier()
    players = [Player(seed * 100 + pygas.MYTHREAD * 10 + i) for i in range(2)]
    threads = [threading.Thread(target=player.play) for player in players]
    for thread in threads:
        thread.start()
    if pygas.MYTHREAD in victims:
        fall(seed * 7 + pygas.MYTHREAD)
    for thread in threads:
        thread.join()
    for player in players:
        if player.failure is not None:
            raise player.failure
    steps = sum(player.steps for player in players)
    players.clear()
    threads.clear()
    del player, thread
    while not all(rank in pygas.failed_ranks() for rank in victims):
        time.sleep(0.01)
    pygas.collect()  # all survivors are here: nothing comes any more
    common.clear()
    gc.collect()
    until_gone_together()
    left = core().exported()
    assert not left, (pygas.MYTHREAD, left[:5])
    assert Box.alive() == 0, Box.alive()
    print(f"well {steps}")


def until_gone_together() -> None:
    """Collect a few times: what finalizers let go of is garbage only then."""
    for _ in range(3):
        pygas.collect()
    end = time.monotonic() + 5
    while core().exported() and time.monotonic() < end:
        core().progress()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
