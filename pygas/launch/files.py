"""The launcher's own file descriptors: how many, which ones, and who inherits them."""

from __future__ import annotations

import contextlib
import os
import resource

from pygas.launch.protocol import BOOT_VARIABLE, boot_fd

_RESERVE = 64


class TooFewFiles(Exception):
    """The system does not allow as many open files as the job needs."""


def allow_open_files(needed: int) -> tuple[int, int]:
    """Raise the soft limit of open files if it is too low.

    Parameters
    ----------
    needed : int
        Files the caller is going to hold at the same time; a reserve is added.

    Returns
    -------
    tuple of int
        The soft and hard limits from before, to be restored in child processes.

    Raises
    ------
    TooFewFiles
        The hard limit is too low.
    """
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed += _RESERVE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return before
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewFiles(f"{needed} open files are needed, {hard} are allowed (ulimit -Hn)")
    wanted = needed if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return before


def restore_limit(before: tuple[int, int]) -> None:
    """Set the limits back to what `allow_open_files` returned."""
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_standard_files() -> None:
    """Make sure that 0, 1 and 2 are taken, so that no pipe or socket gets such a number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def hide_own_boot_socket() -> None:
    """Keep the boot socket of a launcher that is itself a rank from its own ranks."""
    fd = boot_fd(os.environ.get(BOOT_VARIABLE, ""))
    if fd is not None and fd > 2:
        # It may have been closed on the way here.
        with contextlib.suppress(OSError):
            os.set_inheritable(fd, False)
