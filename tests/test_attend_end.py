"""Requests and what ends things: exits, interrupts, signals, dumps, the end of a rank."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import HERE, run_ranks

import pygas
from pygas import _core


class State:
    """What an owner shares to be told what to do."""

    def __init__(self) -> None:
        self.turning = False
        self.over = False
        self.calls = 0

    def touch(self) -> None:
        self.calls += 1

    def finish(self) -> None:
        self.over = True


def turn(state: State) -> None:
    """Compute until told otherwise."""
    while not state.over:
        state.turning = True


def nap(state: State) -> None:
    while not state.over:
        state.turning = True
        time.sleep(0.01)


def wait(state: State) -> None:
    state.turning = True
    while not state.over:
        pygas.progress()


def await_turning(proxy: Any) -> None:
    while not proxy.turning:
        time.sleep(0.001)


OCCUPATIONS: tuple[Callable[[State], None], ...] = (turn, nap, wait)


@pytest.mark.ranks(2)
def test_system_exit_is_the_callers() -> None:
    state = State()
    proxy: Any = pygas.share(state)
    for occupation in OCCUPATIONS:
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            occupation(state)
            state.over = False
        else:
            await_turning(proxy)
            with pytest.raises(SystemExit) as caught:
                pygas.at(0).call(sys.exit, 3)
            assert caught.value.code == 3
            future = pygas.at(0).submit(sys.exit, "so long")
            with pytest.raises(SystemExit, match="so long"):
                future.result()
            proxy.finish()
        pygas.barrier()


def exit_there() -> None:
    if pygas.MYTHREAD == 1:
        pygas.at(0).call(sys.exit, 3)


def test_an_exit_that_the_caller_does_not_catch() -> None:
    result = run_ranks(2, HERE / "rankmain.py", __file__, "exit_there")
    assert result.returncode == 3, result.stderr


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.ranks(2)
def test_an_interrupt_ends_the_request_and_the_program() -> None:
    state = State()
    proxy: Any = pygas.share(state)
    for occupation in OCCUPATIONS:
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            with pytest.raises(KeyboardInterrupt):
                occupation(state)
            state.turning = False
        else:
            await_turning(proxy)
            with pytest.raises(KeyboardInterrupt):
                pygas.at(0).call(interrupt)
        pygas.barrier()


def child(own: list[int]) -> None:
    """Compute, use what the parent shares, end as programs do."""
    for number in range(20_000):
        own.append(number)
    with pytest.raises(RuntimeError, match="is not part of the job"):
        pygas.at(0).call(len, [])
    sys.exit(7)


@pytest.mark.ranks(2)
def test_children_forked_under_a_flood() -> None:
    """They run none of the requests, and their parent loses none."""
    state = State()
    proxy: Any = pygas.share(state)
    count = 3000
    if pygas.MYTHREAD == 0:
        forks = 0
        while not state.over or forks < 3:
            pid = os.fork()
            if pid == 0:
                child([])
            end = time.monotonic() + 20
            ended, status = 0, 0
            while ended == 0:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(status) == 7
            forks += 1
        assert state.calls == count
    else:
        for _ in range(count // 100):
            futures = [pygas.async_(proxy).touch() for _ in range(100)]
            for future in futures:
                future.result()
        proxy.finish()
    pygas.barrier()


handled_in: list[threading.Thread] = []


def note_thread(*_: object) -> None:
    handled_in.append(threading.current_thread())


@pytest.mark.ranks(4)
def test_signal_handlers_run_under_a_flood() -> None:
    """On the main thread, in time, while it computes, naps or waits."""
    state = State()
    proxy: Any = pygas.share(state)
    bound: Any = pygas.share(state, thread=True)
    for occupation in OCCUPATIONS:
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            handled_in.clear()
            signal.signal(signal.SIGALRM, note_thread)
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            occupation(state)
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(f"{len(handled_in)} signals in a second")
            assert len(handled_in) >= 10
            assert set(handled_in) == {threading.main_thread()}
            state.over = state.turning = False
        else:
            await_turning(proxy)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                futures = [pygas.async_(p).touch() for p in (proxy, bound) for _ in range(20)]
                for future in futures:
                    future.result()
            if pygas.MYTHREAD == 1:
                proxy.finish()
        pygas.barrier()


def dump_from_here(path: str) -> str:
    with open(path, "w") as file:
        faulthandler.dump_traceback(file, all_threads=True)
    return pathlib.Path(path).read_text()


@pytest.mark.ranks(2)
def test_faulthandler_dumps_while_requests_run() -> None:
    """From the request; from a signal handler, while the program does all sorts.

    Both have the interpreter lock. Without it (`dump_traceback_later`; a signal that meets a thread
    while it waits) faulthandler reads the frames of threads that run, and crashes CPython 3.11 when
    one of them returns.
    """
    state = State()
    proxy: Any = pygas.share(state)
    bound: Any = pygas.share(state, thread=True)
    for occupation in OCCUPATIONS:
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            with tempfile.TemporaryFile("w+") as file:
                faulthandler.register(signal.SIGUSR1, file, all_threads=True)
                ticker = threading.Thread(target=raise_signals, args=(state,))
                ticker.start()
                occupation(state)
                ticker.join()
                faulthandler.unregister(signal.SIGUSR1)
                file.seek(0)
                text = file.read()
            assert text.count(f"in {occupation.__name__}") >= 5
            state.over = state.turning = False
        else:
            await_turning(proxy)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                proxy.touch()
                bound.touch()
            with tempfile.TemporaryDirectory() as folder:
                text = pygas.at(0).call(dump_from_here, str(pathlib.Path(folder, "dump")))
            assert "dump_from_here" in text
            assert any(f"in {one.__name__}" in text for one in OCCUPATIONS)
            proxy.finish()
        pygas.barrier()


def fault() -> None:
    ctypes.string_at(0)


def fault_in_a_request() -> None:
    faulthandler.enable()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        time.sleep(20)
    pygas.at(0).submit(fault)
    pygas.barrier()


def test_a_fault_in_a_request_is_reported() -> None:
    """It runs on a thread of ours, which must not keep the signal from faulthandler."""
    result = run_ranks(2, HERE / "rankmain.py", __file__, "fault_in_a_request", timeout=15)
    assert result.returncode == 128 + signal.SIGSEGV, result.stderr
    assert "Segmentation fault" in result.stderr
    assert "in fault" in result.stderr


def raise_signals(state: State) -> None:
    """Raise signals with the interpreter lock, which signal.raise_signal() lets go."""
    while not state.over:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        time.sleep(0.01)


def end_with_requests_queued() -> None:
    """End rank 0 while requests to it wait; they are refused. Both ranks end by hand."""
    state = State()
    proxy: Any = pygas.share(state)
    bound: Any = pygas.share(state, thread=True)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        with pygas.no_requests():
            time.sleep(0.5)
            _core.finish(True)
    else:
        time.sleep(0.1)
        futures = [pygas.async_(p).touch() for p in (proxy, bound) for _ in range(10)]
        for future in futures:
            error = future.exception(timeout=10)
            assert isinstance(error, RuntimeError), error
            assert "rank 0 has ended its part of the job" in str(error)
        print("refused")
        _core.finish(True)


def test_what_is_queued_when_a_rank_ends_is_refused() -> None:
    result = run_ranks(2, HERE / "rankmain.py", __file__, "end_with_requests_queued", timeout=20)
    assert result.returncode == 0, result.stderr
    assert "refused" in result.stdout


def fail_under_traffic() -> None:
    state = State()
    proxy: Any = pygas.share(state)
    bound: Any = pygas.share(state, thread=True)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        time.sleep(0.3)
        raise LookupError("of rank 0")
    while True:
        futures = [pygas.async_(p).touch() for p in (proxy, bound) for _ in range(50)]
        for future in futures:
            future.result()


def test_a_rank_that_fails_under_traffic() -> None:
    for _ in range(5):
        result = run_ranks(4, HERE / "rankmain.py", __file__, "fail_under_traffic", timeout=20)
        assert result.returncode == 1, result.stderr
        assert "LookupError: of rank 0" in result.stderr
        assert "Fatal Python error" not in result.stderr
