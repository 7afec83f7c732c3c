"""``pygas run --bind-to``: which cores each rank runs on."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from launcherkit import LIMIT

from pygas.launch.binding import TooFewCores, cores_of, divide

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

PROGRAM = """
import os
print("rank", sorted(os.sched_getaffinity(0)), os.environ["OMP_NUM_THREADS"])
"""


def describe(system: Path, processor: int, siblings: str, package: str) -> None:
    topology = system / f"cpu{processor}" / "topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text(siblings)
    (topology / "physical_package_id").write_text(package)


def two_sockets(system: Path) -> None:
    """Describe two sockets of two cores of two threads, numbered across, as many machines do."""
    for processor in range(8):
        core = processor % 4
        describe(system, processor, f"{core},{core + 4}\n", f"{core % 2}\n")


def test_threads_of_a_core_stay_together(tmp_path: Path) -> None:
    two_sockets(tmp_path)
    cores = cores_of(range(8), tmp_path)
    assert cores == [{0, 4}, {2, 6}, {1, 5}, {3, 7}]
    assert cores_of([6, 2, 5], tmp_path) == [{2, 6}, {5}]
    assert cores_of([], tmp_path) == []


@pytest.mark.parametrize("siblings", ["", "nonsense\n", "5-\n", "0-1-2\n"])
def test_what_is_not_described_is_a_core(tmp_path: Path, siblings: str) -> None:
    assert cores_of([3, 1], tmp_path) == [{1}, {3}]
    describe(tmp_path, 3, siblings, "-1\n")
    assert cores_of([3, 1], tmp_path) in ([{3}, {1}], [{1}, {3}])


def test_lists_of_processors(tmp_path: Path) -> None:
    describe(tmp_path, 0, "0-2,5\n", "0\n")
    assert cores_of([0], tmp_path) == [{0}]
    for processor in (1, 2, 5):
        describe(tmp_path, processor, "0-2,5\n", "0\n")
    assert cores_of([0, 1, 2, 5], tmp_path) == [{0, 1, 2, 5}]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_equal_parts(count: int) -> None:
    cores = [frozenset({2 * i, 2 * i + 1}) for i in range(count)]
    for size in range(1, count + 1):
        places = divide(size, cores)
        parts = [len(place) // 2 for place in places]
        assert len(places) == size
        assert set().union(*places) == set(range(2 * count))
        assert sum(parts) == count
        assert max(parts) - min(parts) <= 1
        assert all(max(a) < min(b) for a, b in itertools.pairwise(places))


def test_too_few_cores() -> None:
    with pytest.raises(TooFewCores, match=r"3 ranks .* are 2 .*leave the option away"):
        divide(3, [frozenset({0}), frozenset({1})])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    program = tmp_path / "prog.py"
    program.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}

    def run(size: int, *options: str, only: frozenset[int] = frozenset()) -> Done:
        command = [sys.executable, "-m", "pygas", "run", "-n", str(size), *options, str(program)]
        if only:
            code = f"import os; os.sched_setaffinity(0, {set(only)})"
            code += f"; os.execv({command[0]!r}, {command!r})"
            command = [sys.executable, "-c", code]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment
        )

    return run


def seen(result: Done) -> list[str]:
    assert result.returncode == 0, result.stderr
    return sorted(result.stdout.splitlines())


def line(processors: Iterable[int], threads: int) -> str:
    return f"rank {sorted(processors)} {threads}"


def test_ranks_are_bound_if_asked(run: Run) -> None:
    mine = os.sched_getaffinity(0)
    size = min(2, len(cores_of(mine)))
    threads = len(mine) // size
    places = divide(size, cores_of(mine))
    fewest = min(map(len, places))
    assert seen(run(size, "--bind-to", "core")) == sorted(line(p, fewest) for p in places)
    assert seen(run(size, "--bind-to", "none")) == [line(mine, threads)] * size
    assert seen(run(size)) == [line(mine, threads)] * size


def test_the_launchers_own_cores_are_divided(run: Run) -> None:
    last = frozenset({max(os.sched_getaffinity(0))})
    assert seen(run(1, "--bind-to", "core", only=last)) == [line(last, 1)]
    refused = run(2, "--bind-to", "core", only=last)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "2 ranks cannot have a core each, as there is 1" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_unknown_place(run: Run) -> None:
    refused = run(1, "--bind-to", "socket")
    assert refused.returncode == 2
    assert "--bind-to" in refused.stderr
