"""PyGAS: a partitioned global address space for Python.

Run a program on several ranks with ``pygas run -n 4 prog.py``; a plain ``python prog.py`` is a job
of one rank. Inside the program::

    import pygas
    from collections import Counter

    counts = pygas.share(Counter() if pygas.MYTHREAD == 0 else None)  # a Proxy on every rank
    counts.update(["spam", "eggs"])                                   # runs on rank 0
    pygas.barrier()

Names
-----
MYTHREAD, THREADS
    This rank and the number of ranks (the names of UPC).
world
    The `Team` of all ranks.
Proxy, share, owner, is_local, local, resolve, by_ref, async_
    Shared objects.
at
    A rank to run something on: ``at(r).call(f, x)``, ``.submit(f, x)``, ``.new(cls, x)``.
Future, wait, as_completed, gather
    Results that are not there yet; the functions (and FIRST_COMPLETED, FIRST_EXCEPTION,
    ALL_COMPLETED) are named like those of `concurrent.futures` and `asyncio`.
deferred
    Decorator of functions and methods that return Futures or are coroutines.
Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition, Barrier, Queue, LifoQueue, PriorityQueue
    To be shared and waited for by threads and coroutines of any rank, like those of `threading` and
    `queue`.
barrier, broadcast, scatter, allgather, alltoall, reduce, allreduce, reduce_scatter, scan, exscan
    Collective operations of the whole job: the methods of `world` of the same names. (`gather` is
    for futures: the collective one is ``world.gather``.)
SUM, PROD, MIN, MAX, AND, OR, XOR, MINLOC, MAXLOC, Operator
    What reductions reduce with.
progress, no_requests
    Run the requests that have arrived; hold them off for a while.
collect
    Free cycles of garbage that span ranks. (Anything else goes by itself.)
objects, stats
    What is shared; what has been sent.
on_failure, failed_ranks, RankFailedError
    What happens when a rank fails.
init
    Start the job now.

When the job starts
-------------------
Importing PyGAS starts nothing: no thread, no communication, and a process that only imports it can
fork. The job starts at the first use of any of the names above except `Team` and the exception
types, or with `init`. That is collective: it blocks until every rank of the job has come that far.
From then on a forked child cannot use PyGAS (it gets a clear error); the rank itself can go on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pygas import _job
from pygas._version import __version__

if TYPE_CHECKING:
    from pygas._core import Future, Proxy, deferred
    from pygas.collectives.operators import (
        AND,
        MAX,
        MAXLOC,
        MIN,
        MINLOC,
        OR,
        PROD,
        SUM,
        XOR,
        Operator,
    )
    from pygas.cycles import collect
    from pygas.errors import CollectiveError, ProtocolError, RankFailedError, RemoteError
    from pygas.futures import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        as_completed,
        gather,
        wait,
    )
    from pygas.memory import SharedObject, Stats, Traffic, objects, stats
    from pygas.proxies import (
        async_,
        by_ref,
        is_local,
        local,
        no_requests,
        owner,
        progress,
        resolve,
    )
    from pygas.ranks import Rank, at
    from pygas.sync import (
        Barrier,
        BoundedSemaphore,
        Condition,
        Event,
        LifoQueue,
        Lock,
        PriorityQueue,
        Queue,
        RLock,
        Semaphore,
    )
    from pygas.team import (
        Team,
        allgather,
        allreduce,
        alltoall,
        barrier,
        broadcast,
        exscan,
        reduce,
        reduce_scatter,
        scan,
        scatter,
        share,
        world,
    )

    MYTHREAD: int
    THREADS: int

init = _job.init
on_failure = _job.on_failure
failed_ranks = _job.failed_ranks

__all__ = [
    "ALL_COMPLETED",
    "AND",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "MAX",
    "MAXLOC",
    "MIN",
    "MINLOC",
    "OR",
    "PROD",
    "SUM",
    "XOR",
    "Barrier",
    "BoundedSemaphore",
    "CollectiveError",
    "Condition",
    "Event",
    "Future",
    "LifoQueue",
    "Lock",
    "Operator",
    "PriorityQueue",
    "ProtocolError",
    "Proxy",
    "Queue",
    "RLock",
    "Rank",
    "RankFailedError",
    "RemoteError",
    "Semaphore",
    "SharedObject",
    "Stats",
    "Team",
    "Traffic",
    "__version__",
    "allgather",
    "allreduce",
    "alltoall",
    "as_completed",
    "async_",
    "at",
    "barrier",
    "broadcast",
    "by_ref",
    "collect",
    "deferred",
    "exscan",
    "failed_ranks",
    "gather",
    "init",
    "is_local",
    "local",
    "no_requests",
    "objects",
    "on_failure",
    "owner",
    "progress",
    "reduce",
    "reduce_scatter",
    "resolve",
    "scan",
    "scatter",
    "share",
    "stats",
    "wait",
    "world",
]

# Where each name comes from. Loading them on first use keeps `import pygas` free of the extension,
# so that the launcher starts fast and a documentation build needs no transport library.
_HOMES = {
    "ALL_COMPLETED": "pygas.futures",
    "AND": "pygas.collectives.operators",
    "FIRST_COMPLETED": "pygas.futures",
    "FIRST_EXCEPTION": "pygas.futures",
    "MAX": "pygas.collectives.operators",
    "MAXLOC": "pygas.collectives.operators",
    "MIN": "pygas.collectives.operators",
    "MINLOC": "pygas.collectives.operators",
    "OR": "pygas.collectives.operators",
    "PROD": "pygas.collectives.operators",
    "SUM": "pygas.collectives.operators",
    "XOR": "pygas.collectives.operators",
    "Barrier": "pygas.sync",
    "BoundedSemaphore": "pygas.sync",
    "CollectiveError": "pygas.errors",
    "Condition": "pygas.sync",
    "Event": "pygas.sync",
    "Future": "pygas._core",
    "LifoQueue": "pygas.sync",
    "Lock": "pygas.sync",
    "Operator": "pygas.collectives.operators",
    "PriorityQueue": "pygas.sync",
    "Proxy": "pygas._core",
    "Queue": "pygas.sync",
    "RLock": "pygas.sync",
    "Rank": "pygas.ranks",
    "ProtocolError": "pygas.errors",
    "RankFailedError": "pygas.errors",
    "RemoteError": "pygas.errors",
    "Semaphore": "pygas.sync",
    "SharedObject": "pygas.memory",
    "Stats": "pygas.memory",
    "Team": "pygas.team",
    "Traffic": "pygas.memory",
    "allgather": "pygas.team",
    "allreduce": "pygas.team",
    "alltoall": "pygas.team",
    "as_completed": "pygas.futures",
    "async_": "pygas.proxies",
    "at": "pygas.ranks",
    "barrier": "pygas.team",
    "broadcast": "pygas.team",
    "by_ref": "pygas.proxies",
    "collect": "pygas.cycles",
    "deferred": "pygas._core",
    "exscan": "pygas.team",
    "gather": "pygas.futures",
    "is_local": "pygas.proxies",
    "local": "pygas.proxies",
    "no_requests": "pygas.proxies",
    "objects": "pygas.memory",
    "owner": "pygas.proxies",
    "progress": "pygas.proxies",
    "reduce": "pygas.team",
    "reduce_scatter": "pygas.team",
    "resolve": "pygas.proxies",
    "scan": "pygas.team",
    "scatter": "pygas.team",
    "share": "pygas.team",
    "stats": "pygas.memory",
    "wait": "pygas.futures",
    "world": "pygas.team",
}


def __getattr__(name: str) -> object:
    value: object
    if name == "MYTHREAD":
        value = _job.rank()
    elif name == "THREADS":
        value = _job.size()
    elif name in _HOMES:
        _job.core()
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'pygas' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # Without MYTHREAD and THREADS: whoever lists the names (help(), a documentation build) also
    # reads them, and reading those two starts the job.
    return sorted({*globals(), *_HOMES})
