"""What a request has returned and is to be waited for, as a Future; the extension asks."""

from __future__ import annotations

import concurrent.futures
import functools
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any

from pygas._core import Future
from pygas.futures import _copy, _settle

__all__ = ["adopt", "forget"]


def adopt(awaited: object) -> Future[Any]:
    """Return a Future that has the outcome of `awaited`, a coroutine, an awaitable or a future.

    Cancelling it asks `awaited` to be cancelled. A coroutine starts to run, on the request loop.
    """
    try:
        return _adopt(awaited)
    except BaseException:
        if isinstance(awaited, Coroutine):
            awaited.close()  # the job may have ended by now: Python is not to complain of it
        raise


def _adopt(awaited: object) -> Future[Any]:
    target: Future[Any] = Future()
    if isinstance(awaited, concurrent.futures.Future):
        awaited.add_done_callback(functools.partial(_copy, target))
        target.add_done_callback(functools.partial(_pass_on_cancel, awaited))
        return target
    import asyncio

    from pygas import _loop

    if isinstance(awaited, asyncio.Future):
        loop = awaited.get_loop()
        loop.call_soon_threadsafe(awaited.add_done_callback, functools.partial(_finish, target))
        target.add_done_callback(
            lambda done: (
                loop.call_soon_threadsafe(_pass_on_cancel, awaited, done)
                if done.cancelled() and not loop.is_closed()
                else None
            )
        )
        return target
    loop = _loop.get()
    coroutine = awaited if isinstance(awaited, Coroutine) else _coroutine(awaited)
    steps = _run(coroutine, target)
    try:
        task = loop.create_task(steps)
    except BaseException:
        steps.close()
        coroutine.close()
        raise
    target.add_done_callback(functools.partial(_cancel_task, task))
    return target


async def _coroutine(awaited: Any) -> Any:
    return await awaited


async def _run(coroutine: Awaitable[Any], target: Future[Any]) -> None:
    """Settle `target` with the outcome of a coroutine, in its last step."""
    import asyncio

    try:
        result = await coroutine
    except asyncio.CancelledError:
        target.cancel()
    except GeneratorExit:  # nobody can wake it up any more: who drops `target` says so
        raise
    except BaseException as error:
        _settle(target.set_exception, error)
    else:
        _settle(target.set_result, result)
    finally:
        # As in futures._then(): an exception holds this frame.
        del target, coroutine


def _cancel_task(task: Any, target: Future[Any]) -> None:
    if target.cancelled() and not task.done():
        task.get_loop().call_soon_threadsafe(task.cancel)


def _pass_on_cancel(source: Any, target: Future[Any]) -> None:
    if target.cancelled():
        source.cancel()


def _finish(target: Future[Any], source: Any) -> None:
    """Settle `target` as the asyncio future `source` is settled, in its loop."""
    if source.cancelled():
        target.cancel()
    elif source.exception() is not None:
        _settle(target.set_exception, source.exception())
    else:
        _settle(target.set_result, source.result())


def forget() -> None:
    """At the end of the job: do not complain of coroutines that will never go on."""
    loop_module: Any = sys.modules.get("pygas._loop")
    if loop_module is not None:
        loop_module.forget()
