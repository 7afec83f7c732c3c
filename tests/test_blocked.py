"""Requests that block their rank are reported, with what they are and where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import run_ranks

PROGRAM = """
import queue, sys, threading, time
import pygas

lock, tasks = pygas.share(threading.Lock()), pygas.share(queue.Queue())
mine = pygas.share(pygas.Lock())

def lock_twice():
    lock.acquire()
    if pygas.MYTHREAD == 1:
        lock.acquire()                 # blocks rank 0
        lock.release()

def get():
    if pygas.MYTHREAD == 1:
        tasks.get()

def compute_long():
    if pygas.MYTHREAD == 1:
        pygas.at(0).call(turn, 4)

def turn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

def wait_in_pygas():
    if pygas.MYTHREAD == 1:
        mine.acquire()
        mine.acquire(timeout=4)

def wait_in_a_request():
    if pygas.MYTHREAD == 1:
        pygas.at(0).call(lambda lock: lock.acquire() and lock.acquire(timeout=4), mine)

def step_aside():
    async def sleep():
        time.sleep(4)
    if pygas.MYTHREAD == 1:
        pygas.at(0).call(sleep)

what = sys.argv[1]
if pygas.MYTHREAD > 0:
    if pygas.MYTHREAD == 2:
        time.sleep(0.5)
    if what == "lock_twice" and pygas.MYTHREAD == 2:
        lock.release()                 # comes too late
    elif pygas.MYTHREAD == 1:
        globals()[what]()
    else:
        tasks.qsize()
pygas.barrier()
"""


def run(tmp_path: Path, what: str, ranks: int, **settings: str) -> tuple[int, str]:
    program = tmp_path / "blocks.py"
    program.write_text(PROGRAM)
    result = run_ranks(
        ranks,
        "--timeout",
        "7",
        program,
        what,
        env={**os.environ, "PYGAS_BLOCKED_S": "1", **settings},
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("lock_twice", "acquire() of a lock object"),
        ("get", "get() of a Queue object"),
        ("step_aside", "sleep"),
    ],
)
def test_a_blocked_rank_says_so(tmp_path: Path, what: str, name: str) -> None:
    code, err = run(tmp_path, what, 3)
    assert (code != 0) == (what != "step_aside"), err
    assert err.count("runs no requests") == 1, err
    assert "rank 0 runs no requests" in err
    assert name in err
    assert "more wait behind it" in err
    assert "pygas.Lock" in err
    assert {"get": "queue.py", "step_aside": "time.sleep(4)"}.get(what, "") in err


@pytest.mark.parametrize("what", ["compute_long", "wait_in_pygas", "wait_in_a_request"])
def test_what_is_not_blocked(tmp_path: Path, what: str) -> None:
    code, err = run(tmp_path, what, 3)
    assert code == 0, err
    assert err == ""


def test_only_a_caller_waits(tmp_path: Path) -> None:
    """Others are not in its way: it may well be meant."""
    for debug in (0, 1):
        code, err = run(tmp_path, "get", 2, PYGAS_DEBUG=str(debug))
        assert code != 0
        assert err.count("runs no requests") == debug, err
        assert ("No others wait now" in err) == bool(debug)


def test_never(tmp_path: Path) -> None:
    code, err = run(tmp_path, "lock_twice", 3, PYGAS_BLOCKED_S="0")
    assert code != 0
    assert "runs no requests" not in err
