"""The folder in which the ranks' transport makes its shared memory.

UCX makes each piece as a named file, fills it, and only then removes the name; a rank that is
killed in between would leave the file. So all of a job's files are made in a folder of its own,
which the guard removes when the job is over, whichever way that came about.
"""

from __future__ import annotations

import contextlib
import os
import time

#: The environment variable by which UCX is told.
VARIABLE = "UCX_POSIX_DIR"

_PARENT = "/dev/shm"
_PATIENCE = 2.0


def choose_folder() -> str:
    """Return a path that nobody else uses; makes nothing yet."""
    return f"{_PARENT}/pygas-{os.getpid()}-{os.urandom(4).hex()}"


def make_folder(path: str) -> bool:
    """Make the folder; false where that cannot be done, and the ranks' own error will say why."""
    try:
        os.mkdir(path, 0o700)
    except OSError:
        return False
    return True


def remove_folder(path: str) -> None:
    """Remove the folder and its files; waits a little for ranks that are just being killed."""
    end = time.monotonic() + _PATIENCE
    while os.path.isdir(path):
        with contextlib.suppress(OSError):
            for name in os.listdir(path):
                os.unlink(os.path.join(path, name))
            os.rmdir(path)
            return
        if time.monotonic() > end:
            return
        time.sleep(0.01)
