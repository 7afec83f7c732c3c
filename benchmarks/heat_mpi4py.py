"""Heat flow on a square plate with mpi4py, in strips of rows; neighbours exchange edge rows.

    mpirun -n 4 python benchmarks/heat_mpi4py.py -n 512 --steps 200

As examples/heat.py: the halo rows travel as buffers, by Sendrecv with both neighbours.
"""

import argparse

import numpy as np
from mpi4py import MPI


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
    comm = MPI.COMM_WORLD
    n, me, ranks = arguments.n, comm.rank, comm.size
    assert n % ranks == 0, f"the number of rows has to be a multiple of the {ranks} ranks"

    u = np.zeros((n // ranks + 2, n + 2))
    u[:, 0] = 100.0
    above = me - 1 if me > 0 else MPI.PROC_NULL
    below = me + 1 if me < ranks - 1 else MPI.PROC_NULL

    comm.Barrier()
    start = MPI.Wtime()
    for _ in range(arguments.steps):
        comm.Sendrecv(u[1], dest=above, recvbuf=u[-1], source=below)
        comm.Sendrecv(u[-2], dest=below, recvbuf=u[0], source=above)
        step(u)
    comm.Barrier()
    seconds = MPI.Wtime() - start

    strips = np.empty((n, n + 2)) if me == 0 else None
    comm.Gather(u[1:-1], strips)
    if me == 0:
        print(
            f"heat: {n} x {n}, {arguments.steps} steps, {ranks} ranks: "
            f"mean {strips[:, 1:-1].mean():.12f} in {seconds:.4f} s"
        )


main()
