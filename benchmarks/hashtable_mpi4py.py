"""A hash table spread over all ranks, with mpi4py's one-sided operations.

    mpirun --mca osc sm -n 4 python benchmarks/hashtable_mpi4py.py -n 10000

As examples/hashtable.py, written as an MPI programmer would: every rank exposes an array of slots,
a key and a value each, in a window. To insert a key is to claim the first free slot of its
rank from the place where its hash points, by an atomic compare-and-swap; to look it up is to get
slots from that place on. Keys and values are integers that fit a slot, keys are not 0, and the
number of slots is fixed.

"--mca osc sm" is for Open MPI 4, whose compare-and-swap crashes between processes of one host
otherwise (open-mpi/ompi issues 7967, 11349).
"""

import argparse
import random

import numpy as np
from mpi4py import MPI


class Table:
    """Open addressing with linear probing. Making one is collective."""

    def __init__(self, comm: MPI.Comm, slots: int) -> None:
        self.ranks, self.slots = comm.size, slots
        self.window = MPI.Win.Allocate(16 * slots, 8, comm=comm)
        np.frombuffer(self.window, np.int64)[:] = 0
        comm.Barrier()
        self.window.Lock_all()

    def free(self) -> None:
        """Collective."""
        self.window.Unlock_all()
        self.window.Free()

    def place(self, key: int) -> tuple[int, int]:
        """The rank of a key, and its first slot."""
        return key % self.ranks, key // self.ranks % self.slots

    def insert(self, key: int, value: int) -> None:
        rank, slot = self.place(key)
        found = np.empty(1, np.int64)
        new, free = np.array([key]), np.zeros(1, np.int64)
        while True:
            self.window.Compare_and_swap(new, free, found, rank, 2 * slot)
            self.window.Flush(rank)
            if found[0] in (0, key):
                break
            slot = (slot + 1) % self.slots
        self.window.Put(np.array([value]), rank, 2 * slot + 1)
        self.window.Flush(rank)

    def lookup(self, key: int) -> int:
        rank, slot = self.place(key)
        entry = np.empty(2, np.int64)
        while True:
            self.window.Get(entry, rank, 2 * slot)
            self.window.Flush(rank)
            if entry[0] == key:
                return int(entry[1])
            if entry[0] == 0:
                raise KeyError(key)
            slot = (slot + 1) % self.slots


def keys_of(rank: int, n: int) -> list[int]:
    """The n keys that a rank inserts, 63-bit numbers."""
    rng = random.Random(rank)
    return [rng.getrandbits(62) * 2 + 1 for _ in range(n)]


def main() -> None:
    parser = argparse.ArgumentParser(description="insert and look up random keys")
    parser.add_argument("-n", type=int, default=10_000, help="keys of each rank (default 10,000)")
    n = parser.parse_args().n
    comm = MPI.COMM_WORLD
    table = Table(comm, slots=4 * comm.size * n)
    mine = keys_of(comm.rank, n)
    wanted = keys_of((comm.rank + 1) % comm.size, n)
    random.Random(comm.rank).shuffle(wanted)

    comm.Barrier()
    start = MPI.Wtime()
    for key in mine:
        table.insert(key, key % 1000)
    comm.Barrier()  # everybody has inserted
    found = sum(table.lookup(key) for key in wanted)
    comm.Barrier()
    seconds = MPI.Wtime() - start

    table.free()
    total = comm.reduce(found)
    if comm.rank == 0:
        print(f"hashtable: {n} keys, {comm.size} ranks: sum {total} in {seconds:.4f} s")


main()
