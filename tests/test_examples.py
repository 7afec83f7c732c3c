"""The examples, at small sizes, and that their twins in other libraries give the same results."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import shutil
import sys

import pytest
from conftest import run_command, run_ranks

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What every program prints last, "name: description: result in 0.1234 s", and more after that.
RESULT = re.compile(r"^(\w+): (.+): (.+) in [\d.]+ s", re.MULTILINE)

SIZES = {
    "cannon": ["-n", "144"],
    "hashtable": ["-n", "300"],
    "heat": ["-n", "36", "--steps", "20"],
    "pi": ["-n", "120000"],
    "uts": ["--roots", "20"],
    "wordindex": ["--files", "60"],
}
RANKS = {"cannon": (1, 4, 9)}
PEERS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*_*.py"))


def result_of(output: str, name: str) -> tuple[str, str]:
    """What was computed, and what came out."""
    found = RESULT.search(output)
    assert found is not None, f"no result in {output!r}"
    assert found[1] == name
    return found[2], found[3]


def run_example(name: str, ranks: int) -> tuple[str, str]:
    done = run_ranks(ranks, ROOT / "examples" / f"{name}.py", *SIZES[name])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return result_of(done.stdout, name)


def run_peer(program: str, ranks: int) -> tuple[str, str]:
    name, library = program.split("_")[:2]
    command = [sys.executable, str(ROOT / "benchmarks" / f"{program}.py"), *SIZES[name]]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if library == "mpi4py":
        if shutil.which("mpirun") is None:
            pytest.skip("there is no mpirun")
        mpirun = ["mpirun", "--oversubscribe", "--mca", "osc", "sm", "-n", str(ranks)]
        command = mpirun + ["--allow-run-as-root"] * (os.geteuid() == 0) + command
    else:
        command += ["--processes", str(ranks)]
    done = run_command(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return result_of(done.stdout, name)


def test_every_example_is_tested() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {*SIZES, "workqueue"}
    assert {name.split("_")[0] for name in PEERS} == set(SIZES)


@pytest.mark.parametrize(
    ("name", "ranks"), [(name, ranks) for name in SIZES for ranks in RANKS.get(name, (1, 3, 4))]
)
def test_example(name: str, ranks: int) -> None:
    description, result = run_example(name, ranks)
    assert f"{ranks} ranks" in description
    if name == "pi":
        assert 3.1 < float(result) < 3.2


@pytest.mark.parametrize("name", ["heat", "uts"])
def test_results_do_not_depend_on_the_number_of_ranks(name: str) -> None:
    assert run_example(name, 1)[1] == run_example(name, 2)[1]


@pytest.mark.parametrize("program", PEERS)
def test_peer_gives_the_same_result(program: str) -> None:
    assert run_peer(program, 4) == run_example(program.split("_")[0], 4)


def test_workqueue() -> None:
    done = run_ranks(3, ROOT / "examples" / "workqueue.py", "--upto", "20000")
    assert (done.returncode, done.stderr) == (0, "")
    assert "workqueue: 2262 primes below 20000, verified" in done.stdout


def test_cannon_refuses_what_it_cannot_do() -> None:
    done = run_ranks(2, ROOT / "examples" / "cannon.py")
    assert done.returncode == 1
    assert "the number of ranks has to be a square" in done.stderr
