"""Cannon's algorithm with mpi4py and NumPy; the blocks travel as pickled objects.

    OMP_NUM_THREADS=1 mpirun -n 4 python benchmarks/cannon_mpi4py_pickle.py -n 1024

As cannon_mpi4py.py, but with mpi4py's lower-case methods, which take any object.
"""

import argparse
import math
import sys

import numpy as np
from mpi4py import MPI


def block(factor: int, i: int, j: int, size: int) -> np.ndarray:
    """Block (i, j) of a matrix, each factor another one; block (0, 0) of size n is all of it."""
    rows = np.arange(i * size, (i + 1) * size)[:, np.newaxis]
    columns = np.arange(j * size, (j + 1) * size)
    return (rows * rows + factor * rows * columns + columns) % 11 - 5.0


def cannon(grid: MPI.Cartcomm, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Compute this rank's block of C, in place, and return the seconds spent multiplying."""
    right, left = grid.Shift(1, -1)
    below, above = grid.Shift(0, -1)
    multiplying = 0.0
    q = grid.dims[0]
    for step in range(q):
        start = MPI.Wtime()
        c += a @ b
        multiplying += MPI.Wtime() - start
        if step < q - 1:
            a = grid.sendrecv(a, dest=left, source=right)
            b = grid.sendrecv(b, dest=above, source=below)
    return multiplying


def main() -> None:
    parser = argparse.ArgumentParser(description="multiply two matrices with Cannon's algorithm")
    parser.add_argument("-n", type=int, default=1024, help="rows and columns (default 1024)")
    n = parser.parse_args().n
    world = MPI.COMM_WORLD
    q = math.isqrt(world.size)
    if q * q != world.size or n % q:
        sys.exit("cannon: the number of ranks has to be a square whose root divides n")
    grid = world.Create_cart((q, q), periods=(True, True))
    size = n // q
    i, j = grid.coords
    k = (i + j) % q  # the blocks are dealt out skewed: (i, j) starts with A(i, k) and B(k, j)
    a, b = block(2, i, k, size), block(3, k, j, size)
    c = np.zeros_like(a)

    a @ b  # wake the BLAS
    grid.Barrier()
    start = MPI.Wtime()
    multiplying = cannon(grid, a, b, c)
    grid.Barrier()
    seconds = MPI.Wtime() - start

    blocks = grid.gather(c)
    multiplying = grid.reduce(multiplying)
    if grid.rank == 0:
        whole = np.block([blocks[row * q : (row + 1) * q] for row in range(q)])
        if not np.array_equal(whole, block(2, 0, 0, n) @ block(3, 0, 0, n)):
            sys.exit("cannon: the result differs from NumPy's")
        share = 1 - multiplying / grid.size / seconds
        print(
            f"cannon: n = {n}, {grid.size} ranks: verified in {seconds:.4f} s, "
            f"{2 * n**3 / seconds / 1e9:.1f} GFlop/s, {share:.0%} communication"
        )


main()
