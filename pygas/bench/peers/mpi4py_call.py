"""A pickled request and reply with mpi4py: what a Proxy's method call is compared with.

mpirun -n 2 python -m pygas.bench.peers.mpi4py_call COUNT
"""

from __future__ import annotations

import sys

from mpi4py import MPI

from pygas.bench import timing


def main() -> None:
    count = int(sys.argv[1])
    comm = MPI.COMM_WORLD
    if comm.rank == 0:
        while (request := comm.recv(source=1)) is not None:
            comm.send(len(request), dest=1)
        return

    def call() -> object:
        comm.send((1,), dest=0)
        return comm.recv(source=0)

    samples = timing.sample(call, count)
    comm.send(None, dest=0)
    timing.emit({"mpi4py, pickled request and reply": samples})


if __name__ == "__main__":
    main()
