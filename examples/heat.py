"""Heat flow on a square plate, in strips of rows; neighbours read each other's edge rows.

    pygas run -n 4 examples/heat.py -n 512 --steps 200

The left edge of the plate is kept hot, the others cold. Each rank holds a strip of rows with one
more row above and below it, a halo, which it fills in every step with the edge rows of its
neighbours, read through Proxies to their arrays.
"""

import argparse
import time

import numpy as np

import pygas


def step(u: np.ndarray) -> None:
    """Move every inner cell towards the mean of its four neighbours, in place."""
    u[1:-1, 1:-1] += 0.25 * (
        u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="simulate heat flow on a plate")
    parser.add_argument("-n", type=int, default=512, help="inner rows and columns (default 512)")
    parser.add_argument("--steps", type=int, default=200, help="time steps (default 200)")
    arguments = parser.parse_args()
    n, me, ranks = arguments.n, pygas.MYTHREAD, pygas.THREADS
    assert n % ranks == 0, f"the number of rows has to be a multiple of the {ranks} ranks"

    u = np.zeros((n // ranks + 2, n + 2))
    u[:, 0] = 100.0
    strips = [pygas.share(u, root=rank) for rank in range(ranks)]
    above = strips[me - 1] if me > 0 else None
    below = strips[me + 1] if me < ranks - 1 else None

    pygas.barrier()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        if above is not None:
            u[0] = above[-2]
        if below is not None:
            u[-1] = below[1]
        pygas.barrier()  # everybody has read
        step(u)
        pygas.barrier()  # everybody has new rows
    seconds = time.perf_counter() - start

    if me == 0:
        plate = np.concatenate([strip[1:-1] for strip in strips])
        print(
            f"heat: {n} x {n}, {arguments.steps} steps, {ranks} ranks: "
            f"mean {plate[:, 1:-1].mean():.12f} in {seconds:.4f} s"
        )


main()
