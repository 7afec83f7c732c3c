"""Reading n bytes from another process with mpi4py, in each of its ways.

mpirun -n 2 python -m pygas.bench.peers.mpi4py_read

In pairs: each odd rank asks its left neighbour for an array, and gets it pickled, by buffer into
new or into the same memory, pickled with out-of-band buffers, or by a one-sided get.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from mpi4py.util import pkl5

from pygas.bench import reading, timing

WORLD = MPI.COMM_WORLD
PEER = WORLD.rank ^ 1
ASKS = WORLD.rank % 2 == 1


def serve(send: Callable[[], object], count: int) -> None:
    """Answer `count` questions of one byte."""
    token = bytearray(1)
    for _ in range(count):
        WORLD.Recv(token, PEER)
        send()


def ask(receive: Callable[[], object]) -> Callable[[], object]:
    token = bytearray(1)

    def read() -> object:
        WORLD.Send(token, PEER)
        return receive()

    return read


def two_sided(size: int, count: int) -> reading.Times:
    """Measure the ways that need the owner's help."""
    comm5 = pkl5.Intracomm(WORLD)
    source = np.full(size, 0xA5, dtype="u1")
    landing = np.full(size, 1, dtype="u1")

    def receive_fresh() -> object:
        fresh = np.empty(size, dtype="u1")
        WORLD.Recv(fresh, PEER)
        return fresh

    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "mpi4py pickle": (lambda: WORLD.send(source, PEER), lambda: WORLD.recv(source=PEER)),
        "mpi4py Recv, new memory": (lambda: WORLD.Send(source, PEER), receive_fresh),
        "mpi4py Recv, same memory": (
            lambda: WORLD.Send(source, PEER),
            lambda: WORLD.Recv(landing, PEER),
        ),
        "mpi4py pkl5": (lambda: comm5.send(source, PEER), lambda: comm5.recv(source=PEER)),
    }
    times: reading.Times = {}
    for label, (send, receive) in ways.items():
        WORLD.Barrier()
        if ASKS:
            times[label] = reading.median_time(ask(receive), count)
        else:
            serve(send, reading.repetitions(count))
    return times


def one_sided(window: MPI.Win, size: int, count: int) -> reading.Times:
    """Measure the get; the owner waits in a barrier."""
    times: reading.Times = {}
    landing = np.full(size, 1, dtype="u1")

    def get() -> object:
        window.Get(landing, PEER)
        window.Flush(PEER)
        return landing

    WORLD.Barrier()
    if ASKS:
        window.Lock(PEER, MPI.LOCK_SHARED)
        times["mpi4py Get, same memory"] = reading.median_time(get, count)
        window.Unlock(PEER)
    WORLD.Barrier()
    return times


def main() -> None:
    window = None
    if reading.NO_ONE_SIDED not in os.environ:
        window = MPI.Win.Allocate(reading.SIZE_MAX, 1, comm=WORLD)
        np.frombuffer(window.tomemory(), dtype="u1")[:] = 0xA5
    samples: timing.Samples = {}
    for size in reading.sizes():
        count = reading.count_for(size)
        times = two_sided(size, count)
        if window is not None:
            times |= one_sided(window, size, count)
        gathered = WORLD.gather(times)
        if gathered is not None:
            reading.collect(samples, size, gathered)
    if window is not None:
        window.Free()
    if WORLD.rank == 0:
        timing.emit(samples)


if __name__ == "__main__":
    main()
