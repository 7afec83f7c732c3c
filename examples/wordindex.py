"""Count the identifiers in the source files of Python's standard library, on all ranks.

    pygas run -n 4 examples/wordindex.py

Rank 0 owns the index; every rank reads its share of the files and adds what it counted through a
Proxy. The additions run on rank 0, on a thread beside the program's own, which adds what rank 0
has counted: hence the lock. The ten commonest identifiers are printed, and checked against a serial
count.
"""

import argparse
import pathlib
import re
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Iterable

import pygas

IDENTIFIER = re.compile(r"[^\W\d]\w*")


class Index:
    """Word -> count, and how many files they come from."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.files = 0
        self.lock = threading.Lock()

    def add(self, counts: Counter[str]) -> None:
        with self.lock:
            self.counts.update(counts)
            self.files += 1

    def commonest(self, number: int) -> list[tuple[str, int]]:
        """The commonest words, ties in alphabetical order."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def source_files() -> list[pathlib.Path]:
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    return sorted(
        path
        for path in library.rglob("*.py")
        if not {"site-packages", "dist-packages", "test", "tests"} & set(path.parts)
    )


def count(path: pathlib.Path) -> Counter[str]:
    return Counter(IDENTIFIER.findall(path.read_text(encoding="utf-8", errors="replace")))


def collect(index: Index, paths: Iterable[pathlib.Path]) -> None:
    for path in paths:
        index.add(count(path))


def main() -> None:
    parser = argparse.ArgumentParser(description="count the identifiers in Python's library")
    parser.add_argument("--files", type=int, help="only so many files (default: all)")
    paths = source_files()[: parser.parse_args().files]
    index = pygas.share(Index() if pygas.MYTHREAD == 0 else None)

    pygas.barrier()
    start = time.perf_counter()
    collect(index, paths[pygas.MYTHREAD :: pygas.THREADS])
    pygas.barrier()
    seconds = time.perf_counter() - start

    if pygas.owner(index) == pygas.MYTHREAD:
        mine = pygas.local(index)
        for word, number in mine.commonest(10):
            print(f"{number:8d}  {word}")
        serial = Index()
        collect(serial, paths)
        if mine.counts != serial.counts or mine.files != serial.files:
            sys.exit("wordindex: the result differs from a serial count")
        print(
            f"wordindex: {mine.files} files, {pygas.THREADS} ranks: "
            f"{mine.counts.total()} words in {seconds:.4f} s, verified against a serial count"
        )


main()
