"""Monte-Carlo pi with mpi4py: every rank throws darts at a square, a reduction adds up the hits.

mpirun -n 4 python benchmarks/pi_mpi4py.py -n 10000000
"""

import argparse

import numpy as np
from mpi4py import MPI

CHUNK = 1_000_000


def hits(darts: int, seed: int) -> int:
    """Throw darts at the unit square; return how many hit the quarter circle."""
    rng = np.random.default_rng(seed)
    count = 0
    for start in range(0, darts, CHUNK):
        x, y = rng.random((2, min(CHUNK, darts - start)))
        count += int(np.count_nonzero(x * x + y * y < 1))
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="estimate pi")
    parser.add_argument("-n", type=int, default=10_000_000, help="darts (default 10,000,000)")
    n = parser.parse_args().n
    comm = MPI.COMM_WORLD

    comm.Barrier()
    start = MPI.Wtime()
    each = n // comm.size
    total = comm.reduce(hits(each, comm.rank))
    if comm.rank == 0:
        seconds = MPI.Wtime() - start
        estimate = 4 * total / (each * comm.size)
        print(f"pi: {n} darts, {comm.size} ranks: {estimate:.8f} in {seconds:.4f} s")


main()
