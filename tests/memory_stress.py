"""Random sharing, copying, dropping, calling and storing among all ranks, by several threads; in
the end nothing may be left.

Run as ``pygas run -n 4 tests/memory_stress.py 2000 [seed]``: so many steps in each thread.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from boxes import Box, Holder

import pygas
from pygas._job import core

ROOM = 60


class Player(Holder):
    """What one thread does."""

    def create(self) -> None:
        """Make a box, here or there."""
        self.hold(self.rank().new(Box), pygas.Proxy(Box()))

    def put(self) -> None:
        """Store Proxies in a box of some rank."""
        self.any().put(self.any(), self.any())

    def put_inside(self) -> None:
        """Store a container of Proxies, and something of another thread's."""
        self.any().put([self.any(), {"key": (self.any(),)}], common[self.random.randrange(4)])

    def take(self) -> None:
        """Take a Proxy out of a box."""
        self.hold(self.any().take())

    def look(self) -> None:
        """Copy what is in a box."""
        found = self.any().look()
        if found:
            self.hold(*found[:2])

    def copy(self) -> None:
        """Have Proxies of other kinds to the same objects."""
        common[self.random.randrange(4)] = [pygas.by_ref(self.any()), pygas.async_(self.any())]

    def ask(self) -> None:
        """Start operations; wait for some of them, some time."""
        self.futures.append(pygas.async_(self.any()).take())
        self.futures.append(self.rank().submit(keep, self.any()))
        if len(self.futures) > 20:
            for future in self.futures[::3]:
                future.cancel()
            del self.futures[: self.random.randrange(20)]
            with contextlib.suppress(pygas.RemoteError, Exception):
                self.hold(self.futures[0].result())

    def iterate(self) -> None:
        """Leave an iterator half used."""
        for item in self.any().each():
            self.hold(item)
            break

    def fail(self) -> None:
        """Get an exception that refers to boxes."""
        with contextlib.suppress(LookupError):
            self.any().fail(self.any())

    def pickle(self) -> None:
        """Load a pickle, none, one or two times."""
        data = pickle.dumps([self.any(), self.any()])
        for _ in range(self.random.randrange(3)):
            self.hold(*pickle.loads(data))

    def cycle(self) -> None:
        """Make garbage for the collector, on any thread."""
        loop = [self.any()]
        loop.append(loop)

    def pass_round(self) -> None:
        """Send Proxies through several ranks."""
        self.hold(*self.rank().call(bounce, [self.any(), self.any()], self.random.randrange(3)))

    def play(self, steps: int) -> None:
        """Do that."""
        moves: list[Callable[[], None]] = [
            *(self.create, self.put, self.put_inside, self.take, self.look, self.drop),
            *(self.copy, self.ask, self.iterate, self.fail, self.pickle, self.cycle),
            self.pass_round,
        ]
        for _ in range(steps):
            self.random.choice(moves)()
            if not self.held:
                self.hold(pygas.Proxy(Box()))
        self.held.clear()
        self.futures.clear()


common: list[Any] = [None] * 4
keeping: list[Any] = []


def keep(proxy: Any) -> Any:
    """Keep a Proxy for a while."""
    keeping.append(proxy)
    del keeping[:-10]
    return proxy


def bounce(proxies: list[Any], more: int) -> list[Any]:
    """Send them on, or back."""
    keep(proxies[0])
    if more == 0:
        return proxies
    result: list[Any] = pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).call(
        bounce, proxies, more - 1
    )
    return result


def empty() -> None:
    """Break every cycle of boxes: each rank empties its own."""
    common[:] = [None] * 4
    keeping.clear()
    for obj in gc.get_objects():
        if type(obj) is Box:
            obj.items.clear()
    gc.collect()


def main() -> None:
    """Play, clean up, and see that nothing is left."""
    steps = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    pygas.barrier()
    players = [Player(seed * 1000 + pygas.MYTHREAD * 10 + i, ROOM) for i in range(3)]
    threads = [threading.Thread(target=player.play, args=(steps,)) for player in players[1:]]
    for thread in threads:
        thread.start()
    players[0].play(steps)
    for thread in threads:
        thread.join()
    del players, threads
    pygas.barrier()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pygas.barrier()
        empty()
        time.sleep(0.02)
        mine = (core().counts(), Box.alive())
        if all(pygas.broadcast(mine == ((0, 0), 0), root) for root in range(pygas.THREADS)):
            break
    print(f"rank {pygas.MYTHREAD}: left {core().counts()}, {mine[1]} alive")
    assert mine == ((0, 0), 0), mine
    pygas.barrier()


if __name__ == "__main__":
    main()
