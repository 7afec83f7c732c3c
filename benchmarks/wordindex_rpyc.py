"""Count the identifiers in the source files of Python's standard library, with RPyC.

    python benchmarks/wordindex_rpyc.py --processes 4

As examples/wordindex.py, written as an RPyC user would: a server process owns the index, the others
are its clients. Counts are sent as tuples of tuples, which RPyC copies; of a Counter it would send
a reference, and the server would ask for the items one by one.
"""

import argparse
import multiprocessing
import pathlib
import re
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.synchronize import Barrier

import rpyc
from rpyc.utils.server import ThreadedServer

IDENTIFIER = re.compile(r"[^\W\d]\w*")


@rpyc.service
class Index(rpyc.Service):
    """Word -> count, and how many files they come from."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.files = 0
        self.lock = threading.Lock()  # each connection has a thread

    @rpyc.exposed
    def add(self, counts: tuple[tuple[str, int], ...]) -> None:
        with self.lock:
            self.counts.update(dict(counts))
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
        index.add(tuple(count(path).items()))


def client(port: int, paths: list[pathlib.Path], barrier: Barrier) -> None:
    connection = rpyc.connect("127.0.0.1", port)
    barrier.wait()
    collect(connection.root, paths)
    barrier.wait()
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="count the identifiers in Python's library")
    parser.add_argument("--files", type=int, help="only so many files (default: all)")
    parser.add_argument("--processes", type=int, default=4, help="processes that count (4)")
    arguments = parser.parse_args()
    paths, processes = source_files()[: arguments.files], arguments.processes

    index = Index()
    server = ThreadedServer(index, hostname="127.0.0.1", port=0)
    server._start_in_thread()
    barrier = multiprocessing.Barrier(processes)
    clients = [
        multiprocessing.Process(target=client, args=(server.port, paths[rank::processes], barrier))
        for rank in range(1, processes)
    ]
    for process in clients:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    collect(index, paths[::processes])
    barrier.wait()
    seconds = time.perf_counter() - start
    for process in clients:
        process.join()
    server.close()

    for word, number in index.commonest(10):
        print(f"{number:8d}  {word}")
    serial = Index()
    collect(serial, paths)
    if index.counts != serial.counts or index.files != serial.files:
        sys.exit("wordindex: the result differs from a serial count")
    print(
        f"wordindex: {index.files} files, {processes} ranks: "
        f"{index.counts.total()} words in {seconds:.4f} s, verified against a serial count"
    )


if __name__ == "__main__":
    main()
