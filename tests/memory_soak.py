"""Create, copy among ranks and drop many Proxies; the resident set must not grow.

Run as ``pygas run -n 4 tests/memory_soak.py 10000000``: so many Proxies in all. Each round makes
Proxies to fresh objects, sends them to other ranks, which pass some of them on, and drops them all.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from typing import Any

import pygas
from pygas._job import core

BATCH = 250


class Thing:
    """The object of a Proxy."""


kept: list[Any] = []


def take(proxies: list[Any], hops: int) -> int:
    """Keep some of the Proxies for a while, pass the others on. Return how many arrived in all."""
    kept.append(proxies[::7])
    while len(kept) > 4:
        del kept[0]
    if hops == 0:
        return len(proxies)
    there = random.randrange(pygas.THREADS)
    return len(proxies) + pygas.at(there).call(take, proxies[::2], hops - 1)


def make(count: int) -> list[Any]:
    """Return Proxies to new objects of this rank."""
    return [pygas.Proxy(Thing()) for _ in range(count)]


def forget() -> None:
    """Drop what this rank keeps."""
    kept.clear()
    gc.collect()


def rss() -> int:
    """Return the resident set of this rank, in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def one_round() -> int:
    """Return how many Proxies it made."""
    there = pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS)
    mine = make(BATCH)
    made = BATCH + there.call(take, mine, 2)
    theirs = there.call(make, BATCH)
    made += 2 * BATCH + pygas.at(random.randrange(pygas.THREADS)).call(take, theirs, 1)
    shifted = [pygas.by_ref(p) for p in theirs] + [pygas.async_(p) for p in mine]
    return made + len(shifted)


def main() -> None:
    """Run, and fail if memory grew or anything is left."""
    total = int(sys.argv[1]) // pygas.THREADS
    random.seed(pygas.MYTHREAD)
    made = 0
    sizes = []
    reports = 20
    begin = time.monotonic()
    while made < total:
        made += one_round()
        if made * reports >= total * (len(sizes) + 1):
            sizes.append(rss())
    seconds = time.monotonic() - begin
    pygas.barrier()
    forget()
    pygas.barrier()
    end = time.monotonic() + 20
    while core().counts() != (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    print(
        f"rank {pygas.MYTHREAD}: {made} Proxies in {seconds:.1f} s; resident KiB after each "
        f"twentieth: {sizes}; left: {core().counts()}"
    )
    early = max(sizes[: reports // 4])
    late = max(sizes[-reports // 4 :])
    assert core().counts() == (0, 0), core().counts()
    assert late <= early * 1.05 + 1024, (early, late)
    pygas.barrier()


if __name__ == "__main__":
    main()
