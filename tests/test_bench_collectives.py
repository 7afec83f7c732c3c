"""``pygas bench collectives``: the table of algorithms, a round of measurements, an override."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys

from conftest import run_command

BENCH = [sys.executable, "-m", "pygas", "bench", "collectives"]
ROUND = [*BENCH, "-n", "2", "--rounds", "1", "--seconds", "0.001"]


def test_the_table() -> None:
    result = run_command([*BENCH, "--table"], timeout=30)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["operation", "algorithm", "selected", "for", "ordered"]
    rows = {tuple(line.split()[:2]) for line in lines[1:]}
    assert {("barrier", "dissemination"), ("allreduce", "ring"), ("alltoall", "bruck")} <= rows
    assert {kind for kind, _name in rows} == {
        *("barrier", "broadcast", "gather", "scatter", "allgather", "alltoall", "reduce"),
        *("allreduce", "reduce_scatter", "scan", "exscan"),
    }


def test_a_round() -> None:
    result = run_command([*ROUND, "--each", "--json", "--bind-to", "none"], timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    ours = report["medians"]["PyGAS"]
    assert {"barrier", "allreduce of numbers", "allreduce, 8 B", "allreduce by ring, 8 MiB"} <= set(
        ours
    )
    assert all(0 < seconds < 10 for seconds in ours.values())
    has_peer = bool(importlib.util.find_spec("mpi4py") and shutil.which("mpirun"))
    assert ("mpi4py" in report["medians"]) == has_peer
    assert ("left out: mpi4py" in result.stderr) != has_peer


def test_an_override() -> None:
    result = run_command([*ROUND, "--use", "allreduce=ring,broadcast=chain"], timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "allreduce, 8 B" in result.stdout
    result = run_command([*ROUND, "--use", "allreduce=magic"], timeout=120)
    assert result.returncode != 0
    assert "PYGAS_COLLECTIVES=allreduce=magic" in result.stdout + result.stderr
