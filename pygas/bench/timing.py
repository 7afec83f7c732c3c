"""Timing one operation many times, and what is printed about it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

#: label -> seconds of each repetition
Samples = dict[str, list[float]]

#: Marks the one line of a program's output that holds its samples.
MARK = "pygas-bench:"


def sample(operation: Callable[[], object], count: int, gap: float = 0.0) -> list[float]:
    """Time `operation` `count` times, after a few unmeasured ones.

    Parameters
    ----------
    operation
        What is measured.
    count
        How many repetitions.
    gap
        Seconds to sleep before each: back-to-back loops hide the cost of waking somebody up.
    """
    for _ in range(min(100, count)):
        operation()
    samples = []
    clock = time.perf_counter
    for _ in range(count):
        if gap:
            time.sleep(gap)
        start = clock()
        operation()
        samples.append(clock() - start)
    return samples


def in_turns(operations: dict[str, Callable[[], object]], count: int, batch: int = 50) -> Samples:
    """Time batches of some operations, in turns: what disturbs one of them disturbs all.

    A sample is the mean of a batch, so that work which an operation leaves to others counts, too.

    Parameters
    ----------
    operations
        What is measured, by label.
    count
        How many repetitions of each, in all.
    batch
        How many of one operation come in a row.
    """
    samples: Samples = {label: [] for label in operations}
    clock = time.perf_counter
    for turn in range(1 + max(1, count // batch)):
        for label, operation in operations.items():
            start = clock()
            for _ in range(batch):
                operation()
            if turn > 0:  # the first is not measured
                samples[label].append((clock() - start) / batch)
    return samples


def emit(samples: Samples) -> None:
    """Print the medians of a program's samples for the command that started it."""
    medians = {label: statistics.median(times) for label, times in samples.items()}
    print(MARK, json.dumps(medians), flush=True)


def parse(output: str) -> dict[str, float]:
    """Read what `emit` printed; empty if there is none."""
    for line in output.splitlines():
        if line.startswith(MARK):
            medians: dict[str, float] = json.loads(line[len(MARK) :])
            return medians
    return {}


def run(command: list[str]) -> dict[str, float]:
    """Run a program that measures; return what it emitted, nothing if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        print(f"{' '.join(command)} failed:\n{done.stderr}", file=sys.stderr)
    return parse(done.stdout)


def medians_of(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the median over the rounds for each label, in the order of the first round."""
    collected: dict[str, list[float]] = {}
    for one in rounds:
        for label, value in one.items():
            collected.setdefault(label, []).append(value)
    return {label: statistics.median(values) for label, values in collected.items()}


def machine() -> str:
    """Describe the interpreter and the processors in a line."""
    import os
    import platform

    cores = len(os.sched_getaffinity(0))
    return (
        f"Python {platform.python_version()}, {cores} cores, {platform.machine()}, {sys.platform}"
    )
