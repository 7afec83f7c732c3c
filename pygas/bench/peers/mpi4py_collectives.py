"""The operations of ``pygas bench collectives`` with mpi4py: buffers, and pickled objects.

mpirun -n N python -m pygas.bench.peers.mpi4py_collectives SECONDS
"""

from __future__ import annotations

import sys

import numpy as np
from mpi4py import MPI

from pygas.bench import collectives


def main() -> None:
    comm = MPI.COMM_WORLD
    size = comm.size

    def operations(block: np.ndarray) -> collectives.Operations:
        blocks = np.zeros((size, block.size))
        others = np.zeros((size, block.size))
        out = np.zeros_like(block)
        return {
            "broadcast": lambda: comm.Bcast(block),
            "gather": lambda: comm.Gather(block, blocks if comm.rank == 0 else None),
            "scatter": lambda: comm.Scatter(blocks if comm.rank == 0 else None, out),
            "allgather": lambda: comm.Allgather(block, blocks),
            "alltoall": lambda: comm.Alltoall(blocks, others),
            "reduce": lambda: comm.Reduce(block, out if comm.rank == 0 else None),
            "allreduce": lambda: comm.Allreduce(block, out),
            "reduce_scatter": lambda: comm.Reduce_scatter_block(blocks, out),
            "scan": lambda: comm.Scan(block, out),
        }

    value = {"a": 1, "b": [1.0, 2.0]}
    objects: collectives.Operations = {
        "barrier": comm.Barrier,
        "broadcast of an object": lambda: comm.bcast(value),
        "gather of objects": lambda: comm.gather(value),
        "allgather of objects": lambda: comm.allgather(value),
        "alltoall of objects": lambda: comm.alltoall([value] * size),
        "allreduce of numbers": lambda: comm.allreduce(comm.rank),
    }
    if comm.rank == 0:
        collectives.lead(comm.bcast, comm.Barrier, operations, objects, float(sys.argv[1]))
    else:
        collectives.follow(comm.bcast, comm.Barrier, operations, objects)


if __name__ == "__main__":
    main()
