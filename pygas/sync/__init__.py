"""Objects to wait on, for threads and coroutines of any rank.

They are used like those of `threading` and `queue`, with the same names, arguments and exceptions.
Share one like any object: ``lock = pygas.share(pygas.Lock())``. While somebody waits for a remote
``threading.Lock`` or ``queue.Queue``, its owner is blocked, and with it all requests to that rank.
These never block it: who waits is written down, and gets its reply when its turn comes
(`pygas.deferred`).

Timeouts are measured where the object lives, which decides alone who gets something; so nothing is
lost between a timeout and what comes at that moment.
"""

from __future__ import annotations

from pygas.sync._condition import Condition
from pygas.sync._event import Barrier, Event
from pygas.sync._lock import BoundedSemaphore, Lock, RLock, Semaphore
from pygas.sync._queue import LifoQueue, PriorityQueue, Queue

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
]
