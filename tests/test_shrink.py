"""Teams when ranks are killed: which operations fail, which go on, and `Team.shrink`."""

from __future__ import annotations

import pathlib
import signal

import pytest
from failurekit import run_program

import pygas

PREFACE = """
    import numpy

    def works(team):
        "All kinds of operations, on objects and arrays."
        size, rank = team.size, team.rank
        team.barrier()
        assert team.broadcast([rank], size - 1) == [size - 1]
        assert team.allgather(rank) == list(range(size))
        assert team.allreduce(2) == 2 * size
        assert team.scan(1) == rank + 1
        assert team.alltoall([(rank, i) for i in range(size)]) == [(i, rank) for i in range(size)]
        assert team.gather(rank) == (list(range(size)) if rank == 0 else None)
        assert team.scatter(list(range(size)) if rank == 0 else None) == rank
        assert team.reduce_scatter([1] * size) == size
        assert team.share([rank], size - 1)[0] == size - 1
        array = numpy.full(50_000, float(rank))
        assert team.allreduce(array).sum() == 25_000 * size * (size - 1)
        out = numpy.empty((size, 50_000))
        team.allgather(array, out=out)
        assert (out == numpy.arange(size)[:, None]).all()
        assert team.allreduce_async(array).result()[0] == size * (size - 1) / 2
        half = team.split(rank % 2)
        assert half.allreduce(1) == len(range(rank % 2, size, 2))
        half.free()

    def now():
        die("SIGKILL")

    meetings = left = 0

    def count_meetings():
        return meetings

    def meet(team, *victims):
        "A barrier that the victims leave when everybody else has left it."
        global meetings, left
        team.barrier()
        meetings += 1
        if me in victims:
            for rank in set(team.ranks) - set(victims):
                while pygas.at(rank).call(count_meetings) < meetings:
                    time.sleep(0.002)
            left = meetings

    def has_left(meeting):
        return left == meeting

    def kill(victim):
        "By a request, when it has left the meeting as the last one."
        while not pygas.at(victim).call(has_left, meetings):
            time.sleep(0.002)
        pygas.at(victim).call(now)

    def fails(function, *victims):
        "It raises RankFailedError, soon, and names nobody but the victims."
        begin = time.monotonic()
        try:
            result = function()
        except pygas.RankFailedError as error:
            assert error.rank in victims and set(error.ranks) <= set(victims), error.ranks
            assert time.monotonic() - begin < 5
            return
        raise AssertionError(f"{function} returned {result!r}")

    def until_agreed(team, step):
        "The recipe of docs/failures.md."
        while True:
            try:
                result = step(team)
            except pygas.RankFailedError:
                team.revoke()
                result = None
            after = team.shrink()
            if team is not pygas.world:
                team.free()
            if after.size == team.size:
                return after, result
            team = after
"""


def survive(
    tmp_path: pathlib.Path, count: int, victims: int, text: str, timeout: float = 40
) -> None:
    """Run a program in which every survivor has to print "well"."""
    program = PREFACE + text
    result = run_program(tmp_path, count, program, "--on-failure=continue", timeout=timeout)
    print(result.stdout, result.stderr)
    assert result.stdout.split() == ["well"] * (count - victims), result
    assert result.returncode == 0, result


@pytest.mark.parametrize("victim", [0, 2, 4])
def test_the_survivors_go_on(tmp_path: pathlib.Path, victim: int) -> None:
    survive(
        tmp_path,
        5,
        1,
        f"""
    victim = {victim}
    world = pygas.world
    meet(world, victim)
    if me == victim:
        now()
    fails(world.barrier, victim)
    team = world.shrink()
    assert team.ranks == tuple(r for r in range(5) if r != victim), team.ranks
    assert team.to_world(team.rank) == me
    works(team)
    fails(lambda: world.allreduce(1), victim)
    again = world.shrink()
    assert again.ranks == team.ranks and again is not team
    again.free()
    works(team)
    print("well")
    """,
    )


def test_in_a_thread_while_the_program_goes_on(tmp_path: pathlib.Path) -> None:
    """`shrink` has no twin without waiting; this is what is documented instead."""
    survive(
        tmp_path,
        4,
        1,
        """
    from concurrent.futures import ThreadPoolExecutor

    world = pygas.world
    apart = world.split(None if me == 2 else 0)
    meet(world, 2)
    if me == 2:
        now()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(world.shrink)
        works(apart)
        while not future.done():
            pygas.at(0).call(abs, 1)
        team = future.result()
    assert team.ranks == (0, 1, 3), team.ranks
    works(team)
    print("well")
    """,
    )


def test_only_its_teams_fail(tmp_path: pathlib.Path) -> None:
    """All operations of those on every survivor; the others do not notice."""
    survive(
        tmp_path,
        6,
        1,
        """
    world = pygas.world
    odd = world.split(me % 2)
    low = world.split(me // 3)
    pair = world.split(me % 3)
    meet(world, 5)
    if me == 5:
        now()
    if me % 2 == 0:
        for _ in range(200):
            works(odd)
    for team, others in ((odd, (1, 3)), (low, (3, 4)), (pair, (2,)), (world, range(5))):
        if me not in others:
            continue
        array = numpy.ones(300_000)
        for operation in (
            team.barrier,
            lambda: team.broadcast(1),
            lambda: team.gather(array),
            lambda: team.allgather_async(me).result(),
            lambda: team.reduce(array, root=team.size - 1),
            lambda: team.allreduce(array, out=array),
            lambda: team.allreduce_async(array).result(),
            lambda: team.scan(1, max),
            lambda: team.split(0),
            lambda: team.subset([0]),
            lambda: (team.notify(), team.wait()),
        ):
            fails(operation, 5)
        if team is not world:
            team.free()
            try:
                team.barrier()
            except ValueError:
                pass
            else:
                raise AssertionError("it can be used after free()")
    if me < 3:
        works(low)
    assert pygas.failed_ranks().keys() == {5}
    print("well")
    """,
    )


MOMENTS = {
    "in its operator": "lambda t: t.allreduce(1, lambda a, b: now() if me == victim else a + b)",
    "in its operator, ordered": "lambda t: t.reduce(1, lambda a, b: now()"
    " if me == victim else a + b, 3, ordered=True)",
    "when it is encoded": "lambda t: t.allgather(Deadly() if me == victim else 1)",
    "in front of the barrier": "lambda t: now() if me == victim else t.barrier()",
    "between notify and wait": "lambda t: (t.notify(), now() if me == victim else t.wait())",
    "as the root of a broadcast": "lambda t: now() if me == victim"
    " else t.broadcast(big, victim, out=big)",
    "as the root of a gather": "lambda t: now() if me == victim"
    " else t.gather(big, victim, out=big)",
    "in the middle of a large allreduce": "lambda t: (t.allreduce_async(big, out=big),"
    " now()) if me == victim else t.allreduce(big, out=big)",
    "in the middle of a large object": "lambda t: (t.allgather_async(big),"
    " now()) if me == victim else t.allgather(big)",
    "in a split": "lambda t: now() if me == victim else t.split(me % 2).allreduce(1)",
    "after a split": "lambda t: (t.split(me % 2), now() if me == victim else t.barrier())",
    "while a request waits": "lambda t: (kill(victim) if me == 1 else 0, t.barrier())",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_moments(tmp_path: pathlib.Path, moment: str) -> None:
    # Only those that combine values run an operator.
    victim = {"in its operator": 2, "in its operator, ordered": 0}.get(moment, 3)
    survive(
        tmp_path,
        5,
        1,
        f"""
    class Deadly:
        def __reduce__(self):
            now()

    victim = {victim}
    big = numpy.ones(2_000_000)
    meet(pygas.world, victim)
    step = {MOMENTS[moment]}
    team, _ = until_agreed(pygas.world, lambda t: step(t) if victim in t.ranks else t.barrier())
    assert team.ranks == tuple(r for r in range(5) if r != victim), team.ranks
    works(team)
    print("well")
    """,
    )


@pytest.mark.parametrize("victims", [(0,), (4,), (0, 1), (0, 1, 2, 3)])
def test_ranks_die_in_the_middle_of_it(tmp_path: pathlib.Path, victims: tuple[int, ...]) -> None:
    """Whoever leads, or not, while one that is late keeps it open; several, one after the other."""
    survive(
        tmp_path,
        6,
        len(victims) + 1,
        f"""
    victims = {victims}
    first = 4 if 3 in victims else 3
    meet(pygas.world, first)
    if me == first:
        now()
    fails(pygas.barrier, first, *victims)
    if me == 5:
        while not set(pygas.failed_ranks()) >= set(victims):
            time.sleep(0.01)
    if me in victims:
        killer = threading.Timer(0.3 + 0.2 * victims.index(me), os.kill, (os.getpid(), 9))
        killer.start()
    team = pygas.world.shrink()
    assert me not in victims
    assert team.ranks == tuple(r for r in range(6) if r != first and r not in victims), team.ranks
    works(team)
    print("well")
    """,
    )


def test_again_and_again(tmp_path: pathlib.Path) -> None:
    """Every second until two are left, on what is left of what was left, to and fro."""
    survive(
        tmp_path,
        7,
        5,
        """
    team = pygas.world
    for victim in (3, 0, 6, 5, 1):
        order = team.ranks
        mirror = team.split(0, -team.rank)
        meet(team, victim)
        if me == victim:
            now()
        fails(mirror.barrier, victim)
        small = mirror.shrink()
        assert small.ranks == tuple(r for r in reversed(order) if r != victim)
        works(small)
        team = team.shrink()
        assert team.ranks == small.ranks[::-1]
        mirror.free()
        small.free()
    works(team)
    assert team.ranks == (2, 4)
    print("well")
    """,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_any_time(tmp_path: pathlib.Path, seed: int) -> None:
    """Four of six, in the middle of operations, splits and shrinks, until two are left."""
    survive(
        tmp_path,
        6,
        4,
        f"""
    import random

    order = list(range(6))
    random.Random({seed}).shuffle(order)
    victims, last = order[:4], sorted(order[4:])
    if me in victims:
        delay = 0.2 + random.Random(10 * {seed} + me).random()
        threading.Timer(delay, now).start()
    big = numpy.ones(100_000)
    team = pygas.world
    while team.size > 2:
        try:
            team.barrier()
            assert team.allgather(me) == list(team.ranks)
            assert team.allreduce(big)[0] == team.size
            assert team.broadcast([me] * 5000, team.size - 1)[0] == team.ranks[-1]
            half = team.split(team.rank % 2)
            half.allreduce(1)
            half.free()
        except pygas.RankFailedError:
            team.revoke()
        after = team.shrink()
        if team is not pygas.world:
            team.free()
        team = after
    assert list(team.ranks) == last
    works(team)
    print("well")
    """,
        timeout=60,
    )


def test_calls_while_a_team_shrinks(tmp_path: pathlib.Path) -> None:
    """Who waits in shrink() serves requests; what an exception ends goes on with the next call."""
    survive(
        tmp_path,
        4,
        1,
        """
    class Enough(Exception):
        pass

    def handler(number, frame):
        raise Enough

    meet(pygas.world, 3)
    if me == 3:
        now()
    fails(pygas.barrier, 3)
    if me == 0:
        time.sleep(0.5)
        assert pygas.at(1).call(abs, -4) == 4
        time.sleep(0.5)
    else:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            pygas.world.shrink()
        except Enough:
            pass
        else:
            raise AssertionError("not interrupted")
    team = pygas.world.shrink()
    assert team.ranks == (0, 1, 2)
    works(team)
    print("well")
    """,
    )


@pytest.mark.parametrize("absent", [0, 2])
def test_a_survivor_that_does_not_come(tmp_path: pathlib.Path, absent: int) -> None:
    """It has finished its program: it counts as failed, with a message; nobody hangs."""
    text = f"""
    meet(pygas.world, 1)
    if me == 1:
        now()
    fails(pygas.barrier, 1)
    if me != {absent}:
        team = pygas.world.shrink()
        assert team.size == 2 and 3 in team.ranks, team.ranks
        print("well")
    """
    result = run_program(tmp_path, 4, PREFACE + text, "--on-failure=continue", timeout=40)
    assert result.stdout.split() == ["well"] * 2, result
    assert "waits for it in a collective" in result.stderr, result


def test_a_survivor_that_does_not_come_to_a_shrunk_team(tmp_path: pathlib.Path) -> None:
    text = """
    meet(pygas.world, 1)
    if me == 1:
        now()
    fails(pygas.barrier, 1)
    team = pygas.world.shrink()
    if me != 3:
        fails(lambda: team.allreduce(1), 3)
        assert team.shrink().ranks == (0, 2)
        print("well")
    """
    result = run_program(tmp_path, 4, PREFACE + text, "--on-failure=continue", timeout=40)
    assert result.stdout.split() == ["well"] * 2, result
    assert "waits for it in a collective" in result.stderr, result


def test_what_has_been_said_about_the_end(tmp_path: pathlib.Path) -> None:
    """By default the job ends, whatever the team."""
    text = """
    team = pygas.world.split(me % 2)
    if me == 3:
        now()
    team.barrier()
    pygas.world.shrink()
    """
    result = run_program(tmp_path, 4, PREFACE + text)
    assert result.returncode == 128 + signal.SIGKILL
    assert result.stderr.endswith("pygas: rank 3 of 4 was killed by SIGKILL\n")


@pytest.mark.ranks(1, 2, 5)
def test_nobody_has_failed() -> None:
    world = pygas.world
    for _ in range(3):
        team = world.shrink()
        assert team.ranks == world.ranks
        assert team.allreduce(1) == world.size
        mirror = team.split(0, -team.rank)
        assert mirror is not None
        smaller = mirror.shrink()
        assert smaller.ranks == world.ranks[::-1]
        for each in (smaller, mirror, team):
            each.free()
    with pytest.raises(ValueError, match="freed"):
        team.shrink()


@pytest.mark.ranks(2, 3)
def test_after_a_disagreement() -> None:
    """A team that is out of use can be replaced by one with the same ranks, and freed."""
    team = pygas.world.split(0)
    assert team is not None
    with pytest.raises(pygas.CollectiveError):
        disagree(team)
    other = team.shrink()
    assert other.ranks == team.ranks
    assert other.allreduce(1) == team.size
    team.free()
    other.free()


def meet_often(team: pygas.Team) -> None:
    for _ in range(1000):
        team.barrier()


@pytest.mark.ranks(1, 3)
def test_revoke() -> None:
    """Also what others are in already, and a team that others are still getting."""
    team = pygas.world.split(0)
    assert team is not None
    if team.rank == team.size - 1:
        team.revoke()
    with pytest.raises(pygas.CollectiveError, match="has revoked the team"):
        meet_often(team)
    for _ in range(20):
        after = team.shrink()
        team.free()
        team = after
        team.revoke()
    with pytest.raises(pygas.CollectiveError, match="has revoked the team"):
        team.allreduce(1)
    assert team.shrink().allreduce(1) == pygas.THREADS


def disagree(team: pygas.Team) -> None:
    team.broadcast(1, team.rank % 2)
    for _ in range(5):
        team.barrier()


@pytest.mark.ranks(3)
def test_who_shrinks_claims_the_team() -> None:
    team = pygas.world.split(0)
    assert team is not None
    if team.rank == 0:
        team._members.claim()
        with pytest.raises(RuntimeError, match="another thread"):
            team.shrink()
        team._members.release()
    assert team.shrink().size == 3
