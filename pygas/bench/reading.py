"""What the programs of ``pygas bench remote-read`` have in common."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable

from pygas.bench import timing

#: label -> seconds
Times = dict[str, float]

#: The largest size, 2 to this power. The figure in the paper ends at 32 MiB.
POWER_MAX = int(os.environ.get("PYGAS_BENCH_POWER_MAX", "25"))
SIZE_MAX = 1 << POWER_MAX

#: A variable in the environment: leave out what is one-sided.
NO_ONE_SIDED = "PYGAS_BENCH_NO_ONE_SIDED"

_WARM_UP = 3


def sizes() -> list[int]:
    """Return the sizes to read, in bytes."""
    return [1 << power for power in range(POWER_MAX + 1)]


def count_for(size: int) -> int:
    """Return how many times to read `size` bytes in a round: enough for a median, not for ever."""
    return max(7, min(300, (64 << 20) // size))


def repetitions(count: int) -> int:
    """Return how many operations `median_time` does."""
    return count + _WARM_UP


def median_time(operation: Callable[[], object], count: int) -> float:
    """Return the median time of an operation, in seconds, whose result is dropped each time."""
    times = []
    clock = time.perf_counter
    for _ in range(repetitions(count)):
        start = clock()
        result = operation()
        times.append(clock() - start)
        del result
    return statistics.median(times[_WARM_UP:])


def key(label: str, size: int) -> str:
    """Name one measurement: what was done, and with how many bytes."""
    return f"{label} @ {size}"


def split(name: str) -> tuple[str, int]:
    """Undo `key`."""
    label, _, size = name.rpartition(" @ ")
    return label, int(size)


def collect(samples: timing.Samples, size: int, gathered: Iterable[Times]) -> None:
    """Add the times of every rank that read."""
    for times in gathered:
        for label, seconds in times.items():
            samples.setdefault(key(label, size), []).append(seconds)
