"""The job's life in this process: when it starts, how it ends.

Starting is collective and happens once, at the first use of the job. Ending happens at exit: every
rank that comes to the end of its program goes on serving requests until all have (`_meet`), so that
a Proxy works until its last user is done. A rank that ends with an uncaught exception does not
wait: it leaves, and the launcher ends the job.

Nobody waits for ever for a rank that has finished: a rank that waits in a collective operation asks
the one it waits for, and a finished rank that is waited for leaves at once with a message.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import threading
from typing import Any, Literal

# What the launcher left for this process. Taken out of the environment at once, so that programs
# which this rank starts do not take themselves for ranks.
_spec = os.environ.pop("PYGAS_BOOT", None)
_start_lock = threading.RLock()
_started = False  # tried
_running = False  # with success; stays true when the job has ended

#: Tags of messages between mailboxes are (kind << 56) + number.
TAG_COLLECT = 0x60 << 56  # and 0x61 in the extension, for votes


def _keep_socket_private() -> None:
    """Do not let children inherit the launcher's socket."""
    fd = (_spec or "").partition(",")[0].removeprefix("fd:")
    if fd.isdigit():
        with contextlib.suppress(OSError):  # not ours: starting the job says so
            os.set_inheritable(int(fd), False)


_keep_socket_private()


class _BeforeCore:
    """A finder that finds nothing, but sees the extension being imported.

    Whoever does it, an unpickled Proxy for one, gets it on top of the right UCX.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pygas._core":
            from pygas._ucx import prepare

            prepare()


sys.meta_path.insert(0, _BeforeCore())


def core() -> Any:
    """Return the extension module, loading it if need be. Starts nothing."""
    module = sys.modules.get("pygas._core")
    if module is None:
        from pygas._ucx import load_core

        module = load_core()
    return module


def _looks_after(word: str) -> bool:
    """Tell whether a word is in PYGAS_DEBUG."""
    return word in os.environ.get("PYGAS_DEBUG", "").replace(" ", "").split(",")


def start() -> None:
    """Start the job unless it has been started. Collective; see `init`."""
    global _started, _running
    with _start_lock:
        if _running:
            return
        if _started:
            raise RuntimeError("the job could not be started; see the error before this one")
        module = core()
        for name in ("errors", "memory", "proxies", "ranks", "team"):
            # Not later: a request that runs in the middle of the import might need it.
            importlib.import_module(f"pygas.{name}")
        _started = True
        if _looks_after("leaks"):  # before requests of others can run
            module.trace_exports(importlib.import_module("pygas.memory").place)
        module.start(_spec)
        _running = True


def init() -> None:
    """Start the job now, rather than at the first use of it.

    Collective: blocks until every rank of the job has called it or used the job in another way. A
    second call does nothing.

    Raises
    ------
    RuntimeError, ConnectionError, MemoryError
        If the transport cannot be opened (a full ``/dev/shm``, for one) or the launcher is gone.
    """
    # Another thread may be starting it; one that has ended or was inherited needs no start.
    if not _running:
        start()


def on_failure(policy: Literal["raise", "end"]) -> None:
    """Say what becomes of the job when a rank fails: ends without having finished its part of it.

    It holds for the whole job from the moment this returns, and comes before what ``pygas run
    --on-failure`` said. Local: one rank that calls it is enough; of several the last one counts.
    Starts the job.

    Parameters
    ----------
    policy : {"raise", "end"}
        ``"end"``: the job ends with the failing rank's message and exit code (the default).
        ``"raise"``: the others go on. What needs the rank that failed raises `RankFailedError`:
        calls to it and Futures of them, those that are open too, and collective operations of
        teams that it belongs to.

    Raises
    ------
    ValueError
        If `policy` is something else.
    """
    if policy not in ("raise", "end"):
        raise ValueError(f"there is no policy {policy!r}: say 'raise' or 'end'")
    init()
    core().set_policy(policy == "raise")


def failed_ranks() -> dict[int, str]:
    """Return the ranks that are known to have failed, and what became of each.

    Ranks get to know of a failure one by one, within a second. Local. Starts the job.

    Returns
    -------
    dict of int to str
        By rank, oldest failure first: ``{2: "was killed by SIGKILL"}``. A new dict.
    """
    init()
    return {number: reason for number, _status, reason in core().failed_ranks()}


def rank() -> int:
    """Return this rank; starts the job."""
    init()
    number: int = core().rank()
    return number


def size() -> int:
    """Return the number of ranks; starts the job."""
    init()
    number: int = core().size()
    return number


def _meet(module: Any) -> bool:
    """Serve requests until every rank has finished its program; false if that can never be.

    The launcher counts those that have, and those that have failed. A rank in here is not in any
    collective operation of the program, which is how a forgotten barrier is noticed.
    """
    if module.meet():
        return True
    print(
        f"pygas: rank {module.rank()} has finished its program, but another rank waits for it in a "
        "collective operation (barrier, broadcast, share)",
        file=sys.stderr,
    )
    return False


def _end() -> None:
    """Close this rank's part of the job, at exit."""
    module = sys.modules.get("pygas._core")
    if module is None or module.phase() != "running":
        return
    proper = False
    try:
        # Python leaves an uncaught exception here before it exits.
        if getattr(sys, "last_value", None) is None:
            module.release()
            proper = _meet(module)
            if proper and _looks_after("leaks"):
                importlib.import_module("pygas.memory").report()
    finally:
        module.finish(proper)
        helper = sys.modules.get("pygas._deferred")
        if helper is not None:
            helper.forget()


# As early as possible, since handlers run in the reverse order: those that the program registers
# from now on run before, while the job is still up.
atexit.register(_end)
