"""Count the identifiers in the source files of Python's standard library, with mpi4py.

    mpirun -n 4 python benchmarks/wordindex_mpi4py.py

As examples/wordindex.py, written as an mpi4py user would: every rank counts its share of the files
for itself, and a reduction adds up the counts at the end. There is no index while they count.
"""

import argparse
import pathlib
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable

from mpi4py import MPI

IDENTIFIER = re.compile(r"[^\W\d]\w*")


def source_files() -> list[pathlib.Path]:
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    return sorted(
        path
        for path in library.rglob("*.py")
        if not {"site-packages", "dist-packages", "test", "tests"} & set(path.parts)
    )


def count(path: pathlib.Path) -> Counter[str]:
    return Counter(IDENTIFIER.findall(path.read_text(encoding="utf-8", errors="replace")))


def collect(paths: Iterable[pathlib.Path]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(count(path))
    return counts


def commonest(counts: Counter[str], number: int) -> list[tuple[str, int]]:
    """The commonest words, ties in alphabetical order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def main() -> None:
    parser = argparse.ArgumentParser(description="count the identifiers in Python's library")
    parser.add_argument("--files", type=int, help="only so many files (default: all)")
    paths = source_files()[: parser.parse_args().files]
    comm = MPI.COMM_WORLD

    comm.Barrier()
    start = MPI.Wtime()
    counts = comm.reduce(collect(paths[comm.rank :: comm.size]))
    seconds = MPI.Wtime() - start

    if comm.rank == 0:
        for word, number in commonest(counts, 10):
            print(f"{number:8d}  {word}")
        if counts != collect(paths):
            sys.exit("wordindex: the result differs from a serial count")
        print(
            f"wordindex: {len(paths)} files, {comm.size} ranks: "
            f"{counts.total()} words in {seconds:.4f} s, verified against a serial count"
        )


main()
