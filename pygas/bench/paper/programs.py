"""What is compared: a table of programs, each with the ways in which it is written."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
from typing import NamedTuple

from pygas.bench.paper import machine

_TIME_LIMIT = 600

# What every program prints last: "name: description: result in 0.1234 s, ...".
_RESULT = re.compile(
    r"^\w+: (?P<what>.+): (?P<result>.+) in (?P<seconds>[\d.]+) s(?P<more>.*)", re.M
)
_SHARE = re.compile(r"(-?\d+)% communication")


class Variant(NamedTuple):
    """One way of writing a program: in which library, in which file."""

    label: str
    library: str  # pygas, mpi4py, rpyc or c
    source: str


class Outcome(NamedTuple):
    """What a program has printed: what it computed, what came out, and how long it took."""

    what: str
    result: str
    seconds: float
    communication: float | None  # share of the time, if it says so
    cpu: float  # seconds of all cores, for the whole job: start, checks and end too


CANNON = (
    Variant("C + MPI + BLAS", "c", "benchmarks/cannon.c"),
    Variant("PyGAS", "pygas", "examples/cannon.py"),
    Variant("mpi4py, buffers", "mpi4py", "benchmarks/cannon_mpi4py.py"),
    Variant("mpi4py, pickle", "mpi4py", "benchmarks/cannon_mpi4py_pickle.py"),
)

#: Program -> its arguments (full size, quick) and its variants.
PRODUCTIVITY: dict[str, tuple[list[str], list[str], tuple[Variant, ...]]] = {
    "pi": (
        ["-n", "40000000"],
        ["-n", "1000000"],
        (
            Variant("PyGAS", "pygas", "examples/pi.py"),
            Variant("mpi4py", "mpi4py", "benchmarks/pi_mpi4py.py"),
        ),
    ),
    "wordindex": (
        [],
        ["--files", "100"],
        (
            Variant("PyGAS", "pygas", "examples/wordindex.py"),
            Variant("mpi4py", "mpi4py", "benchmarks/wordindex_mpi4py.py"),
            Variant("RPyC", "rpyc", "benchmarks/wordindex_rpyc.py"),
        ),
    ),
    "hashtable": (
        ["-n", "20000"],
        ["-n", "500"],
        (
            Variant("PyGAS", "pygas", "examples/hashtable.py"),
            Variant("mpi4py, one-sided", "mpi4py", "benchmarks/hashtable_mpi4py.py"),
        ),
    ),
    "heat": (
        ["-n", "1024", "--steps", "500"],
        ["-n", "128", "--steps", "50"],
        (
            Variant("PyGAS", "pygas", "examples/heat.py"),
            Variant("mpi4py, buffers", "mpi4py", "benchmarks/heat_mpi4py.py"),
        ),
    ),
    "uts": (
        ["--roots", "10000"],
        ["--roots", "100"],
        (
            Variant("PyGAS", "pygas", "examples/uts.py"),
            Variant("mpi4py", "mpi4py", "benchmarks/uts_mpi4py.py"),
        ),
    ),
}


def mpirun(ranks: int) -> list[str]:
    """How MPI programs are started: more ranks than cores are fine, so waiting ones yield.

    The shared-memory component for one-sided operations is the fastest on one host, and the one
    of Open MPI 4 whose atomic operations do not crash there.
    """
    command = ["mpirun", "-n", str(ranks), "--oversubscribe", "--mca", "osc", "sm"]
    return command + ["--allow-run-as-root"] * (os.geteuid() == 0)


def missing(library: str) -> str | None:
    """Why variants of a library cannot be run, or None if they can."""
    if library in ("mpi4py", "rpyc") and importlib.util.find_spec(library) is None:
        return f"{library} is not installed"
    if library in ("mpi4py", "c") and shutil.which("mpirun") is None:
        return "there is no mpirun"
    if library == "c" and shutil.which("mpicc") is None:
        return "there is no mpicc"
    return None


def command(variant: Variant, ranks: int, clone: pathlib.Path, cannon: pathlib.Path) -> list[str]:
    """The command that runs a variant, without the program's arguments.

    Parameters
    ----------
    cannon
        The compiled C program.
    """
    source = str(clone / variant.source)
    if variant.library == "pygas":
        return [sys.executable, "-m", "pygas", "run", "-n", str(ranks), source]
    if variant.library == "mpi4py":
        return [*mpirun(ranks), sys.executable, source]
    if variant.library == "c":
        return [*mpirun(ranks), str(cannon)]
    return [sys.executable, source, "--processes", str(ranks)]


def run(words: list[str], folder: pathlib.Path, memory: int) -> Outcome:
    """Run a program, in `folder`, with one BLAS thread for each rank.

    Parameters
    ----------
    memory
        Bytes that the machine shall have ready for it (see `machine.touch_memory`); 0: whatever
        the program before it has left.

    Raises
    ------
    RuntimeError
        If it fails or does not print its result.
    """
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if memory > 0:
        machine.touch_memory(memory)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT,
        check=False,
        cwd=folder,
        env=os.environ | threads,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = _RESULT.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    share = _SHARE.search(found["more"])
    return Outcome(
        found["what"],
        found["result"],
        float(found["seconds"]),
        int(share[1]) / 100 if share else None,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )
