"""Unbalanced tree search with mpi4py: a work-stealing pool of tasks, by messages.

    mpirun --mca osc sm -n 4 python benchmarks/uts_mpi4py.py --roots 500

As examples/uts.py. A rank that has run out of work asks another for some. Everybody looks for
requests between two portions of work, and also while waiting for an answer, since two ranks may be
asking each other. How many ranks are idle is counted in a window of rank 0.

"--mca osc sm" is for Open MPI 4, whose atomic operations crash between processes of one host
otherwise (open-mpi/ompi issues 7967, 11349).
"""

import argparse
import hashlib
import random

import numpy as np
from mpi4py import MPI

CHILDREN = 8  # of a node that has any
PROBABILITY = 0.1225  # that it has
REQUEST, REPLY = 1, 2


def child(node: bytes, number: int) -> bytes:
    return hashlib.sha1(node + number.to_bytes(4)).digest()


def children(node: bytes) -> list[bytes]:
    if int.from_bytes(node[:4]) >= PROBABILITY * 2**32:
        return []
    return [child(node, number) for number in range(CHILDREN)]


class Idle:
    """Counts the ranks that have nothing left and are not stealing either."""

    def __init__(self, comm: MPI.Comm) -> None:
        self.window = MPI.Win.Allocate(8 if comm.rank == 0 else 0, 8, comm=comm)
        if comm.rank == 0:
            np.frombuffer(self.window, np.int64)[:] = 0
        comm.Barrier()
        self.window.Lock_all()

    def add(self, change: int) -> int:
        """Add to the count; return what it was before."""
        before = np.empty(1, np.int64)
        self.window.Fetch_and_op(np.array([change]), before, 0, op=MPI.SUM)
        self.window.Flush(0)
        return int(before[0])

    def free(self) -> None:
        """Collective."""
        self.window.Unlock_all()
        self.window.Free()


class Pool:
    """The nodes that this rank has still to walk."""

    def __init__(self, comm: MPI.Comm) -> None:
        self.comm = comm
        self.nodes: list[bytes] = []

    def serve(self) -> None:
        """Answer those who have asked for work with the older half of ours."""
        status = MPI.Status()
        while self.comm.iprobe(tag=REQUEST, status=status):
            self.comm.recv(source=status.source, tag=REQUEST)
            half = len(self.nodes) // 2
            stolen, self.nodes[:half] = self.nodes[:half], []
            self.comm.send(stolen, dest=status.source, tag=REPLY)

    def steal(self) -> None:
        """Ask another rank for work, and answer others until its reply is here."""
        victim = random.choice([rank for rank in range(self.comm.size) if rank != self.comm.rank])
        self.comm.send(None, dest=victim, tag=REQUEST)
        while not self.comm.iprobe(source=victim, tag=REPLY):
            self.serve()
        self.nodes += self.comm.recv(source=victim, tag=REPLY)

    def walk(self) -> int:
        """Walk the pool until it is empty; return the number of nodes."""
        count = 0
        while self.nodes:
            self.serve()
            nodes, self.nodes[-50:] = self.nodes[-50:], []
            count += len(nodes)
            self.nodes += [kid for node in nodes for kid in children(node)]
        return count


def main() -> None:
    parser = argparse.ArgumentParser(description="count the nodes of an unbalanced tree")
    parser.add_argument("--roots", type=int, default=500, help="children of the root (default 500)")
    roots = parser.parse_args().roots
    comm = MPI.COMM_WORLD
    idle, pool = Idle(comm), Pool(comm)
    if comm.rank == 0:  # all the work is here at first
        pool.nodes = [child(b"root", number) for number in range(roots)]

    comm.Barrier()
    start = MPI.Wtime()
    count = pool.walk()
    idle.add(1)
    while idle.add(0) < comm.size:
        pool.serve()
        idle.add(-1)  # while it may have nodes in its hands
        pool.steal()
        count += pool.walk()
        idle.add(1)
    finished = comm.Ibarrier()
    while not finished.Test():
        pool.serve()  # a thief that saw somebody at work may still ask
    seconds = MPI.Wtime() - start

    total = comm.reduce(count)
    idle.free()
    if comm.rank == 0:
        print(f"uts: {roots} roots, {comm.size} ranks: {total} nodes in {seconds:.4f} s")


main()
