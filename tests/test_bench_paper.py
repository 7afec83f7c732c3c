"""``pygas bench paper``: the parts that need no peers, and what it says if it cannot run."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import pytest
from conftest import run_command

from pygas.bench.paper import blas, lines, programs, report

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAPER = [sys.executable, "-m", "pygas", "bench", "paper"]


def test_start_and_end_without_mpi(tmp_path: pathlib.Path) -> None:
    words = ["--quick", "--rounds", "1", "--only", "startup", "--output", str(tmp_path)]
    done = run_command([*PAPER, *words, "--clone", str(ROOT)], env=os.environ | {"PATH": ""})
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["startup"]["runs"]["2"]["PyGAS"][0]["seconds"] > 0
    assert results["startup"]["MiB"]["2"]["PyGAS"] > 1
    text = (tmp_path / "report.md").read_text()
    assert "| 2 | PyGAS |" in text
    assert "Left out: mpi4py" in text
    assert "## Cannon" not in text


def test_without_programs(tmp_path: pathlib.Path) -> None:
    done = run_command([*PAPER, "--clone", str(tmp_path)])
    assert done.returncode == 2
    assert "give a clone of PyGAS with --clone" in done.stderr


def test_sizes_have_to_fit_the_grid() -> None:
    done = run_command([*PAPER, "--clone", str(ROOT), "--sizes", "7"])
    assert done.returncode == 2
    assert "even sizes" in done.stderr


def test_every_program_has_its_sources() -> None:
    variants = [*programs.CANNON]
    for _, _, ways in programs.PRODUCTIVITY.values():
        variants += ways
    assert all((ROOT / variant.source).exists() for variant in variants)
    sources = {pathlib.Path(variant.source) for variant in variants}
    twins = {path.relative_to(ROOT) for path in (ROOT / "benchmarks").glob("*.[cp]*")}
    assert twins <= sources


def test_a_program_that_fails_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError, match="failed"):
        programs.run([sys.executable, "-c", "raise SystemExit('spam')"], tmp_path, 0)
    with pytest.raises(RuntimeError, match="failed"):
        programs.run([sys.executable, "-c", "print('spam')"], tmp_path, 0)
    text = "print('cannon: n = 4, 4 ranks: verified in 0.5 s, 1.0 GFlop/s, -3% communication')"
    outcome = programs.run([sys.executable, "-c", text], tmp_path, 0)
    assert outcome[:4] == ("n = 4, 4 ranks", "verified", 0.5, -0.03)
    assert outcome.cpu > 0


def test_c_program_with_the_blas_of_numpy(tmp_path: pathlib.Path) -> None:
    reason = programs.missing("c")
    if reason is not None:
        pytest.skip(reason)
    found = blas.numpy_blas()
    if found is None:
        pytest.skip("the BLAS of this NumPy cannot be called from C")
    blas.compile_cannon(ROOT / "benchmarks" / "cannon.c", tmp_path / "cannon", found)
    outcome = programs.run(
        [*programs.mpirun(4), str(tmp_path / "cannon"), "-n", "144"], tmp_path, 0
    )
    assert (outcome.what, outcome.result) == ("n = 144, 4 ranks", "verified")


def test_lines(tmp_path: pathlib.Path) -> None:
    if lines.rule() is None:
        pytest.skip("pygount is not installed")
    source = tmp_path / "x.py"
    source.write_text('"""Docs."""\n\n# comment\nf(\n    1,\n)\nprint("x")\n')
    assert lines.count(source) == {"all": 4, "words": 3}
    source.write_text('"""Docs\n\nof several\n\nparagraphs.\n"""\n\nprint("x")\n')
    assert lines.count(source) == {"all": 1, "words": 1}
    source = tmp_path / "x.c"
    source.write_text("/* Docs. */\n\nint f(void)\n{\n    return 1; // comment\n}\n")
    assert lines.count(source) == {"all": 4, "words": 2}


def test_memory_is_touched() -> None:
    program = (
        "from pygas.bench.paper import machine; machine.touch_memory(2**28); "
        "from resource import *; print(getrusage(RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = run_command([sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2**18  # KiB


def test_report_of_every_section() -> None:
    counts = {"all": 10, "words": 8}
    run = {"seconds": 0.5, "communication": 0.1, "cpu": 2.25}
    longer = run | {"seconds": 1.5}
    results = {
        "command": "pygas bench paper",
        "note": "1 rounds in 0 minutes",
        "machine": {"cores": "2"},
        "figure1": {
            "machine": "x",
            "note": "y",
            "seconds": {"PyGAS, bytes": {"8": 1e-6}, "mpi4py": {"8": 2e-6, "16": 3e-6}},
        },
        "cannon": {
            "runs": {"1024": {"C + MPI + BLAS": [run, run], "PyGAS": [run]}},
            "lines": {"C + MPI + BLAS": counts, "PyGAS": counts},
            "verified": ["PyGAS: n = 720, 9 ranks: verified"],
        },
        "productivity": {
            "pi": {
                "what": "9 darts",
                "lines": {"PyGAS": counts, "mpi4py": counts},
                "runs": {"PyGAS": [run, longer], "mpi4py": [longer]},
            }
        },
        "startup": {
            "runs": {"2": {"PyGAS": [run]}},
            "MiB": {},
            "left out": {"a": "b"},
        },
    }
    text = report.write(results)
    assert "| 8 | 8 | 4 |" in text
    assert "| 16 |  | 5.333 |" in text
    assert "| 1024 | PyGAS | 4.3 | 4.3 to 4.3 | 1.00 | 1.00 | 10% | 2.25 |" in text
    assert "|  | mpi4py | 10 | 1.500 | 1.500 to 1.500 | 1.50 | 2.25 |" in text
    assert "Left out: a (b)." in text
