"""Unbalanced tree search: count the nodes of a random tree, with a work-stealing pool of tasks.

    pygas run -n 4 examples/uts.py --roots 500

A node is a 20-byte digest; its children are digests of it and their numbers, and whether it has
any is read from it. So the tree is the same wherever it is walked, and nobody knows beforehand how
large a subtree is. Every rank walks nodes from its own pool; when that is empty it steals half of
another rank's. The work is done when all ranks have nothing left.

Source: S. Olivier et al., "UTS: An Unbalanced Tree Search Benchmark", LCPC 2006 (binomial trees).
"""

import argparse
import hashlib
import random
import threading
import time

import pygas

CHILDREN = 8  # of a node that has any
PROBABILITY = 0.1225  # that it has


def child(node: bytes, number: int) -> bytes:
    return hashlib.sha1(node + number.to_bytes(4)).digest()


def children(node: bytes) -> list[bytes]:
    if int.from_bytes(node[:4]) >= PROBABILITY * 2**32:
        return []
    return [child(node, number) for number in range(CHILDREN)]


class Pool:
    """The nodes that one rank has still to walk. Other ranks steal from it at any time."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.lock = threading.Lock()

    def put(self, nodes: list[bytes]) -> None:
        with self.lock:
            self.nodes += nodes

    def take(self, most: int) -> list[bytes]:
        """Remove the newest nodes, for the owner."""
        with self.lock:
            taken, self.nodes[-most:] = self.nodes[-most:], []
            return taken

    def steal(self) -> list[bytes]:
        """Remove the older half, which has the larger subtrees, for a thief."""
        with self.lock:
            half = len(self.nodes) // 2
            stolen, self.nodes[:half] = self.nodes[:half], []
            return stolen


class Idle:
    """Counts the ranks that have nothing left and are not stealing either."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            self.count += 1

    def leave(self) -> bool:
        """Count one less, to go and steal; False if all are idle: then there is no work left."""
        with self.lock:
            working = self.count < pygas.THREADS
            self.count -= working
            return working


def walk(pool: Pool) -> int:
    """Walk the pool until it is empty; return the number of nodes."""
    count = 0
    while nodes := pool.take(50):
        count += len(nodes)
        pool.put([kid for node in nodes for kid in children(node)])
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="count the nodes of an unbalanced tree")
    parser.add_argument("--roots", type=int, default=500, help="children of the root (default 500)")
    roots = parser.parse_args().roots
    me, ranks = pygas.MYTHREAD, pygas.THREADS
    mine = Pool()
    pools = [pygas.share(mine, root=rank) for rank in range(ranks)]
    victims = [pool for rank, pool in enumerate(pools) if rank != me]
    idle = pygas.share(Idle() if me == 0 else None)
    counts = pygas.share([0] * ranks)
    if me == 0:  # all the work is here at first
        mine.put([child(b"root", number) for number in range(roots)])

    pygas.barrier()
    start = time.perf_counter()
    count = walk(mine)
    idle.enter()
    while idle.leave():
        mine.put(random.choice(victims).steal())
        count += walk(mine)
        idle.enter()
    counts[me] = count
    pygas.barrier()
    seconds = time.perf_counter() - start

    if me == 0:
        print(f"uts: {roots} roots, {ranks} ranks: {sum(counts)} nodes in {seconds:.4f} s")


main()
