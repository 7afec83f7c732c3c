"""Ranks in network namespaces: TCP between them as if they ran on two hosts.

To make two, as root::

    ip netns add A && ip netns add B
    ip link add va type veth peer name vb
    ip link set va netns A && ip link set vb netns B
    ip -n A addr add 10.0.0.1/24 dev va && ip -n A link set va up && ip -n A link set lo up
    ip -n B addr add 10.0.0.2/24 dev vb && ip -n B link set vb up && ip -n B link set lo up

Run as a program by MPICH's launcher (``python -m pygas.bench.namespace MODULE``) it enters the
namespace of its rank and runs the module there.
"""

from __future__ import annotations

import ctypes
import os
import re
import runpy
import sys

from pygas import _job

#: The variable in the environment that names them: ``A,B``, for even and odd ranks.
VARIABLE = "PYGAS_BENCH_NETNS"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000


def _check(outcome: int, what: str) -> None:
    if outcome != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot {what}: {os.strerror(error)}")


def rank() -> int:
    """Of this process in a job of PyGAS's, or, before MPI starts, of MPICH's."""
    found = re.search(r"rank:(\d+)", _job._spec or "")
    return int(found[1] if found else os.environ.get("PMI_RANK", "0"))


def enter() -> None:
    """Move this process to the namespace of its rank, before the job starts; none named: stay.

    Raises
    ------
    OSError
        If there is no such namespace, or it may not be entered.
    """
    names = os.environ.get(VARIABLE)
    if not names:
        return
    path = f"/var/run/netns/{names.split(',')[rank() % 2]}"
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as handle:
        _check(libc.setns(handle.fileno(), _CLONE_NEWNET), f"enter {path}")
    # /sys shows the network devices of the namespace in which it was mounted: mount it again.
    _check(libc.unshare(_CLONE_NEWNS), "leave the mount namespace")
    _check(libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None), "keep mounts apart")
    _check(libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount /sys")


if __name__ == "__main__":
    enter()
    runpy.run_module(sys.argv[1], run_name="__main__")
