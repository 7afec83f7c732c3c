"""Process groups.

Every rank leads a process group of its own, whose number is the rank's process id. The number
cannot be given to another process while the rank has not been reaped, so signalling a group is
safe exactly until then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable


def signal_groups(groups: Iterable[int], *signals: int) -> None:
    """Send signals, in order, to all members of process groups; groups that are gone are skipped.

    Parameters
    ----------
    groups : iterable of int
        Process group numbers.
    *signals : int
        Signal numbers.
    """
    for group in groups:
        for signum in signals:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signum)


def populated_groups(groups: Iterable[int]) -> set[int]:
    """Return those of the groups that have a member which is not a zombie.

    Parameters
    ----------
    groups : iterable of int
        Process group numbers.

    Returns
    -------
    set of int
        Empty where the system has no ``/proc``.
    """
    wanted = set(groups)
    populated: set[int] = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                state, group = _state_and_group(name)
                if group in wanted and state not in ("Z", "X"):
                    populated.add(group)
    return populated


def process_state(pid: int) -> str:
    """Return the state of a process as one letter, like ``T`` for stopped; ``X`` if it is gone."""
    return _state_and_group(str(pid))[0]


def _state_and_group(pid: str) -> tuple[str, int]:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            stat = os.read(fd, 1024)
        finally:
            os.close(fd)
    except OSError:
        return "X", -1
    # The command in parentheses may itself contain parentheses and spaces.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[2])
