"""Monte-Carlo pi: every rank throws darts at a square, rank 0 adds up who hit the circle.

    pygas run -n 4 examples/pi.py -n 10000000

Rank 0 calls the same function on all ranks, itself included, and sums what it returns.
"""

import argparse
import time

import numpy as np

import pygas

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

    pygas.barrier()
    start = time.perf_counter()
    if pygas.MYTHREAD == 0:
        each = n // pygas.THREADS
        futures = [pygas.at(rank).submit(hits, each, rank) for rank in range(pygas.THREADS)]
        total = sum(pygas.gather(*futures).result())
        seconds = time.perf_counter() - start
        estimate = 4 * total / (each * pygas.THREADS)
        print(f"pi: {n} darts, {pygas.THREADS} ranks: {estimate:.8f} in {seconds:.4f} s")
    pygas.barrier()


main()
