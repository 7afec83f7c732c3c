"""``pygas bench attentive``: a call to an owner that is busy, and what calls cost the owner.

Run as a program (``pygas run -n N -m pygas.bench.attentive SECONDS``) it measures one round: rank 0
owns an object and waits, computes, sleeps and so on, the others call a small method. As a command
it runs several rounds with 2 and with 4 ranks and prints medians and 99th percentiles, each also as
a multiple of the machine's own wake-up round trip: a byte to a process that is asleep in epoll, and
back, both in C.

Every call is measured twice: back to back, where whoever answers is often still awake, and one per
millisecond, which is the honest case.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pygas.bench import timing

GAP = 0.001
_MIN_CALLS = 10
_MAX_CALLS = 3000

#: label -> [median, 99th percentile] in seconds, or one number of another unit
Figures = dict[str, list[float]]

WAKEUP = "machine: wake-up in epoll"
APART = "machine: the same, on two processors"
RAW = "raw active message, owner waits"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each number of ranks")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line of a round")
    parser.add_argument(
        "--ranks", type=int, nargs="+", default=[2, 4], help="numbers of ranks to measure with"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


class Owner:
    """What rank 0 shares: its object, and what it is told to do."""

    def __init__(self) -> None:
        self.over = False
        self.turns = 0

    def method(self, argument: int) -> int:
        """Do nothing much: what is measured is how long it takes to get here."""
        return argument

    def finish(self) -> None:
        """Tell rank 0 to go on."""
        self.over = True


def wait(_owner: Owner, event: Any) -> None:
    """Wait in PyGAS."""
    event.result()


def run_python(owner: Owner, _event: Any) -> None:
    """Run Python code."""
    while not owner.over:
        owner.turns += 1


def multiply(owner: Owner, _event: Any) -> None:
    """Multiply matrices, for about a millisecond each."""
    import numpy as np

    matrix = np.ones((300, 300))
    while not owner.over:
        np.matmul(matrix, matrix)


def sleep(owner: Owner, _event: Any) -> None:
    """Sleep, for longer than a round takes if nobody wakes it."""
    while not owner.over:
        time.sleep(0.2)


def read(owner: Owner, _event: Any) -> None:
    """Block in a read that returns once in a while."""
    reader, writer = os.pipe()

    def write() -> None:
        while not owner.over:
            time.sleep(0.2)
            os.write(writer, b"x")

    thread = threading.Thread(target=write)
    thread.start()
    while not owner.over:
        os.read(reader, 1)
    thread.join()
    os.close(reader)
    os.close(writer)


def hold(owner: Owner, _event: Any) -> None:
    """Run C code that keeps the interpreter lock for 50 ms at a time."""
    begin = time.perf_counter()
    sum(range(1_000_000))
    count = int(1_000_000 * 0.05 / (time.perf_counter() - begin))
    while not owner.over:
        sum(range(count))


OCCUPATIONS: dict[str, Callable[[Owner, Any], None]] = {
    "waits": wait,
    "runs Python": run_python,
    "is in numpy": multiply,
    "sleeps": sleep,
    "is in read()": read,
    "keeps the lock 50 ms": hold,
}


def wakeups(seconds: float) -> dict[str, list[float]]:
    """Measure the machine: from a process to another one, both asleep in epoll, and back.

    Once as the scheduler likes it, which may put both on one processor, which then never goes idle;
    and once on two, as it is with an owner that keeps one of them busy.
    """
    from pygas import _core

    command = (
        "import sys; from pygas import _job;"
        "_job.core().wakeup_answer(int(sys.argv[1]), int(sys.argv[2]))"
    )
    samples = {}
    allowed = sorted(os.sched_getaffinity(0))
    there, here = os.eventfd(0), os.eventfd(0)
    with subprocess.Popen(
        [sys.executable, "-c", command, str(there), str(here)], pass_fds=(there, here)
    ) as child:
        for label, apart in ((WAKEUP, False), (APART, True)):
            if apart:
                os.sched_setaffinity(child.pid, allowed[:1])
                os.sched_setaffinity(0, allowed[-1:])
            _core.wakeup_ask(here, there, 20, 0.0)  # it has started
            samples[label] = _core.wakeup_ask(here, there, 2000, 0.0)
            count = int(seconds / 1.1e-3)
            samples[label + _GAP] = _core.wakeup_ask(here, there, count, GAP)
        os.sched_setaffinity(0, allowed)
        _core.wakeup_ask(here, there, 0, 0.0)
    os.close(there)
    os.close(here)
    return samples


_GAP = ", one per ms"


def sample_for(operation: Callable[[], object], seconds: float, gap: float) -> list[float]:
    """Time `operation` for so long, with a `gap` before each."""
    samples: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    while len(samples) < _MIN_CALLS or (clock() < end and len(samples) < _MAX_CALLS):
        if gap:
            time.sleep(gap)
        begin = clock()
        operation()
        samples.append(clock() - begin)
    return samples


class Round:
    """One round on this rank; collective."""

    def __init__(self, seconds: float) -> None:
        import pygas

        self.seconds = seconds
        self.rank, self.ranks = pygas.MYTHREAD, pygas.THREADS
        self.owner = Owner()
        self.target: Any = pygas.share(self.owner)
        self.finished: list[int] = []
        self.finished_there: Any = pygas.share(self.finished, 1)

    def while_owner(
        self, occupation: Callable[[Owner, Any], None], measure: Callable[[], None]
    ) -> None:
        """Let the other ranks measure while rank 0 is occupied; collective."""
        import pygas

        event: Any = pygas.share(pygas.Future())
        self.owner.over = False
        self.finished.clear()
        pygas.barrier()
        if self.rank == 0:
            occupation(self.owner, pygas.local(event))
        else:
            time.sleep(0.05)
            measure()
            self.finished_there.append(self.rank)
            if self.rank == 1:
                while len(self.finished) < self.ranks - 1:
                    time.sleep(0.005)
                self.target.finish()
                event.set_result(None)
        pygas.barrier()

    def latencies(self) -> dict[str, list[float]]:
        """Measure calls to an owner in each of its occupations."""
        from pygas import _core

        samples: dict[str, list[float]] = {}

        def call() -> None:
            self.target.method(1)

        def measure() -> None:
            if occupation is wait and self.rank == 1:
                samples[RAW] = _core.ping(0, 2000, 0.0)
                samples[RAW + _GAP] = _core.ping(0, int(self.seconds / 1.1e-3), GAP)
            samples[key] = sample_for(call, self.seconds, 0.0)
            samples[key + _GAP] = sample_for(call, self.seconds, GAP)

        for label, occupation in OCCUPATIONS.items():
            key = f"call, owner {label}"
            self.while_owner(occupation, measure)
        return samples

    def costs(self) -> dict[str, float]:
        """Measure what calls cost an owner that runs Python: its speed with, by that without."""
        figures: dict[str, float] = {}

        def compute(owner: Owner, _event: Any) -> None:
            begin, owner.turns = time.perf_counter(), 0
            run_python(owner, _event)
            speeds.append(owner.turns / (time.perf_counter() - begin))

        def nothing() -> None:
            time.sleep(self.seconds)

        def one_per_ms() -> None:
            sample_for(lambda: self.target.method(1), self.seconds, GAP)

        def back_to_back() -> None:
            sample_for(lambda: self.target.method(1), self.seconds, 0.0)

        for label, traffic in (
            ("one call per ms from each", one_per_ms),
            ("calls back to back from each", back_to_back),
            ("200 calls in flight from each", self.flood),
        ):
            speeds: list[float] = []
            for measure in (nothing, traffic, nothing):
                self.while_owner(compute, measure)
            if self.rank == 0:
                figures[f"owner's speed, {label}"] = 2 * speeds[1] / (speeds[0] + speeds[2])
        return figures

    def flood(self) -> None:
        """Keep many calls in flight."""
        import pygas

        flying: deque[Any] = deque()
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            flying.append(pygas.async_(self.target).method(1))
            if len(flying) > 200:
                flying.popleft().result()
        for future in flying:
            future.result()

    def idle(self) -> dict[str, float]:
        """Measure what a rank without traffic costs: processor time by time."""
        figures: dict[str, float] = {}

        def asleep(_owner: Owner, _event: Any) -> None:
            begin, used = time.perf_counter(), time.process_time()
            time.sleep(2 * self.seconds)
            figures["idle cost, asleep"] = share(begin, used, 0.0)

        def computing(owner: Owner, event: Any) -> None:
            begin, used, own = time.perf_counter(), time.process_time(), time.thread_time()
            run_python(owner, event)
            figures["idle cost, computing"] = share(begin, used, time.thread_time() - own)

        def share(begin: float, used: float, own: float) -> float:
            return (time.process_time() - used - own) / (time.perf_counter() - begin)

        for occupation in (asleep, computing):
            self.while_owner(occupation, lambda: time.sleep(2 * self.seconds))
        return figures


def quantiles(samples: list[float]) -> list[float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(samples)
    return [ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]]


def measure_round(seconds: float) -> Figures:
    """Measure one round; collective. Rank 1's figures, and those of rank 0's costs, on rank 0."""
    import pygas

    samples = wakeups(seconds) if pygas.MYTHREAD == 1 else {}
    one = Round(seconds)
    samples |= one.latencies()
    others = {label: [value] for label, value in (one.costs() | one.idle()).items()}
    figures = {label: quantiles(times) for label, times in samples.items()}
    merged = pygas.broadcast(figures, 1) | others
    pygas.barrier()
    return merged if pygas.MYTHREAD == 0 else {}


def run_round(ranks: int, seconds: float) -> Figures:
    """Run this module as a program on so many ranks."""
    launcher = [sys.executable, "-m", "pygas", "run", "-n", str(ranks)]
    command = [*launcher, "-m", __spec__.name, str(seconds)]
    # The threads of BLAS would fight for the processors with the ranks.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    if done.returncode != 0:
        print(f"{' '.join(command)} failed:\n{done.stderr}", file=sys.stderr)
    for line in done.stdout.splitlines():
        if line.startswith(timing.MARK):
            figures: Figures = json.loads(line[len(timing.MARK) :])
            return figures
    return {}


def medians(rounds: list[Figures]) -> Figures:
    """Return the median over the rounds, figure by figure."""
    return {
        label: [
            sorted(one[label][i] for one in rounds if label in one)[len(rounds) // 2]
            for i in range(len(values))
        ]
        for label, values in rounds[0].items()
    }


def show(ranks: int, figures: Figures) -> None:
    """Print the table of one number of ranks."""
    for gap in ("", _GAP):
        machine, apart = figures[WAKEUP + gap][0], figures[APART + gap][0]
        title = f"{ranks} ranks{gap or ', back to back'}"
        print(
            f"\n{title:42s} {'median us':>9s} {'x wake-up':>10s} {'x on two':>9s} {'99 % us':>9s}"
        )
        for label, values in figures.items():
            if len(values) != 2 or label.endswith(_GAP) != bool(gap):
                continue
            median, worst = values
            ratios = f"{median / machine:10.2f} {median / apart:9.2f}"
            name = label.removesuffix(_GAP)
            print(f"  {name:40s} {median * 1e6:9.1f} {ratios} {worst * 1e6:9.1f}")
    print()
    for label, values in figures.items():
        if len(values) == 1:
            print(f"  {label:40s} {values[0]:9.2%}")


def main(args: argparse.Namespace) -> int:
    """Run the rounds and print the tables."""
    started = time.monotonic()
    result: dict[int, Figures] = {}
    for ranks in args.ranks:
        rounds = [run_round(ranks, args.seconds) for _ in range(args.rounds)]
        rounds = [one for one in rounds if one]
        if not rounds:
            return 1
        result[ranks] = medians(rounds)
    if args.json:
        print(json.dumps({"machine": timing.machine(), "rounds": args.rounds, "ranks": result}))
        return 0
    took = time.monotonic() - started
    print(f"{timing.machine()}; {args.rounds} rounds in {took:.0f} s; medians of the rounds")
    for ranks, figures in result.items():
        show(ranks, figures)
    return 0


if __name__ == "__main__":
    measured = measure_round(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
    if measured:
        print(timing.MARK, json.dumps(measured), flush=True)
