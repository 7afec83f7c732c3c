"""``pygas bench remote-read``: the bandwidth of reading a remote attribute, the paper's Figure 1.

Run as a program (``pygas run -n 2 -m pygas.bench.remote_read``) it measures one round: each odd
rank reads attributes of an object of its left neighbour, which waits in a barrier. As a command it
runs several rounds, in turns with mpi4py and with a compiled PGAS program where those are
installed, and prints the medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from pygas.bench import figure, namespace, reading, timing

#: Variants by their label, in the order in which they are shown.
_RAW = "round trip of the conduit"
_BYTES = "PyGAS, bytes"
_ARRAY = "PyGAS, NumPy array"
_OBJECT = "PyGAS, object with array"

_MPI = "pygas.bench.peers.mpi4py_read"
_TIME_LIMIT = 600
_TCP_ENV = {
    "PYGAS_UCX_TLS": "tcp,self",
    "PYGAS_RINGS": "never",
    "PYGAS_DIRECT": "never",
    "UCX_TLS": "tcp,self",
}
_TCP_MCA = ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-n", type=int, default=2, help="ranks, which read in pairs (default: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with every variant")
    parser.add_argument("--tcp", action="store_true", help="everything over TCP sockets")
    parser.add_argument(
        "--netns",
        metavar="A,B",
        help="over TCP, even ranks in the network namespace A, odd ones in B (as root; mpi4py only "
        "with MPICH, whose ranks meet there too)",
    )
    parser.add_argument(
        "--power-max", type=int, default=25, metavar="P", help="read up to 2**P bytes (default: 25)"
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="show the best round of each measurement, not the median: on a busy machine",
    )
    parser.add_argument("--json", action="store_true", help="print the medians as JSON instead")
    parser.add_argument("--plot", metavar="FILE", help="draw the figure (needs matplotlib)")


class Thing:
    """An object of the program that holds an array."""

    def __init__(self, array: object) -> None:
        self.name = "thing"
        self.array = array


class Holder:
    """Has one attribute for each way in which n bytes are read."""

    def __init__(self) -> None:
        self.bytes = b""
        self.array: object = None
        self.thing = Thing(None)

    def hold(self, size: int) -> None:
        import numpy as np

        self.bytes = b"\xa5" * size
        self.array = np.full(size, 0xA5, dtype="u1")
        self.thing = Thing(self.array)


_samples: timing.Samples = {}


def _deposit(size: int, times: reading.Times) -> None:
    reading.collect(_samples, size, [times])


def measure() -> timing.Samples:
    """Measure one round; collective, of an even number of ranks. The samples on rank 0."""
    import pygas
    from pygas import _core

    peer = pygas.MYTHREAD ^ 1
    holder = Holder()
    table = pygas.share({} if pygas.MYTHREAD == 0 else None)
    table[pygas.MYTHREAD] = pygas.Proxy(holder)
    pygas.barrier()
    remote = table[peer]
    ways: dict[str, Callable[[], object]] = {
        _BYTES: lambda: remote.bytes,
        _ARRAY: lambda: remote.array,
        _OBJECT: lambda: remote.thing,
    }
    for size in reading.sizes():
        holder.hold(size)
        pygas.barrier()
        if pygas.MYTHREAD % 2 == 1:
            count = reading.count_for(size)
            times = {label: reading.median_time(way, count) for label, way in ways.items()}
            times[_RAW] = sorted(_core.ping(peer, count, 0.0))[count // 2]
            pygas.at(0).call(_deposit, size, times)
        pygas.barrier()
    return _samples


class _Variants:
    """The programs to run in turns, and why others are left out."""

    def __init__(self, args: argparse.Namespace, folder: pathlib.Path) -> None:
        self.commands: dict[str, list[str]] = {}
        self.left_out: list[str] = []
        self.environment = dict(os.environ, PYGAS_BENCH_POWER_MAX=str(args.power_max))
        if args.netns:
            self.environment |= _TCP_ENV | {namespace.VARIABLE: args.netns}
        if args.tcp:
            self.environment |= _TCP_ENV | {reading.NO_ONE_SIDED: "1"}
            self.left_out.append(
                "mpi4py Get (Open MPI does it by shared memory here, not over TCP)"
            )
        ranks = ["-n", str(args.n)]
        mpi = ["mpirun", *ranks, "--oversubscribe"]
        if os.geteuid() == 0:
            mpi.append("--allow-run-as-root")
        python = [sys.executable, "-m"]
        self.commands["PyGAS"] = [*python, "pygas", "run", *ranks, "-m", __spec__.name]
        if args.netns:
            self.left_out.append("OpenSHMEM (not started in network namespaces)")
            hydra = shutil.which("mpiexec.hydra")
            if importlib.util.find_spec("mpi4py") and hydra:
                # Not by shared memory, though it is one host.
                self.environment["MPIR_CVAR_NOLOCAL"] = "1"
                self.commands["mpi4py"] = [hydra, *ranks, *python, namespace.__name__, _MPI]
            else:
                self.left_out.append("mpi4py (needs the package and MPICH: pip install mpich)")
            return
        if importlib.util.find_spec("mpi4py") and shutil.which("mpirun"):
            self.commands["mpi4py"] = [*mpi, *(_TCP_MCA if args.tcp else []), *python, _MPI]
        else:
            self.left_out.append("mpi4py (needs the package and mpirun)")
        program = self._compile(folder)
        if program:
            self.commands["OpenSHMEM"] = ["oshrun", *mpi[1:], program, str(args.power_max)]

    def _compile(self, folder: pathlib.Path) -> str | None:
        if not (shutil.which("oshcc") and shutil.which("oshrun")):
            self.left_out.append("OpenSHMEM (and memcpy; needs oshcc and oshrun of Open MPI)")
            return None
        source = pathlib.Path(__file__).parent / "peers" / "shmem_read.c"
        program = str(folder / "shmem_read")
        done = subprocess.run(
            ["oshcc", "-O2", "-o", program, str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            self.left_out.append(f"OpenSHMEM (and memcpy; oshcc failed: {done.stderr.strip()})")
            return None
        return program

    def run(self, name: str) -> dict[str, float]:
        """Run one round of a program. Empty if it fails, which is said."""
        command = self.commands[name]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
            env=self.environment,
        )
        measured = timing.parse(done.stdout)
        if done.returncode != 0 or not measured:
            print(f"{' '.join(command)} failed:\n{done.stderr}", file=sys.stderr)
        return measured


def _by_label(medians: dict[str, float]) -> figure.Curves:
    curves: figure.Curves = {}
    for name, seconds in medians.items():
        label, size = reading.split(name)
        curves.setdefault(label, {})[size] = seconds
    return curves


def _best_of(rounds: list[dict[str, float]]) -> dict[str, float]:
    best: dict[str, float] = {}
    for one in rounds:
        for name, seconds in one.items():
            best[name] = min(seconds, best.get(name, seconds))
    return best


def _size_name(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def _print_table(curves: figure.Curves) -> None:
    labels = [label for label in curves if label != _RAW]
    print("bandwidth in MB/s (10^6 bytes a second) of reading an attribute, dropped each time")
    for number, label in enumerate(labels):
        print(f"  {chr(ord('a') + number)}  {label}")
    letters = "".join(f"{chr(ord('a') + number):>11}" for number in range(len(labels)))
    print(f"{'':>10}{letters}")
    for size in curves[_ARRAY]:
        cells = "".join(
            f"{size / curves[label][size] / 1e6:11.4g}" if size in curves[label] else f"{'':>11}"
            for label in labels
        )
        print(f"{_size_name(size):>10}{cells}")


#: What is compared: a variant of PyGAS, with which other one, and at which sizes.
_COMPARISONS = (
    (_ARRAY, "mpi4py pickle", (1 << 20, 32 << 20)),
    (_ARRAY, "mpi4py pkl5", (1 << 20, 32 << 20)),
    (_ARRAY, "mpi4py Recv, new memory", (1 << 20, 32 << 20)),
    (_ARRAY, "mpi4py Recv, same memory", (1 << 20, 32 << 20)),
    (_BYTES, "mpi4py Recv, same memory", (1 << 20, 32 << 20)),
    (_OBJECT, "mpi4py Recv, same memory", (1 << 20, 32 << 20)),
    (_ARRAY, "OpenSHMEM get in C", (1 << 20, 32 << 20)),
    (_ARRAY, "memcpy in C, new memory", (1 << 20, 32 << 20)),
    (_BYTES, _RAW, (8,)),
)


def _print_ratios(curves: figure.Curves) -> None:
    print("\ntimes the bandwidth of the other (for the round trip: times its time)")
    for ours, theirs, wanted in _COMPARISONS:
        for size in wanted:
            if size not in curves.get(theirs, {}):
                continue
            ratio = curves[theirs][size] / curves[ours][size]
            if theirs == _RAW:
                ratio = 1 / ratio
            print(f"  {_size_name(size):>7}  {ratio:7.2f}  {ours} / {theirs}")


def _transport(args: argparse.Namespace) -> str:
    if args.netns:
        return f"TCP between the network namespaces {args.netns}"
    return "TCP on one host" if args.tcp else "one host"


def main(args: argparse.Namespace) -> int:
    """Run the rounds; print a table or JSON, and draw the figure."""
    if args.n < 2 or args.n % 2:
        print("-n is the number of ranks, which read in pairs: give an even one", file=sys.stderr)
        return 2
    if args.plot and not figure.is_available():
        print("--plot needs matplotlib: pip install 'pygas[plot]'", file=sys.stderr)
        return 2
    rounds: list[dict[str, float]] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        variants = _Variants(args, pathlib.Path(folder))
        for reason in variants.left_out:
            print(f"left out: {reason}", file=sys.stderr)
        for _ in range(args.rounds):
            rounds.append({})
            for name in variants.commands:
                rounds[-1] |= variants.run(name)
    curves = _by_label(_best_of(rounds) if args.best else timing.medians_of(rounds))
    if _ARRAY not in curves:
        return 1
    where = f"{args.n} ranks, {_transport(args)}"
    title = f"{timing.machine()}; {where}"
    shown = "best rounds" if args.best else "medians"
    note = f"{args.rounds} rounds in {time.monotonic() - started:.0f} s; {shown}"
    if args.json:
        print(json.dumps({"machine": title, "note": note, "seconds": curves}, indent=1))
    else:
        print(f"{title}; {note}")
        _print_table(curves)
        _print_ratios(curves)
    if args.plot:
        figure.draw({k: v for k, v in curves.items() if k != _RAW}, title, args.plot)
    return 0


if __name__ == "__main__":
    namespace.enter()
    measured = measure()
    if measured:
        timing.emit(measured)
