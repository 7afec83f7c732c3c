"""``pygas bench remote-read``: it measures, names what it leaves out, and draws."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys

import pytest
from conftest import run_command

BENCH = [sys.executable, "-m", "pygas", "bench", "remote-read", "--rounds", "1"]
#: Where mpirun and the like are not.
ALONE = {**os.environ, "PATH": str(pathlib.Path(sys.executable).parent)}


@pytest.mark.parametrize("options", [[], ["-n", "4"], ["--tcp"]], ids=["plain", "four", "tcp"])
def test_a_round_of_every_variant(options: list[str]) -> None:
    command = [*BENCH, "--power-max", "13", "--json", *options]
    result = run_command(command, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    curves = json.loads(result.stdout)["seconds"]
    for label, points in curves.items():
        assert list(points) == [str(1 << power) for power in range(14)], label
        assert all(0 < seconds < 10 for seconds in points.values()), label
    assert {"PyGAS, bytes", "PyGAS, NumPy array", "PyGAS, object with array"} <= set(curves)
    for peer in ("mpi4py pickle", "OpenSHMEM get in C"):  # either measured or named
        assert (peer in curves) != (f"left out: {peer.split()[0]} (" in result.stderr)


def test_who_is_not_there_is_named() -> None:
    result = run_command([*BENCH, "--power-max", "3"], timeout=60, env=ALONE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left out: mpi4py" in result.stderr
    assert "left out: OpenSHMEM" in result.stderr
    assert "PyGAS, NumPy array" in result.stdout
    assert "8 B" in result.stdout


def test_in_a_clone(tmp_path: pathlib.Path) -> None:
    """The package that is there is the source, without the extension."""
    (tmp_path / "pygas").mkdir()
    (tmp_path / "pygas" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    script = pathlib.Path(sys.executable).with_name("pygas")
    command = [str(script), "bench", "remote-read", "--rounds", "1", "--power-max", "3"]
    result = run_command(command, timeout=60, env=ALONE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PyGAS, NumPy array" in result.stdout


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="needs matplotlib")
def test_the_figure(tmp_path: pathlib.Path) -> None:
    figure = tmp_path / "figure.png"
    result = run_command([*BENCH, "--power-max", "3", "--plot", figure], timeout=60, env=ALONE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_an_odd_number_of_ranks_is_refused() -> None:
    result = run_command([*BENCH, "-n", "3"], timeout=60)
    assert result.returncode == 2
    assert "even" in result.stderr
