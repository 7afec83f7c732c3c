"""Starting one rank, and how it ended.

Design notes
------------
Ranks are forked, not spawned through `subprocess`: between fork and exec the child enters its own
process group and announces it to the guard (see `guard`), which has to happen in the child. This
is sound because the launcher has a single thread while it starts ranks. All signals are blocked
across the fork, so no signal meets a child that still has the launcher's handlers.

All descriptors are close-on-exec; in the child only the three standard ones and its end of the
boot socket are made inheritable. Descriptors that the launcher itself was given by its parent
(``3< file``, ``<(command)``) reach the ranks like those of any program.

A rank that has ended stays a zombie until the job is over: that keeps its group's number from
being reused while its leftover children may still have to be signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from pygas.launch.binding import Places
from pygas.launch.channel import Channel
from pygas.launch.files import restore_limit
from pygas.launch.guard import Guard
from pygas.launch.protocol import BOOT_VARIABLE, boot_value
from pygas.launch.signals import SignalInbox

_CANNOT_EXECUTE = 127


class Birth(NamedTuple):
    """What all ranks of a job are started with.

    Attributes
    ----------
    command : list of str
        Absolute path of the program, then its arguments.
    environment : mapping
        The environment without ``PYGAS_BOOT``.
    size, key
        Number of ranks; the job's key in hexadecimal digits.
    guard, inbox, file_limit
        What the child has to announce itself to, and to restore.
    places : list of frozenset of int, or None
        The processors that each rank is bound to; None: they are bound to none.
    """

    command: list[str]
    environment: Mapping[str, str]
    size: int
    key: str
    guard: Guard
    inbox: SignalInbox
    file_limit: tuple[int, int]
    places: Places | None


class Rank:
    """One rank of a running job.

    Attributes
    ----------
    index, pid
        Number in the job; process id, which is the number of its process group too.
    channel : Channel
        Its boot socket.
    stdin, stdout, stderr : int
        The launcher's ends of its pipes; `stdin` is -1 for all ranks but the first.
    status : int or None
        None while it runs, then its exit code, or minus the signal that killed it.
    hangup : int
        Place in the order in which boot sockets were seen closed.
    """

    def __init__(
        self, index: int, pid: int, channel: Channel, stdin: int, stdout: int, stderr: int
    ) -> None:
        self.index = index
        self.pid = pid
        self.channel = channel
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.status: int | None = None
        self.hangup = sys.maxsize

    def poll(self) -> bool:
        """Note the status if the process has ended, but leave it a zombie; tell whether it has."""
        if self.status is None:
            result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if result is not None:
                exited = result.si_code == os.CLD_EXITED
                self.status = result.si_status if exited else -result.si_status
        return self.status is not None

    def reap(self) -> None:
        """Take the zombie away; its group must have been forgotten before."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def start_rank(index: int, birth: Birth) -> Rank:
    """Start one rank.

    Raises
    ------
    OSError
        No process, pipe or socket to be had.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        near, far = socket.socketpair()
        ours.callback(near.close)
        theirs.callback(far.close)

        def pipe(rank_reads: bool) -> tuple[int, int]:
            reader, writer = os.pipe()
            inner, outer = (reader, writer) if rank_reads else (writer, reader)
            ours.callback(os.close, outer)
            theirs.callback(os.close, inner)
            return outer, inner

        if index == 0:
            stdin, rank_stdin = pipe(True)
        else:
            stdin, rank_stdin = -1, os.open(os.devnull, os.O_RDONLY)
            theirs.callback(os.close, rank_stdin)
        stdout, rank_stdout = pipe(False)
        stderr, rank_stderr = pipe(False)
        pid = _fork(index, birth, far.fileno(), (rank_stdin, rank_stdout, rank_stderr))
        ours.pop_all()
    return Rank(index, pid, Channel(near), stdin, stdout, stderr)


def _fork(index: int, birth: Birth, boot_fd: int, standard_fds: tuple[int, int, int]) -> int:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become_rank(index, birth, boot_fd, standard_fds)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # The child does the same; whoever comes first. It fails if the child has executed already.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _become_rank(
    index: int, birth: Birth, boot_fd: int, standard_fds: tuple[int, int, int]
) -> NoReturn:
    """Turn the forked child into the rank; does not return."""
    try:
        os.setpgid(0, 0)
        birth.guard.announce(os.getpid())
        for number, fd in enumerate(standard_fds):
            os.dup2(fd, number)
        if birth.places is not None:
            os.sched_setaffinity(0, birth.places[index])
        os.set_inheritable(boot_fd, True)
        value = boot_value(boot_fd, index, birth.size, birth.key)
        environment = {**birth.environment, BOOT_VARIABLE: value}
        restore_limit(birth.file_limit)
        birth.inbox.restore_in_child()
        os.execve(birth.command[0], birth.command, environment)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"pygas: cannot start {birth.command[0]}: {error}\n".encode())
    finally:
        os._exit(_CANNOT_EXECUTE)
