"""``pygas bench call``: what an operation on a Proxy costs, next to the conduit's raw round trip.

Run as a program (``pygas run -n 2 -m pygas.bench.call``) it measures one round on two ranks: rank 0
owns an object and waits in a barrier, rank 1 asks. As a command it runs several rounds, in turns
with mpi4py and RPyC where those are installed, and prints the medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable

from pygas.bench import timing

_RAW = "raw active message"
_ASYNC = "async method call, 1,000 in flight, each"
_METHOD = "method call, 1 argument"
_TEN = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with every variant")
    parser.add_argument("--count", type=int, default=5000, help="repetitions in a round")


class Target:
    """What is called."""

    def __init__(self) -> None:
        import pygas

        self.attribute = 1
        self.proxy = pygas.Proxy([1, 2, 3])
        self.bytes = b""

    def method(self, *arguments: object) -> int:
        return len(arguments)

    def give_proxy(self) -> object:
        return self.proxy

    def give_bytes(self) -> bytes:
        return self.bytes

    def set_bytes(self, data: bytes) -> None:
        self.bytes = data


def measure(count: int) -> timing.Samples:
    """Measure one round; collective, of two ranks. Empty on rank 0, which owns the objects."""
    import pygas
    from pygas import _core

    first = pygas.MYTHREAD == 0
    target = pygas.share(Target() if first else None)
    items = pygas.share([1, 2, 3] if first else None)
    samples: timing.Samples = {}
    pygas.barrier()
    if pygas.MYTHREAD == 1:
        few = max(1, count // 20)
        operations: dict[str, Callable[[], object]] = {
            "attribute read": lambda: target.attribute,
            "item read": lambda: items[1],
            "method call, 0 arguments": lambda: target.method(),
            _METHOD: lambda: target.method(1),
            "method call, 5 arguments": lambda: target.method(1, 2, 3, 4, 5),
        }
        _core.ping(0, 100, 0.0)
        samples[_RAW] = _core.ping(0, count, 0.0)
        for label, operation in operations.items():
            samples[label] = timing.sample(operation, count)
        samples |= timing.in_turns(passing_proxies(target), count)
        samples[_ASYNC] = timing.sample(lambda: burst(target), 10)
        samples[_ASYNC] = [seconds / 1000 for seconds in samples[_ASYNC]]
        samples[_RAW + ", one per ms"] = _core.ping(0, few, 0.001)
        samples[_METHOD + ", one per ms"] = timing.sample(operations[_METHOD], few, 0.001)
    pygas.barrier()
    return samples


def _traffic(operation: Callable[[], object]) -> tuple[int, int]:
    """Return the bytes of the request and of the reply of an operation that makes one."""
    import pygas

    operation()  # the first time names may travel that are known afterwards
    before = pygas.stats().kinds
    operation()
    after = pygas.stats().kinds
    return (
        after["request"].bytes_sent - before["request"].bytes_sent,
        after["reply"].bytes_received - before["reply"].bytes_received,
    )


def passing_proxies(target: Target) -> dict[str, Callable[[], object]]:
    """Return calls that pass Proxies, which are dropped, and each before it one as long without."""
    import pygas

    own = pygas.Proxy([1, 2, 3])
    ten = tuple(pygas.Proxy([i]) for i in range(_TEN))
    empty = _traffic(lambda: target.method(b""))[0]
    one_more = _traffic(lambda: target.method(own))[0] - empty
    ten_more = _traffic(lambda: target.method(ten))[0] - empty
    given = _traffic(target.give_proxy)[1] - _traffic(target.give_bytes)[1]
    target.set_bytes(bytes(given))
    one_long, ten_long = bytes(one_more), bytes(ten_more)
    return {
        f"passing {one_more} bytes": lambda: target.method(one_long),
        "passing a Proxy": lambda: target.method(own),
        "passing a Proxy to a new object": lambda: target.method(pygas.Proxy([])),
        f"passing {ten_more} bytes": lambda: target.method(ten_long),
        f"passing a tuple of {_TEN} Proxies": lambda: target.method(ten),
        f"returning {given} bytes": lambda: target.give_bytes(),
        "returning a Proxy": lambda: target.give_proxy(),
    }


def burst(target: Target) -> None:
    """Make a thousand calls without waiting in between, then wait for all."""
    import pygas

    futures = [pygas.async_(target).method(1) for _ in range(1000)]
    for future in futures:
        future.result()


def _pygas_round(count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "pygas", "run", "-n", "2", "-m", __spec__.name, str(count)]
    return timing.run(command)


def _mpi_round(count: int) -> dict[str, float]:
    command = ["mpirun", "-n", "2", "--oversubscribe"]
    if os.geteuid() == 0:
        command.append("--allow-run-as-root")
    module = "pygas.bench.peers.mpi4py_call"
    return timing.run([*command, sys.executable, "-m", module, str(count)])


def _rpyc_round(count: int) -> dict[str, float]:
    return timing.run([sys.executable, "-m", "pygas.bench.peers.rpyc_call", str(count)])


def main(args: argparse.Namespace) -> int:
    """Run the rounds and print the table."""
    variants: list[Callable[[int], dict[str, float]]] = [_pygas_round]
    if importlib.util.find_spec("mpi4py") and shutil.which("mpirun"):
        variants.append(_mpi_round)
    else:
        print("left out: mpi4py (needs the package and mpirun)")
    if importlib.util.find_spec("rpyc"):
        variants.append(_rpyc_round)
    else:
        print("left out: RPyC (not installed)")
    rounds: list[dict[str, float]] = []
    started = time.monotonic()
    for _ in range(args.rounds):
        rounds.append({})
        for variant in variants:
            rounds[-1] |= variant(args.count)
    medians = timing.medians_of(rounds)
    if _RAW not in medians:
        return 1
    print(
        f"{timing.machine()}; {args.rounds} rounds in {time.monotonic() - started:.0f} s; medians"
    )
    print(f"{'':44s} {'us':>9s} {'x raw':>7s}")
    for label, seconds in medians.items():
        print(f"{label:44s} {seconds * 1e6:9.2f} {seconds / medians[_RAW]:7.2f}")
    return 0


if __name__ == "__main__":
    measured = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    if measured:
        timing.emit(measured)
