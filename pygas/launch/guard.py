"""The guard: a process that ends the ranks when the launcher itself is killed.

Design notes
------------
The guard is forked before any rank or thread exists, has a session of its own, ignores every
signal it may, and reads a pipe whose writing end only the launcher holds. Through it the guard
learns of process groups; at end of file it kills those it knows and has not been told to forget.
An orderly launcher has had all groups forgotten by then. Last of all, in any case, the guard
removes the folder of the job's shared memory (`pygas.launch.shm`).

No rank can slip through between being started and being announced, because a rank announces
itself: after the fork it enters its process group, writes its number to the inherited pipe and
only then executes the program, which closes its copy of the pipe (close-on-exec). If the launcher
is killed at any moment in between, the pipe stays open until the rank has spoken, and the guard
hears of the group before it sees the end of file. Writes of this size are atomic.

The launcher tells the guard to forget a group before it reaps the group's leader, never after, so
the guard never holds a number that the system may have given to a stranger.

A process that leaves its rank's group (a daemon) is out of the guard's reach.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
from typing import NoReturn

from pygas.launch.groups import signal_groups
from pygas.launch.shm import remove_folder

_MESSAGE = struct.Struct("=?i")


class Guard:
    """The launcher's handle of the guard process.

    Starting it forks; it must happen before the launcher starts a thread.

    Parameters
    ----------
    folder : str
        What to remove at the end, if it exists then.
    """

    def __init__(self, folder: str) -> None:
        reader, self._writer = os.pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _guard_main(reader, folder)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(reader)

    def announce(self, group: int) -> None:
        """Have the group killed if the launcher dies. Called by the rank itself, before exec."""
        self._tell(True, group)

    def forget(self, group: int) -> None:
        """Take an announcement back. Must come before the group's leader is reaped."""
        self._tell(False, group)

    def dismiss(self) -> None:
        """End the guard and reap it. Groups that were not forgotten are killed."""
        os.close(self._writer)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _tell(self, watch: bool, group: int) -> None:
        # A guard that somebody killed is missed only if the launcher is killed too.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, _MESSAGE.pack(watch, group))


def _guard_main(reader: int, folder: str) -> NoReturn:
    """Run the guard process; does not return."""
    try:
        os.setsid()
        _ignore_signals()
        _let_go(reader)
        signal_groups(_watched_at_end(reader), signal.SIGKILL)
        remove_folder(folder)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _ignore_signals() -> None:
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(signum, signal.SIG_IGN)


def _let_go(reader: int) -> None:
    """Hold no file, directory or terminal that somebody may wait for."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, reader)
    os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
            comm.write("pygas-guard")


def _watched_at_end(reader: int) -> set[int]:
    """Follow the messages until the launcher is gone; return the groups that are left."""
    groups: set[int] = set()
    pending = b""
    while data := os.read(reader, 4096):
        pending += data
        whole = len(pending) - len(pending) % _MESSAGE.size
        for watch, group in _MESSAGE.iter_unpack(pending[:whole]):
            if watch:
                groups.add(group)
            else:
                groups.discard(group)
        pending = pending[whole:]
    return groups
