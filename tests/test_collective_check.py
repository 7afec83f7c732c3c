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
