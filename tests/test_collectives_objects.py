"""Collective operations on arbitrary objects, on the world and smaller teams."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pytest

import pygas

SIZES = (1, 2, 3, 4, 5, 7)


def mine(rank: int) -> dict[str, Any]:
    return {"rank": rank, "text": "x" * (rank * 3000)}


def glue(left: str, right: str) -> str:
    """Associative, not commutative."""
    return left + right


def teams() -> list[pygas.Team]:
    """Return the world, and halves and pairs of it with other orders."""
    world = pygas.world
    halves = world.split(world.rank % 2, -world.rank)
    assert halves is not None
    return [world, halves]


@pytest.mark.ranks(*SIZES)
def test_from_one_and_to_one() -> None:
    for team in teams():
        for root in {0, team.size - 1, team.size // 2}:
            assert team.broadcast(mine(team.rank), root) == mine(root)
            gathered = team.gather(mine(team.rank), root)
            assert gathered == ([mine(r) for r in range(team.size)] if team.rank == root else None)
            values = [mine(r) for r in range(team.size)] if team.rank == root else None
            assert team.scatter(values, root) == mine(team.rank)
            proxy = team.share([team.rank], root)
            assert pygas.owner(proxy) == team.to_world(root)
            assert proxy[0] == root


@pytest.mark.ranks(*SIZES)
def test_from_all_to_all() -> None:
    for team in teams():
        size, rank = team.size, team.rank
        assert team.allgather(mine(rank)) == [mine(r) for r in range(size)]
        sent = [(rank, other, "y" * 5000) for other in range(size)]
        assert team.alltoall(sent) == [(other, rank, "y" * 5000) for other in range(size)]


@pytest.mark.ranks(*SIZES)
def test_reductions_keep_the_order() -> None:
    for team in teams():
        size, rank = team.size, team.rank
        letters = [chr(65 + r) for r in range(size)]
        whole = "".join(letters)
        for ordered in (False, True):
            for root in {0, size - 1}:
                got = team.reduce(letters[rank], glue, root, ordered=ordered)
                assert got == (whole if rank == root else None)
            assert team.allreduce(letters[rank], glue, ordered=ordered) == whole
            assert team.scan(letters[rank], glue, ordered=ordered) == whole[: rank + 1]
            before = team.exscan(letters[rank], glue, ordered=ordered)
            assert before == (whole[:rank] if rank > 0 else None)
            parts = [f"{letter}{letters[rank]}" for letter in letters]
            assert team.reduce_scatter(parts, glue, ordered=ordered) == "".join(
                f"{letters[rank]}{letter}" for letter in letters
            )


@pytest.mark.ranks(1, 3, 4)
def test_named_operators() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    numbers = [3 * r + 1 for r in range(size)]
    assert pygas.allreduce(numbers[rank]) == sum(numbers)
    assert pygas.allreduce(2**70) == size * 2**70
    assert pygas.allreduce(float(rank)) == sum(range(size))
    assert pygas.allreduce(0 if rank else 0.5) == 0.5
    assert pygas.allreduce(numbers[rank], pygas.PROD) == functools.reduce(operator.mul, numbers)
    assert pygas.allreduce(numbers[rank], pygas.MIN) == 1
    assert pygas.allreduce(numbers[rank], pygas.MAX) == numbers[-1]
    assert pygas.allreduce({rank, 99}, pygas.AND) == ({0, 99} if size == 1 else {99})
    assert pygas.allreduce({rank}, pygas.OR) == set(range(size))
    assert pygas.allreduce(1 << rank, pygas.XOR) == (1 << size) - 1
    assert pygas.allreduce((-rank % 2, rank), pygas.MINLOC) == (0, 0)
    assert pygas.allreduce((rank // 2, rank), pygas.MAXLOC)[1] == (size - 1) // 2 * 2
    assert pygas.allreduce([rank]) == list(range(size))
    greater = pygas.Operator(max, commutative=True)
    assert pygas.reduce(rank, greater, size - 1) == (size - 1 if rank == size - 1 else None)


@pytest.mark.ranks(2, 5)
def test_proxies_travel_as_references() -> None:
    own = [pygas.MYTHREAD]
    proxies = pygas.allgather(pygas.Proxy(own))
    assert [pygas.owner(p) for p in proxies] == list(range(pygas.THREADS))
    for proxy in proxies:
        proxy.append("seen")
    pygas.barrier()
    assert len(own) == 1 + pygas.THREADS


@pytest.mark.ranks(1, 2, 4)
def test_futures() -> None:
    world, rank, size = pygas.world, pygas.MYTHREAD, pygas.THREADS
    futures = [
        world.broadcast_async(mine(rank), size - 1),
        world.gather_async(rank, 0),
        world.allgather_async(mine(rank)),
        world.scatter_async([mine(r) for r in range(size)] if rank == 0 else None),
        world.alltoall_async([rank] * size),
        world.reduce_async(rank, glue_numbers, size - 1),
        world.allreduce_async(rank),
        world.reduce_scatter_async(list(range(size))),
        world.scan_async(1),
        world.exscan_async(1),
        world.barrier_async(),
        world.share_async([rank], size - 1),
    ]
    results = [future.result(30) for future in reversed(futures)][::-1]
    total = sum(range(size))
    assert results[:11] == [
        mine(size - 1),
        list(range(size)) if rank == 0 else None,
        [mine(r) for r in range(size)],
        mine(rank),
        list(range(size)),
        total if rank == size - 1 else None,
        total,
        rank * size,
        rank + 1,
        rank if rank > 0 else None,
        None,
    ]
    assert results[11][0] == size - 1


def glue_numbers(left: int, right: int) -> int:
    return left + right


@pytest.mark.ranks(3)
def test_a_future_settles_while_the_program_computes() -> None:
    """Nobody waits in PyGAS: the executor carries the operation on."""
    import time

    future = pygas.world.allreduce_async([pygas.MYTHREAD])
    deadline = time.monotonic() + 30
    while not future.done():
        assert time.monotonic() < deadline
        sum(range(1000))
    assert future.result() == [0, 1, 2]


@pytest.mark.ranks(17, timeout=120)
def test_large_teams_use_trees() -> None:
    size, rank = pygas.THREADS, pygas.MYTHREAD
    for root in (0, 5):
        got = pygas.world.gather(mine(rank % 3), root)
        assert got == ([mine(r % 3) for r in range(size)] if rank == root else None)
        values = [(r, "z" * 100) for r in range(size)] if rank == root else None
        assert pygas.scatter(values, root) == (rank, "z" * 100)
    with open(__file__) as file:
        values = [file] * size if rank == 0 else None
        if rank == 0:
            assert pygas.scatter(values) is file  # its own is not copied
        else:
            with pytest.raises(TypeError, match="cannot pickle"):
                pygas.scatter(values)
    assert pygas.allgather(rank) == list(range(size))


@pytest.mark.ranks(2, 4)
def test_inside_a_request() -> None:
    """A request may take part, if the team is not in use by what it interrupts."""
    team = pygas.world.split(0)
    assert team is not None
    pygas.barrier()
    futures = []
    if pygas.MYTHREAD == 0:
        futures = [pygas.at(r).submit(take_part, team) for r in range(pygas.THREADS)]
    for future in futures:
        assert future.result(30) == sum(range(pygas.THREADS))
    pygas.barrier()


def take_part(team: pygas.Team) -> int:
    total: int = team.allreduce(team.rank)
    return total


@pytest.mark.ranks(2)
def test_a_request_cannot_join_what_it_interrupts() -> None:
    if pygas.MYTHREAD == 0:
        with pytest.raises(RuntimeError, match="another thread of this rank"):
            pygas.at(1).call(pygas.barrier)
    pygas.barrier()
