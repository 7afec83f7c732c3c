"""``pygas bench collectives``: the table of algorithms, and what collective operations cost.

Run as a program (``pygas run -n 4 -m pygas.bench.collectives SECONDS``) it measures one round; as a
command it runs several rounds in turns with mpi4py, where that is installed, and prints medians and
ratios. The time of an operation is the mean over a loop of operations that ends with a barrier, so
it is that of the slowest member, also where the root does not wait for the others.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Callable

from pygas.bench import timing

#: name -> what every rank calls
Operations = dict[str, Callable[[], object]]

#: Bytes of a block.
SIZES = (8, 1024, 65536, 1 << 20, 8 << 20)
#: The most bytes of all blocks of an operation.
_MOST = 32 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--table", action="store_true", help="only print the table of algorithms")
    parser.add_argument("-n", "--ranks", type=int, default=4, help="ranks (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with every variant")
    parser.add_argument(
        "--seconds", type=float, default=0.05, help="for each operation and size in a round"
    )
    parser.add_argument(
        "--each", action="store_true", help="measure each algorithm, not only the selected one"
    )
    parser.add_argument(
        "--use",
        metavar="OPERATION=ALGORITHM,...",
        help="override what the table selects (PYGAS_COLLECTIVES)",
    )
    parser.add_argument(
        "--bind-to",
        choices=("none", "core"),
        help="where the ranks run, of PyGAS and of mpi4py (default: as each launcher does by "
        "itself: pygas run binds to none, mpirun up to two ranks to a core each)",
    )
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")


def _label(name: str, size: int) -> str:
    text = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
    return f"{name}, {text if size >= 1024 else f'{size} B'}"


def _loop(operation: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - start) / count


def _cases(
    operations: Callable[..., Operations], objects: Operations
) -> list[tuple[str, Callable[[], object]]]:
    """Return what is measured, in the same order on every rank."""
    import numpy as np

    cases = list(objects.items())
    for size in SIZES:
        for name, operation in operations(np.zeros(size // 8)).items():
            cases.append((_label(name, size), operation))
    return cases


def lead(
    broadcast: Callable[[int], int],
    barrier: Callable[[], object],
    operations: Callable[..., Operations],
    objects: Operations,
    seconds: float,
) -> None:
    """Measure on the first rank; how often is decided here."""
    samples: timing.Samples = {}
    for label, operation in _cases(operations, objects):
        barrier()
        once = _loop(operation, broadcast(2))
        barrier()
        count = broadcast(max(2, min(2000, int(seconds / max(once, 1e-7)))))
        barrier()
        start = time.perf_counter()
        _loop(operation, count)
        barrier()
        samples[label] = [(time.perf_counter() - start) / (count + 1)]
    timing.emit(samples)


def follow(
    broadcast: Callable[[int], int],
    barrier: Callable[[], object],
    operations: Callable[..., Operations],
    objects: Operations,
) -> None:
    """Take part on the other ranks."""
    for _label_of_it, operation in _cases(operations, objects):
        barrier()
        _loop(operation, broadcast(0))
        barrier()
        count = broadcast(0)
        barrier()
        _loop(operation, count)
        barrier()


def _measure(seconds: float, each: bool) -> None:
    """Measure one round; collective."""
    import numpy as np

    import pygas
    from pygas.collectives import algorithms

    world = pygas.world
    rank, size = world.rank, world.size
    first = rank == 0

    def plain(block: np.ndarray) -> Operations:
        """Operations with the algorithms that are selected; in all, not too large."""
        several = size * block.nbytes <= _MOST
        blocks = np.zeros((size, block.size)) if several else block
        others = np.zeros_like(blocks)
        out = np.zeros_like(block)
        made: Operations = {
            "broadcast": lambda: world.broadcast(block, out=block),
            "reduce": lambda: world.reduce(block, out=out),
            "allreduce": lambda: world.allreduce(block, out=out),
            "scan": lambda: world.scan(block, out=out),
        }
        if several:
            made |= {
                "gather": lambda: world.gather(block, out=blocks if first else ...),
                "scatter": lambda: world.scatter(blocks, out=out),
                "allgather": lambda: world.allgather(block, out=blocks),
                "alltoall": lambda: world.alltoall(blocks, out=others),
                "reduce_scatter": lambda: world.reduce_scatter(blocks, out=out),
            }
        return made

    def by_algorithm(block: np.ndarray) -> Operations:
        made = plain(block)
        for kind, name, _ordered, _when in table():
            if each and kind in made:
                made[f"{kind} by {name}"] = forced(kind, name, made[kind])
        return made

    def forced(kind: str, name: str, operation: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with algorithms(**{kind: name}):
                operation()

        return run

    value = {"a": 1, "b": [1.0, 2.0]}
    objects: Operations = {
        "barrier": world.barrier,
        "broadcast of an object": lambda: world.broadcast(value),
        "gather of objects": lambda: world.gather(value),
        "allgather of objects": lambda: world.allgather(value),
        "alltoall of objects": lambda: world.alltoall([value] * size),
        "allreduce of numbers": lambda: world.allreduce(rank),
    }
    if first:
        lead(world.broadcast, world.barrier, by_algorithm, objects, seconds)
    else:
        follow(world.broadcast, world.barrier, by_algorithm, objects)


def table() -> list[tuple[str, str, bool, str]]:
    """Return the table of algorithms: operation, name, keeps the order, selected when."""
    from pygas._job import core

    rows: list[tuple[str, str, bool, str]] = core().algorithms()
    return rows


def _print_table() -> None:
    print(f"{'operation':16s} {'algorithm':16s} {'selected for':50s} ordered")
    for kind, name, ordered, when in table():
        print(f"{kind:16s} {name:16s} {when:50s} {'yes' if ordered else ''}".rstrip())


def _rounds(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    ranks = str(args.ranks)
    places = [] if args.bind_to is None else ["--bind-to", args.bind_to]
    variants = {
        "PyGAS": [
            *(sys.executable, "-m", "pygas", "run", "-n", ranks, *places),
            *("-m", "pygas.bench.collectives"),
            *(str(args.seconds), "each" if args.each else "selected"),
        ]
    }
    if importlib.util.find_spec("mpi4py") and shutil.which("mpirun"):
        command = ["mpirun", "-n", ranks, "--oversubscribe", *places]
        if os.geteuid() == 0:
            command.append("--allow-run-as-root")
        module = "pygas.bench.peers.mpi4py_collectives"
        variants["mpi4py"] = [*command, sys.executable, "-m", module, str(args.seconds)]
    else:
        print("left out: mpi4py (needs the package and mpirun)", file=sys.stderr)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(args.rounds):
        for name, words in variants.items():
            rounds[name].append(timing.run(words))
    return {name: timing.medians_of(each) for name, each in rounds.items()}


def main(args: argparse.Namespace) -> int:
    """Print the table, run the rounds, print the medians."""
    if args.table:
        _print_table()
        return 0
    if args.use is not None:
        os.environ["PYGAS_COLLECTIVES"] = args.use
    medians = _rounds(args)
    ours, theirs = medians["PyGAS"], medians.get("mpi4py", {})
    if not ours:
        return 1
    if args.json:
        rows = [
            dict(zip(("operation", "name", "ordered", "when"), row, strict=True)) for row in table()
        ]
        print(json.dumps({"machine": timing.machine(), "table": rows, "medians": medians}))
        return 0
    _print_table()
    print()
    print(f"{timing.machine()}; {args.ranks} ranks; medians of {args.rounds} rounds, us")
    print(f"{'':40s} {'PyGAS':>10s} {'mpi4py':>10s} {'PyGAS/mpi4py':>13s}")
    for label, seconds in ours.items():
        other = theirs.get(label)
        columns = f"{other * 1e6:10.1f} {seconds / other:13.2f}" if other else ""
        print(f"{label:40s} {seconds * 1e6:10.1f} {columns}".rstrip())
    return 0


if __name__ == "__main__":
    _measure(float(sys.argv[1]), sys.argv[2:] == ["each"])
