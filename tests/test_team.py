"""Teams: their members, their life; the barrier; what is shared by all."""

from __future__ import annotations

import os
import pathlib
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from conftest import run_ranks

import pygas


@pytest.mark.ranks(1, 2, 4)
def test_barrier_separates_phases() -> None:
    log = pygas.share([] if pygas.MYTHREAD == 0 else None)
    for phase in range(20):
        log.append(phase)
        pygas.barrier()
        assert len(log) == (phase + 1) * pygas.THREADS
        pygas.barrier()


@pytest.mark.ranks(1, 2, 4)
def test_split_phase_barrier() -> None:
    log = pygas.share([] if pygas.MYTHREAD == 0 else None)
    world = pygas.world
    for phase in range(10):
        log.append(phase)
        world.notify()
        with pytest.raises(RuntimeError, match="wait"):
            world.notify()
        with pytest.raises(RuntimeError, match="between notify"):
            world.barrier()
        assert world.allreduce(1) == world.size  # other operations may come in between
        world.wait()
        assert len(log) == (phase + 1) * world.size
        world.barrier()
    with pytest.raises(RuntimeError, match="notify"):
        world.wait()


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
    assert pygas.broadcast(1) == 1


@pytest.mark.ranks(1, 2, 4)
def test_world() -> None:
    world = pygas.world
    assert world.rank == pygas.MYTHREAD
    assert world.size == len(world) == pygas.THREADS
    assert world.ranks == tuple(range(pygas.THREADS))
    assert repr(world) == "pygas.world"
    assert pickle.loads(pickle.dumps(world)) is world
    proxies = [pygas.share([pygas.MYTHREAD], root) for root in range(pygas.THREADS)]
    assert [pygas.owner(p) for p in proxies] == list(range(pygas.THREADS))
    assert [p[0] for p in proxies] == list(range(pygas.THREADS))
    with pytest.raises(ValueError, match="cannot be freed"):
        world.free()


@pytest.mark.ranks(1, 2, 5, 8)
def test_split() -> None:
    world = pygas.world
    team = world.split(world.rank % 3, -world.rank)
    assert team is not None
    members = [r for r in range(world.size) if r % 3 == world.rank % 3][::-1]
    assert team.ranks == tuple(members)
    assert team.to_world(team.rank) == world.rank
    assert team.from_world(world.rank) == team.rank
    assert [team.from_world(r) for r in range(world.size)].count(None) == world.size - len(members)
    assert team.allgather(world.rank) == members
    odd = world.split(None if world.rank % 2 == 0 else 7)
    assert (odd is None) == (world.rank % 2 == 0)
    if odd is not None:
        assert odd.ranks == tuple(range(1, world.size, 2))
        smaller = odd.split(odd.rank // 2)
        assert smaller is not None
        assert smaller.size <= 2
    assert world.split(None) is None


@pytest.mark.ranks(4)
def test_subset() -> None:
    world = pygas.world
    team = world.subset([3, 0, 2])
    assert (team is None) == (world.rank == 1)
    if team is not None:
        assert team.ranks == (3, 0, 2)
        assert team.broadcast(world.rank, 0) == 3
        pair = team.subset(range(2))
        assert (pair is None) == (world.rank == 2)
        assert pair is None or pair.ranks == (3, 0)
    for wrong, why in (([0, 4], "no rank 4"), ([1, 1], "twice"), ([], "at least one")):
        with pytest.raises(ValueError, match=why):
            world.subset(wrong)
    with pytest.raises(pygas.CollectiveError, match="disagree"):
        world.subset([0, 1] if world.rank < 2 else [0, 2])
    assert world.local_team.ranks == world.ranks
    assert world.local_team is world.local_team


@pytest.mark.ranks(1, 3)
def test_life() -> None:
    with pytest.raises(TypeError, match="split"):
        pygas.Team()
    with pygas.world.split(0) as team:
        assert team.allreduce(1) == pygas.THREADS
    with pytest.raises(ValueError, match="freed"):
        team.barrier()
    with pytest.raises(ValueError, match="freed"):
        team.to_world(0)
    other = pygas.world.split(0)
    other.notify()
    with pytest.raises(RuntimeError, match="between notify"):
        other.free()
    other.wait()
    with pytest.raises(ValueError, match="no rank"):
        other.to_world(pygas.THREADS)
    other.free()


@pytest.mark.ranks(3)
def test_hundreds_of_teams() -> None:
    teams = [pygas.world.split(0, pygas.MYTHREAD * (-1) ** i) for i in range(300)]
    futures = [team.allreduce_async(team.rank) for team in teams]
    assert {future.result() for future in futures} == {3}
    for team in teams:
        team.free()


@pytest.mark.ranks(3)
def test_teams_travel_by_reference() -> None:
    team = pygas.world.subset([2, 0])
    if pygas.MYTHREAD == 0:
        assert pygas.at(2).call(rank_in, team) == 0
        assert pygas.at(0).call(rank_in, team) == 1
        with pytest.raises(ValueError, match="not a member"):
            pygas.at(1).call(rank_in, team)
    pygas.barrier()


def rank_in(team: pygas.Team) -> int:
    return team.rank


@pytest.mark.ranks(2)
def test_one_thread_of_each_rank() -> None:
    entered = threading.Event()
    failures: list[BaseException] = []

    def second() -> None:
        entered.set()
        try:
            pygas.barrier()
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=second)
    if pygas.MYTHREAD == 0:
        thread.start()
        entered.wait()
        time.sleep(0.2)
        with pytest.raises(RuntimeError, match="another thread"):
            pygas.barrier()
    else:
        time.sleep(0.7)
        pygas.barrier()
    if pygas.MYTHREAD == 0:
        thread.join()
    assert not failures
    pygas.barrier()


class Interrupted(Exception):
    pass


@pytest.mark.ranks(2)
def test_an_interrupted_barrier_goes_on() -> None:
    if pygas.MYTHREAD == 0:

        def handler(number: int, frame: object) -> None:
            raise Interrupted

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            pygas.barrier()
    else:
        time.sleep(0.6)
    pygas.barrier()
    assert pygas.allreduce(1) == 2


@pytest.mark.ranks(3)
def test_an_interrupted_operation_fails_for_all() -> None:
    """And the arrays are left alone afterwards."""
    array = np.ones(100_000)
    if pygas.MYTHREAD == 0:

        def handler(number: int, frame: object) -> None:
            raise Interrupted

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            pygas.allreduce(array)
    else:
        time.sleep(0.5)
        with pytest.raises(pygas.CollectiveError, match="rank 0 gave it up: Interrupted"):
            pygas.allreduce(array)
    assert pygas.allreduce(array).sum() == 300_000


@pytest.mark.ranks(2, 3)
def test_different_roots() -> None:
    """The roots may have left; then the next operation says so, on every rank."""
    with pytest.raises(pygas.CollectiveError, match="root"):
        broadcast_and_go_on()


def broadcast_and_go_on() -> None:
    pygas.broadcast(1, root=pygas.MYTHREAD % 2)
    for _ in range(5):
        pygas.barrier()


@pytest.mark.ranks(3, 4)
def test_what_an_operator_raises_arrives_everywhere() -> None:
    rank, size = pygas.MYTHREAD, pygas.THREADS
    for culprit in range(1, size):
        value = "bad" if rank == culprit else rank
        for ordered in (False, True):
            for reduction in (
                lambda v, o: pygas.allreduce(v, picky, ordered=o),
                lambda v, o: pygas.reduce(v, picky, size - 1, ordered=o),
                lambda v, o: pygas.scan(v, picky, ordered=o),
                lambda v, o: pygas.exscan(v, picky, ordered=o),
                lambda v, o: pygas.reduce_scatter([v] * size, picky, ordered=o),
            ):
                with pytest.raises(KeyError, match="no such thing"):
                    reduction(value, ordered)
    assert pygas.allreduce(1, picky) == size


def picky(left: object, right: object) -> object:
    if "bad" in (left, right):
        raise KeyError("no such thing")
    return left + right  # type: ignore[operator]


@pytest.mark.ranks(3)
def test_what_cannot_be_copied() -> None:
    rank = pygas.MYTHREAD
    with open(__file__) as file:
        value = file if rank == 1 else rank
        with pytest.raises(TypeError, match="cannot pickle"):
            pygas.allgather(value)
        with pytest.raises(TypeError, match="cannot pickle"):
            pygas.allreduce(value)
        if rank == 0:
            with pytest.raises(TypeError, match="cannot pickle"):
                pygas.world.gather(value)
        else:
            assert pygas.world.gather(value) is None
    assert pygas.allgather(rank) == [0, 1, 2]


def run_program(folder: pathlib.Path, text: str, count: int, **options: object) -> str:
    """Run a program that is to fail; return what it says."""
    path = folder / "program.py"
    path.write_text(text)
    done = run_ranks(count, path, timeout=50, **options)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    "operation",
    ["allreduce(1)", "allreduce(numpy.ones(9))", "barrier()", "allreduce_async(1).result()"],
)
def test_a_rank_that_does_not_come(tmp_path: pathlib.Path, operation: str) -> None:
    """Whatever the operation: the job ends with a message."""
    program = (
        "import numpy, pygas\n"
        "team = pygas.world.split(0)\n"
        "if pygas.MYTHREAD != 2:\n"
        f"    team.{operation}\n"
    )
    assert "waits for it in a collective" in run_program(tmp_path, program, 3)


def test_the_setting_is_checked(tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "PYGAS_COLLECTIVES": "allreduce=fast"}
    said = run_program(tmp_path, "import pygas\npygas.barrier()\n", 1, env=environment)
    assert "PYGAS_COLLECTIVES=allreduce=fast" in said
