"""How long a job takes from start to end, and what memory a rank needs.

The job's program starts its library, meets the others in a barrier, and ends.
"""

from __future__ import annotations

import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from pygas.bench.paper.programs import mpirun

_MEET = {
    "PyGAS": "import pygas; meet = pygas.barrier; meet()",
    "mpi4py": "from mpi4py import MPI; meet = MPI.COMM_WORLD.Barrier; meet()",
    "Python alone": "pass",
}
# Each rank writes its size to a file: lines of several ranks may get mixed in the output.
_WEIGH = """
{meet}
import os, re
with open("/proc/self/smaps_rollup") as file:
    size = re.search(r"^Pss: +(\\d+) kB", file.read(), re.M)[1]
with open(str(os.getpid()) + ".kib", "w") as file:
    file.write(size)
meet()
"""


def variants(has_mpi: bool) -> list[str]:
    """What can be started."""
    return [name for name in _MEET if has_mpi or name != "mpi4py"]


def _commands(name: str, ranks: int, program: str) -> list[list[str]]:
    """The processes to start at the same time."""
    if name == "PyGAS":
        return [[sys.executable, "-m", "pygas", "run", "-n", str(ranks), program]]
    if name == "mpi4py":
        return [[*mpirun(ranks), sys.executable, program]]
    return [[sys.executable, program]] * ranks


def _run(name: str, ranks: int, text: str) -> list[int]:
    """Run a job; return the sizes that its ranks have written."""
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = pathlib.Path(name_of_folder)
        program = folder / "program.py"
        program.write_text(text)
        processes = [
            subprocess.Popen(words, cwd=folder) for words in _commands(name, ranks, str(program))
        ]
        codes = [process.wait(timeout=300) for process in processes]
        sizes = [int(path.read_text()) for path in folder.glob("*.kib")]
    if any(codes):
        raise RuntimeError(f"{name} on {ranks} ranks failed to start and end")
    return sizes


def start_and_end(name: str, ranks: int) -> dict[str, float]:
    """Start a job, wait for its end, and return how long that took: by the clock, and of all cores.

    On a machine that does other things too, the time of the cores is what can be compared.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    _run(name, ranks, _MEET[name])
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": clock,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def mebibytes(name: str, ranks: int) -> float:
    """Return the mean memory of a rank in the middle of a job.

    That is its proportional set size: a page that k processes share counts as a k-th page.
    """
    sizes = _run(name, ranks, _WEIGH.format(meet=_MEET[name]))
    if len(sizes) != ranks:
        raise RuntimeError(f"{name}: {len(sizes)} of {ranks} ranks told their memory")
    return statistics.mean(sizes) / 1024
