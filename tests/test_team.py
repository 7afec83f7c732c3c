"""Collective operations of the whole job."""

from __future__ import annotations

import numpy as np
import pytest

import pygas


@pytest.mark.ranks(1, 2, 4)
def test_barrier_separates_phases() -> None:
    log = pygas.share([] if pygas.MYTHREAD == 0 else None)
    for phase in range(20):
        log.append(phase)
        pygas.barrier()
        assert len(log) == (phase + 1) * pygas.THREADS
        pygas.barrier()


@pytest.mark.ranks(1, 2, 3, 4, 7)
def test_broadcast_from_every_root() -> None:
    for root in range(pygas.THREADS):
        got = pygas.broadcast({"from": pygas.MYTHREAD}, root)
        assert got == {"from": root}


@pytest.mark.ranks(2, 4)
def test_broadcast_of_a_large_array() -> None:
    array = np.arange(3_000_000.0).reshape(1000, 3000)
    got = pygas.broadcast(array if pygas.MYTHREAD == 1 else None, root=1)
    assert got.flags.writeable
    np.testing.assert_array_equal(got, array)


@pytest.mark.ranks(1, 2, 4)
def test_what_cannot_be_broadcast_fails_on_every_rank() -> None:
    with open(__file__) as file, pytest.raises(TypeError, match="cannot pickle"):
        pygas.broadcast(file)
    assert pygas.broadcast(7) == 7


@pytest.mark.ranks(2)
def test_no_such_root() -> None:
    with pytest.raises(ValueError, match="no rank 2"):
        pygas.broadcast(1, root=2)


@pytest.mark.ranks(1, 2, 4)
def test_world() -> None:
    assert pygas.world.rank == pygas.MYTHREAD
    assert pygas.world.size == pygas.THREADS
    proxies = [pygas.share([pygas.MYTHREAD], root) for root in range(pygas.THREADS)]
    assert [pygas.owner(p) for p in proxies] == list(range(pygas.THREADS))
    assert [p[0] for p in proxies] == list(range(pygas.THREADS))
