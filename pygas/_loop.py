"""The request loop: an asyncio event loop whose callbacks run among the requests of this rank.

An ``async def`` method runs like any request: one at a time with the others, on the thread that
runs those, and lets others run where it awaits. So it needs no locks against the plain methods of
its object, and what those do to an `asyncio.Event` or a queue of asyncio reaches it. No thread of
the program has to run a loop, and none that runs one of its own is in the way.

What an event loop does is split: callbacks that are ready are pushed into the queue of work, and
are run from there by whoever drains it; for coroutines of an object that belongs to a thread
(``thread=True``) there is a loop of its own, whose callbacks that thread runs. A service thread,
started with the loop, sleeps until a timer is due or a file is ready, and pushes what that makes
ready. While those callbacks have not run it does not look again, for a file stays ready until then.

The queue may be drained inside a callback that waits for another rank. Then the callbacks of other
tasks run within the step of a task, which asyncio has to be told (`_entered`).
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import heapq
import inspect
import itertools
import threading
import types
import weakref
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable
from typing import Any, NoReturn

from pygas import _core

__all__ = ["RequestLoop", "forget", "get"]

# Cancelled timers are dropped when they are due; earlier if they become many.
_CANCELLED_MAX = 100

# How often to look whether the thread that is to call us back has ended.
_LOOK_S = 1.0


class RequestLoop(asyncio.SelectorEventLoop):
    """The event loop of the ``async def`` methods of this rank. See the module.

    `home` says on which thread; None: on any that runs requests.
    """

    def __init__(self, home: object = None) -> None:
        self._home = home
        self._forsaken = False
        # Before the rest, which registers a reader.
        self._timer_lock = threading.Lock()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = itertools.count()
        self._cancelled_timers = 0
        super().__init__()
        self._service = threading.Thread(target=self._serve, name="pygas-loop", daemon=True)
        self._service.start()

    # ---- what is ready ----

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._add_callback(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def _add_callback(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            _core.push(functools.partial(self._run_handle, handle), self._home)

    def _run_handle(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        outer = asyncio._get_running_loop()
        task = asyncio.current_task(outer) if outer is not None else None
        if task is not None and outer is not None:
            _leave_task(outer, task)
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(outer)
            if task is not None and outer is not None:
                _enter_task(outer, task)

    # ---- timers and files ----

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        with self._timer_lock:
            heapq.heappush(self._timers, (when, next(self._timer_numbers), timer))
            timer._scheduled = True  # type: ignore[attr-defined]
            first = self._timers[0][2] is timer
        if first:
            self._write_to_self()  # type: ignore[attr-defined]
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        with self._timer_lock:
            self._cancelled_timers += 1
            if self._cancelled_timers > max(_CANCELLED_MAX, len(self._timers) // 2):
                self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
                heapq.heapify(self._timers)
                self._cancelled_timers = 0

    def _take_due(self) -> list[asyncio.TimerHandle]:
        due = []
        now = self.time()
        with self._timer_lock:
            while self._timers and self._timers[0][0] <= now:
                timer = heapq.heappop(self._timers)[2]
                timer._scheduled = False  # type: ignore[attr-defined]
                due.append(timer)
        return due

    def _left(self) -> float | None:
        with self._timer_lock:
            return max(0.0, self._timers[0][0] - self.time()) if self._timers else None

    def _serve(self) -> None:
        """Be the service thread."""
        selector, own = self._selector, self._ssock  # type: ignore[attr-defined]
        while True:
            events = selector.select(self._left())
            if self._forsaken:
                return
            if any(key.fileobj == own.fileno() for key, _ in events):
                self._read_from_self()  # type: ignore[attr-defined]
                events = [event for event in events if event[0].fileobj != own.fileno()]
            due = self._take_due()
            if not events and not due:
                continue
            done = threading.Event()
            try:
                _core.push(functools.partial(self._make_ready, events, due, done), self._home)
            except RuntimeError:
                return  # the job is over, or its thread
            while not done.wait(_LOOK_S) and not self._forsaken:
                pass

    def _make_ready(
        self, events: list[Any], due: list[asyncio.TimerHandle], done: threading.Event
    ) -> None:
        try:
            self._process_events(events)  # type: ignore[attr-defined]
            for timer in due:
                self._add_callback(timer)
        finally:
            _core.push(done.set, self._home)

    def forsake(self) -> None:
        """End the service thread: the loop's own thread has ended, and nothing goes on."""
        self._forsaken = True
        self._write_to_self()  # type: ignore[attr-defined]

    # ---- what a loop that is not run by anybody does not do ----

    def is_running(self) -> bool:
        return True

    def _refuse(self, *args: object) -> NoReturn:
        raise RuntimeError("the request loop of a rank runs by itself, until the job ends")

    run_forever = run_until_complete = stop = close = _refuse  # type: ignore[assignment]

    def __del__(self) -> None:
        pass


class _Anchor:
    """What a thread that objects belong to has of its loop; goes with it."""

    def __init__(self, loop: RequestLoop) -> None:
        self.loop = loop

    def __del__(self) -> None:
        self.loop.forsake()


class _Own(threading.local):
    anchor: _Anchor | None = None


_lock = threading.Lock()
_loop: RequestLoop | None = None
_own = _Own()
_owned: weakref.WeakSet[RequestLoop] = weakref.WeakSet()


def get() -> RequestLoop:
    """Return the loop for a coroutine that a request has started; the first call makes it.

    It is that of the rank, or that of the calling thread if the request is on an object that
    belongs to it.
    """
    global _loop
    home = _core.home_of_request()
    if home is not None:
        if _own.anchor is None:
            _own.anchor = _Anchor(RequestLoop(home))
            _owned.add(_own.anchor.loop)
        return _own.anchor.loop
    if _loop is None:
        with _lock:
            if _loop is None:
                _loop = RequestLoop()
    return _loop


def forget() -> None:
    """At the end of the job: no task goes on, and nobody is to complain of it."""
    loops = [*_owned, *([_loop] if _loop is not None else [])]
    for loop in loops:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if inspect.iscoroutine(coroutine):
                _close_unstarted(coroutine)


def _close_unstarted(coroutine: types.CoroutineType[Any, Any, Any]) -> None:
    """Keep Python from complaining of a coroutine that has not come to run, and of those in it."""
    frame = coroutine.cr_frame
    if frame is None or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return
    for value in frame.f_locals.values():
        if inspect.iscoroutine(value):
            _close_unstarted(value)
    coroutine.close()
