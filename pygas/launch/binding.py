"""Which cores each rank is bound to.

A *core* is a physical one: the hardware threads of it stay together, so that what computes in a
rank and the thread of ours that takes in messages can share it. Ranks get equal parts of the cores
that the launcher itself may use, each a part of its own, neighbours where possible: so a rank that
computes with threads has as many cores for them as `OMP_NUM_THREADS` says by default.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

#: What the ranks of a job may run on: for each of them the numbers of processors.
Places = list[frozenset[int]]

_SYSTEM = Path("/sys/devices/system/cpu")


class TooFewCores(Exception):
    """There is not a core for each rank."""


def cores_of(processors: Iterable[int], system: Path = _SYSTEM) -> Places:
    """Group processors (hardware threads) by core.

    Parameters
    ----------
    processors : iterable of int
        Those that may be used.
    system : Path
        Where the system describes them. What it does not describe is a core of its own.

    Returns
    -------
    list of frozenset of int
        One for each core, with those of its processors that may be used. Cores of a socket follow
        each other.
    """
    wanted = set(processors)
    found: dict[frozenset[int], tuple[int, int]] = {}
    for processor in sorted(wanted):
        topology = system / f"cpu{processor}" / "topology"
        together = _read_list(topology / "thread_siblings_list") | {processor}
        core = frozenset(together & wanted)
        found.setdefault(core, (_read_number(topology / "physical_package_id"), processor))
    return sorted(found, key=lambda core: found[core])


def divide(size: int, cores: Places) -> Places:
    """Divide cores among ranks.

    Raises
    ------
    TooFewCores
        There are more ranks than cores.
    """
    count = len(cores)
    if size > count:
        raise TooFewCores(
            f"--bind-to core: {size} ranks cannot have a core each, as there "
            f"{'is 1' if count == 1 else f'are {count}'} for this job; start fewer ranks, or leave "
            "the option away"
        )
    return [
        frozenset().union(*cores[rank * count // size : (rank + 1) * count // size])
        for rank in range(size)
    ]


def _read_list(path: Path) -> set[int]:
    """Read numbers as the system writes them: ``0-3,8``."""
    numbers: set[int] = set()
    with contextlib.suppress(OSError, ValueError):
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def _read_number(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return 0
