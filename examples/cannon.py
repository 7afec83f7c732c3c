"""Cannon's algorithm: multiply two n x n matrices on a square grid of ranks.

    pygas run -n 4 examples/cannon.py -n 1024

Rank (i, j) of the q x q grid owns block (i, j) of C = A B. In each of q steps every rank multiplies
the blocks of A and B that it holds. Meanwhile its right neighbour's block of A and its lower
neighbour's block of B, which it multiplies next, are on their way: it reads them through Proxies,
without waiting. The entries are small integers, so the product is exact, and the result is checked
against NumPy to the last bit.

Source: L. E. Cannon, "A cellular computer to implement the Kalman filter algorithm", PhD thesis,
Montana State University (1969).
"""

import argparse
import math
import sys
import time

import numpy as np

import pygas


class Tile:
    """What one rank holds: the blocks of A and B that it multiplies next, and its block of C."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self.a, self.b, self.c = a, b, np.zeros_like(a)
        self.multiplying = 0.0  # seconds


def block(factor: int, i: int, j: int, size: int) -> np.ndarray:
    """Block (i, j) of a matrix, each factor another one; block (0, 0) of size n is all of it."""
    rows = np.arange(i * size, (i + 1) * size)[:, np.newaxis]
    columns = np.arange(j * size, (j + 1) * size)
    return (rows * rows + factor * rows * columns + columns) % 11 - 5.0


def cannon(tiles: list[Tile], q: int) -> None:
    """Compute this rank's block of C, in place. Collective."""
    i, j = divmod(pygas.MYTHREAD, q)
    right = pygas.async_(tiles[i * q + (j + 1) % q])
    below = pygas.async_(tiles[(i + 1) % q * q + j])
    mine = pygas.local(tiles[pygas.MYTHREAD])
    for step in range(q):
        last = step == q - 1
        coming = () if last else (right.a, below.b)  # copies, on their way while we multiply
        start = time.perf_counter()
        mine.c += mine.a @ mine.b
        mine.multiplying += time.perf_counter() - start
        if not last:
            a, b = (future.result() for future in coming)
            pygas.barrier()  # everybody has read
            mine.a, mine.b = a, b
            pygas.barrier()  # everybody has new blocks


def main() -> None:
    parser = argparse.ArgumentParser(description="multiply two matrices with Cannon's algorithm")
    parser.add_argument("-n", type=int, default=1024, help="rows and columns (default 1024)")
    n = parser.parse_args().n
    q = math.isqrt(pygas.THREADS)
    if q * q != pygas.THREADS or n % q:
        sys.exit("cannon: the number of ranks has to be a square whose root divides n")
    size = n // q
    i, j = divmod(pygas.MYTHREAD, q)
    k = (i + j) % q  # the blocks are dealt out skewed: (i, j) starts with A(i, k) and B(k, j)
    mine = Tile(block(2, i, k, size), block(3, k, j, size))
    tiles = [pygas.share(mine, root=rank) for rank in range(pygas.THREADS)]

    mine.a @ mine.b  # wake the BLAS
    pygas.barrier()
    start = time.perf_counter()
    cannon(tiles, q)
    pygas.barrier()
    seconds = time.perf_counter() - start

    if pygas.MYTHREAD == 0:
        c = np.block([[tiles[i * q + j].c for j in range(q)] for i in range(q)])
        if not np.array_equal(c, block(2, 0, 0, n) @ block(3, 0, 0, n)):
            sys.exit("cannon: the result differs from NumPy's")
        multiplying = sum(tile.multiplying for tile in tiles) / pygas.THREADS
        print(
            f"cannon: n = {n}, {pygas.THREADS} ranks: verified in {seconds:.4f} s, "
            f"{2 * n**3 / seconds / 1e9:.1f} GFlop/s, {1 - multiplying / seconds:.0%} communication"
        )


main()
