"""How Futures end: dropped, collected, at the end of the job, in forked children."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from conftest import run_ranks
from futurekit import (
    LIMIT,
    fail,
    other,
    unraisable,
    until,
    wait_until_failed,
)

import pygas


@pytest.mark.ranks(2)
def test_a_dropped_failure_is_reported_once() -> None:
    there = other()
    with unraisable() as caught:
        there.submit(fail, "dropped before the reply")
        until(lambda: caught)
        future = there.submit(fail, "dropped after the reply")
        until(future.done)
        del future
        until(lambda: len(caught) == 2)
        settled = there.submit(fail, "dropped after it was decoded")
        settled.add_done_callback(lambda _: None)
        wait_until_failed(settled)
        del settled
        until(lambda: len(caught) == 3)  # the thread that called it back may still have it
        for kind, text, _ in caught:
            assert kind is LookupError
            assert f"request to rank {(pygas.MYTHREAD + 1) % 2}" in text
            assert "dropped" in text
            assert f"The traceback on rank {(pygas.MYTHREAD + 1) % 2}" in text
        by_hand: pygas.Future[None] = pygas.Future()
        by_hand.set_exception(KeyError())
        del by_hand
        assert len(caught) == 4
        seen = there.submit(fail, "seen")
        assert seen.exception() is not None
        del seen
        there.submit(abs, 1)
        there.submit(abs, 1).then(fail)
        until(lambda: len(caught) == 5)
        there.call(abs, 1)
        pygas.progress()
        assert len(caught) == 5
    pygas.barrier()


@pytest.mark.ranks(2)
def test_cycles_are_collected() -> None:
    class Thing:
        pass

    thing: Any = Thing()
    thing.future = pygas.Future()
    thing.future.add_done_callback(lambda _, thing=thing: thing)
    alive = [weakref.ref(thing), weakref.ref(thing.future)]
    thing.reply = other().submit(abs, 1)
    thing.reply.add_done_callback(lambda _, thing=thing: thing)
    thing.reply.result()
    alive.append(weakref.ref(thing.reply))
    del thing

    def are_collected() -> bool:
        gc.collect()
        return [ref() for ref in alive] == [None] * 3

    until(are_collected)  # the thread that called back may still have one
    pygas.barrier()


# ---- the end ----

ENDS = """
import os, sys, time, pygas
from pygas import _core as core

def report(name, act):
    try:
        print(name, act())
    except Exception as e:
        print(name, type(e).__name__, e)

def last():
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)

if pygas.MYTHREAD == 0:
    there = pygas.at(1)
    settled = there.submit(abs, -3)
    settled.result()
    pending = there.submit(last)
    hand = pygas.Future()
    pid = os.fork()
    if pid == 0:
        report("child settled", settled.result)
        report("child pending", pending.result)
        report("child done", pending.done)
        report("child callback", lambda: pending.add_done_callback(print))
        report("child cancel", pending.cancel)
        report("child wait", lambda: pygas.wait([pending]))
        report("child all settled", lambda: len(pygas.wait([settled]).done))
        hand.add_done_callback(lambda f: print("child hand", f.result()))
        hand.set_result(1)
        del pending, settled
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    never = there.submit(last)
    never.add_done_callback(lambda f: print("at the end", type(f.exception()).__name__))
    chain = never.then(abs)
    whole = pygas.gather(never, chain)
    many = [there.submit(abs, n) for n in range(1000)]
    many[0].add_done_callback(lambda f: None)
    core.finish(True)
    report("settled", settled.result)
    report("pending", pending.result)
    report("hand", lambda: hand.result())
    report("new", lambda: there.submit(abs, 1))
    hand.set_result(2)
    report("hand", lambda: hand.result())
    open(sys.argv[1], "w").close()
else:
    pygas.init()
    last()
    core.finish(True)
"""


@pytest.mark.usefixtures("forks")
def test_the_end_and_forks(tmp_path: Path) -> None:
    program = tmp_path / "ends.py"
    program.write_text(ENDS)
    result = run_ranks(2, program, tmp_path / "over", timeout=LIMIT)
    lines = dict.fromkeys(result.stdout.splitlines())
    forked = "RuntimeError this process was forked from rank 0"
    ended = "RuntimeError the job has ended on this rank"
    for line in (
        "child settled 3",
        f"child pending {forked}",
        f"child done {forked}",
        f"child callback {forked}",
        f"child cancel {forked}",
        f"child wait {forked}",
        "child all settled 1",
        "child hand 1",
        "at the end RuntimeError",
        "settled 3",
        f"pending {ended}",
        f"hand {ended}",
        f"new {ended}",
        "hand 2",
    ):
        assert any(found.startswith(line) for found in lines), (line, result.stdout, result.stderr)
    assert result.stderr == ""


def test_exit_with_futures_pending(tmp_path: Path) -> None:
    program = tmp_path / "pending.py"
    program.write_text(
        "import pygas, time\n"
        "kept = [pygas.at(1).submit(abs, n) for n in range(2000)]\n"
        "kept[5].add_done_callback(lambda f: None)\n"
        "chain = kept[6].then(lambda n: pygas.at(1).submit(time.sleep, 0.2))\n"
        "kept.append(kept)\n"
    )
    result = run_ranks(2, program, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_future_needs_no_job(tmp_path: Path) -> None:
    program = tmp_path / "alone.py"
    program.write_text(
        "import pygas, pygas._job as job\n"
        "f = pygas.Future()\n"
        "g = f.then(str)\n"
        "f.set_result(3)\n"
        "assert g.result() == '3' and pygas.gather(f, g).result() == [3, '3']\n"
        "assert pygas.wait([f, g]).done == {f, g}\n"
        "assert job.core().phase() == 'before'\n"
    )
    result = run_ranks(1, program, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
