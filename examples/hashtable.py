"""A hash table spread over all ranks: random inserts, then random lookups.

    pygas run -n 4 examples/hashtable.py -n 10000

Every rank owns a dict with the keys that fall to it; whoever inserts or looks up a key calls a
method on the rank that owns it. Calls are made without waiting for each, a few hundred at a time.
"""

import argparse
import random
import time
from collections.abc import Iterable

import pygas

BATCH = 500


class Shard:
    """The keys of one rank, and their values."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}

    def insert(self, key: int, value: int) -> None:
        self.values[key] = value

    def lookup(self, key: int) -> int:
        return self.values[key]


class Table:
    """The whole table, as each rank sees it. Making one is collective."""

    def __init__(self) -> None:
        mine = Shard()
        self.shards = [pygas.async_(pygas.share(mine, root=rank)) for rank in range(pygas.THREADS)]

    def shard(self, key: int) -> Shard:
        """The shard of a key; its methods return Futures."""
        return self.shards[key % len(self.shards)]

    def insert(self, items: Iterable[tuple[int, int]]) -> None:
        """Insert keys with their values."""
        for future in [self.shard(key).insert(key, value) for key, value in items]:
            future.result()

    def lookup(self, keys: Iterable[int]) -> list[int]:
        """The values of keys."""
        return [future.result() for future in [self.shard(key).lookup(key) for key in keys]]


def keys_of(rank: int, n: int) -> list[int]:
    """The n keys that a rank inserts, 63-bit numbers."""
    rng = random.Random(rank)
    return [rng.getrandbits(62) * 2 + 1 for _ in range(n)]


def main() -> None:
    parser = argparse.ArgumentParser(description="insert and look up random keys")
    parser.add_argument("-n", type=int, default=10_000, help="keys of each rank (default 10,000)")
    n = parser.parse_args().n
    table = Table()
    mine = keys_of(pygas.MYTHREAD, n)
    wanted = keys_of((pygas.MYTHREAD + 1) % pygas.THREADS, n)
    random.Random(pygas.MYTHREAD).shuffle(wanted)

    pygas.barrier()
    start = time.perf_counter()
    for first in range(0, n, BATCH):
        table.insert((key, key % 1000) for key in mine[first : first + BATCH])
    pygas.barrier()  # everybody has inserted
    found = sum(sum(table.lookup(wanted[first : first + BATCH])) for first in range(0, n, BATCH))
    pygas.barrier()
    seconds = time.perf_counter() - start

    sums = pygas.share([0] * pygas.THREADS)
    sums[pygas.MYTHREAD] = found
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        print(f"hashtable: {n} keys, {pygas.THREADS} ranks: sum {sum(sums)} in {seconds:.4f} s")


main()
