"""PYGAS_DEBUG=collectives: different collectives on different ranks are named as such."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest
from conftest import run_ranks


def run_program(
    tmp_path: pathlib.Path, text: str, count: int, debug: str = "collectives"
) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "prog.py"
    program.write_text("import pygas\n" + text)
    environment = {**os.environ, "PYGAS_DEBUG": debug}
    return run_ranks(count, program, timeout=30, env=environment)


@pytest.mark.parametrize(
    ("odd", "even", "words"),
    [
        ("barrier()", "broadcast(0)", ("barrier() at {0}:4 in odd", "broadcast(root=0) at {0}:6")),
        ("share([])", "broadcast([])", ("share(root=0) at {0}:4", "broadcast(root=0) at {0}:6")),
        (
            "share(1, 1)",
            "share(1, 0)",
            ("share(root=1) at {0}:4", "share(root=0) at {0}:6 in even"),
        ),
    ],
)
def test_differences_are_named(
    tmp_path: pathlib.Path, odd: str, even: str, words: tuple[str, str]
) -> None:
    text = f"""
def odd():
    pygas.{odd}
def even():
    pygas.{even}
pygas.barrier()
(odd if pygas.MYTHREAD % 2 else even)()
""".lstrip("\n")
    text = "\n" + text
    result = run_program(tmp_path, text, 4)
    assert result.returncode == 1
    assert "the ranks call different collective operations: rank " in result.stderr
    for part in words:
        assert part.format(tmp_path / "prog.py") in result.stderr, result.stderr


def test_equal_ones_pass(tmp_path: pathlib.Path) -> None:
    text = """
for root in range(pygas.THREADS):
    box = pygas.share([root], root=root)
    assert pygas.broadcast(root, root) == root
    pygas.barrier()
    assert box[0] == root
print("well")
"""
    for count in (1, 2, 3):
        result = run_program(tmp_path, text, count, " leaks, collectives")
        assert (result.returncode, result.stdout) == (0, "well\n" * count), result.stderr


def test_a_rank_that_calls_none(tmp_path: pathlib.Path) -> None:
    result = run_program(tmp_path, "if pygas.MYTHREAD != 1: pygas.barrier()\n", 3)
    assert result.returncode != 0
    assert "rank 1 has finished its program, but another rank waits for it" in result.stderr


@pytest.mark.parametrize(
    ("odd", "even", "words"),
    [
        ("allreduce(1)", "allgather(1)", ("allreduce() at {0}:4 in odd", "allgather() at {0}:6")),
        ("gather(1, 0)", "gather(1, 1)", ("gather(root=0) at {0}:4", "gather(root=1) at {0}:6")),
        ("split(0)", "barrier()", ("split() at {0}:4", "barrier() at {0}:6")),
        ("notify(); team.wait()", "barrier()", ("notify() at {0}:4", "barrier() at {0}:6")),
    ],
)
def test_differences_in_a_team(
    tmp_path: pathlib.Path, odd: str, even: str, words: tuple[str, str]
) -> None:
    """Named on every member, wherever it is; the other teams do not notice."""
    text = f"""
def odd():
    team.{odd}
def even():
    team.{even}
team = pygas.world.split(min(pygas.MYTHREAD, 3) // 3)
try:
    if team.size > 1:
        if team.rank % 2: odd()
        else: even()
        for _ in range(4): team.barrier()
except pygas.CollectiveError as error:
    print(pygas.MYTHREAD, error)
else:
    assert team.size == 1
pygas.barrier()
"""
    result = run_program(tmp_path, text, 4)
    assert result.returncode == 0, result
    lines = result.stdout.splitlines()
    assert sorted(line[0] for line in lines) == ["0", "1", "2"], result
    for line in lines:
        for part in words:
            assert part.format(tmp_path / "prog.py") in line, result


def test_differences_of_operations_that_do_not_wait(tmp_path: pathlib.Path) -> None:
    """The operations may find out before the comparison has: then the places are missing."""
    text = """
team = pygas.world.split(0)
try:
    if team.rank % 2: team.scan_async(1).result()
    else: team.reduce_async(1).result()
    for _ in range(4): team.barrier()
except pygas.CollectiveError as error:
    print(error)
"""
    result = run_program(tmp_path, text, 3)
    lines = result.stdout.splitlines()
    assert (result.returncode, len(lines)) == (0, 3), result
    for line in lines:
        assert "calls scan" in line, result
        assert "calls reduce" in line, result


def test_equal_ones_pass_in_teams(tmp_path: pathlib.Path) -> None:
    text = """
for _ in range(3):
    team = pygas.world.split(pygas.MYTHREAD % 2)
    future = team.allreduce_async(1)
    team.notify()
    assert team.allgather(team.rank) == list(range(team.size))
    team.wait()
    assert future.result() == team.size
    with team.subset(range(team.size)) as other:
        other.share([], 0)
    team.shrink().free()
    team.free()
print("well")
"""
    for count in (2, 5):
        result = run_program(tmp_path, text, count)
        assert (result.returncode, result.stdout) == (0, "well\n" * count), result.stderr
