"""Where the ranks of a job are, when nothing moves or when somebody asks."""

from __future__ import annotations

import re
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcherkit import Jobs

from pygas.launch.diagnosis import Survey, Watch
from pygas.launch.protocol import PULSE


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Jobs(tmp_path) as running:
        yield running


def section(text: str, head: str) -> str:
    """Return the lines under a head, up to the next one."""
    found = re.search(rf"^pygas: {head}.*:\n((?:    .*\n)*)", text, re.M)
    assert found, text
    return found[1]


def test_a_hang_is_shown_once(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import pygas
        def deeper():
            pygas.barrier()
        def forget():
            box = pygas.at(1).call(int, 3)
            pygas.at(3).submit(deeper).result()
        def main():
            if pygas.MYTHREAD == 1:
                forget()
            elif pygas.MYTHREAD != 3:
                deeper()
        team = pygas.world.split(0)
        main()
        if pygas.MYTHREAD == 3:
            team.broadcast(None, root=2)
        """
    )
    result = jobs.run("-n", "4", "--hang-timeout", "1", "--timeout", "5", program)
    text = result.stderr.decode()
    assert result.returncode == 124, text
    assert text.count("where the ranks are") == 1, text
    assert text.startswith("pygas: nothing has moved for 1 s; where the ranks are:\n")
    together = section(text, r"ranks 0 and 2, for \d\.\d s")
    assert together.startswith("    MainThread waits for the barrier:\n")
    assert "in main\n" in together
    assert "in deeper\n" in together
    alone = section(text, r"rank 1, for \d\.\d s")
    assert alone.startswith("    MainThread waits for a Future of rank 3:\n")
    assert "in forget\n" in alone
    assert "waits for the barrier" in section(text, "rank 3, for")


def test_no_alarm_while_somebody_computes(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import time
        import pygas
        pygas.init()
        if pygas.MYTHREAD == 1:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                pass
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            pygas.at(1).call(time.sleep, 3)
        """
    )
    result = jobs.run("-n", "3", "--hang-timeout", "1.5", program)
    assert (result.returncode, result.stderr) == (0, b"")


def test_no_alarm_while_messages_arrive(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import time
        import pygas
        def chain(left):
            if left:
                time.sleep(0.1)
                pygas.at((pygas.MYTHREAD + 1) % 2).call(chain, left - 1)
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            chain(20)
        pygas.barrier()
        """
    )
    result = jobs.run("-n", "2", "--hang-timeout", "0.6", program)
    assert (result.returncode, result.stderr) == (0, b"")


def ask(jobs: Jobs, text: str, ranks: int, *options: str) -> str:
    """Start a program whose ranks say "up"; return what SIGUSR1 shows."""
    job = jobs.start("-n", str(ranks), *options, jobs.program(text))
    job.read_until(b"up\n", ranks)
    time.sleep(0.3)
    job.signal(signal.SIGUSR1)
    time.sleep(4)
    job.signal(signal.SIGTERM)
    result = job.finish()
    shown, _, rest = result.stderr.decode().partition("pygas: the job was ended by SIGTERM")
    assert rest, shown
    print(shown)
    return shown


def test_asked_for(jobs: Jobs) -> None:
    shown = ask(
        jobs,
        """
        import ctypes, os, signal, sys, threading, time
        import pygas
        def computes():
            while True:
                pass
        def sleeps():
            time.sleep(60)
        def stuck_in_c():
            ctypes.PyDLL(None).sleep(60)  # without letting go of the interpreter
        if pygas.MYTHREAD == 0:
            threading.Thread(target=sleeps, name="the helper", daemon=True).start()
        print("up", flush=True)
        if pygas.MYTHREAD == 0:
            computes()
        elif pygas.MYTHREAD == 1:
            stuck_in_c()
        elif pygas.MYTHREAD == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            pygas.barrier()
        """,
        4,
    )
    assert shown.startswith("pygas: SIGUSR1; where the ranks are:\n")
    computing = section(shown, "rank 0")
    assert "MainThread runs:" in computing
    assert "in computes\n" in computing
    assert "the helper runs:" in computing
    assert "in sleeps\n" in computing
    stuck = section(shown, "rank 1")
    assert "the interpreter is busy in C code" in stuck
    assert "in stuck_in_c\n" in stuck
    assert "pygas: rank 2: is stopped\n" in shown
    assert "MainThread waits for the barrier:" in section(shown, "rank 3")


def test_asked_before_the_job_has_started(jobs: Jobs) -> None:
    shown = ask(
        jobs,
        """
        import os, sys, threading, time
        if ",rank:1," in os.environ["PYGAS_BOOT"]:
            print("up", flush=True)
            time.sleep(60)
        import pygas
        def wait():
            while sys._current_frames()[main].f_code.co_name != "start":
                time.sleep(0.01)
            time.sleep(0.3)
            print("up", flush=True)
        main = threading.get_ident()
        threading.Thread(target=wait, daemon=True).start()
        pygas.init()
        """,
        3,
    )
    assert "waits for all ranks to start the job:" in section(shown, "ranks 0 and 2")
    assert "pygas: rank 1: has not joined the job: it has not used PyGAS yet\n" in shown


def test_a_program_that_does_not_use_it_is_not_disturbed(jobs: Jobs) -> None:
    program = jobs.program("import time; print('up', flush=True); time.sleep(1); print('well')")
    job = jobs.start("-n", "2", program)
    job.read_until(b"up\n", 2)
    for _ in range(3):
        job.signal(signal.SIGUSR1)
    result = job.finish()
    assert (result.returncode, result.stdout.count(b"well")) == (0, 2)
    assert b"ranks 0-1: have" not in result.stderr
    assert b"has not joined the job" in result.stderr


# ---- the parts by themselves ----


def test_watch() -> None:
    asked: list[int] = []
    watch = Watch(10.0, lambda rank, frame: asked.append(rank))
    watch.start(0.0)
    assert not watch.turn(1.0, [0, 1])
    assert asked == []
    now = 0.0
    for step in range(1, 20):
        now = step * 2.5
        told = watch.turn(now, [0, 1])
        if told:
            break
        assert asked == [0, 1] * step
        for rank in (0, 1):
            busy = rank == 1 and step < 4  # it waits from the fourth step on
            waiting = 0 if busy else int(now * 1000)
            watch.answer(rank, PULSE.pack(5 if rank else min(step, 6), waiting), now)
    assert now == 25.0  # rank 0 got its last message at 15
    assert not watch.turn(100.0, [0, 1])
    with pytest.raises(Exception, match="a pulse of 3 bytes"):
        watch.answer(0, b"abc", 0.0)


def test_who_has_finished_does_not_wait() -> None:
    watch = Watch(10.0, lambda rank, frame: None)
    watch.start(0.0)
    for step in range(1, 9):
        assert not watch.turn(step * 2.5, [0, 1])
        watch.answer(0, PULSE.pack(1, 1000 * step), step * 2.5)
        watch.answer(1, PULSE.pack(step, 0), step * 2.5)  # gets messages
    watch.answer(0, PULSE.pack(1, 20000), 20.0)
    watch.lose(0)  # it has got its message since, and has ended its part
    assert not watch.turn(22.5, [0])
    watch.answer(0, PULSE.pack(1, 20000), 22.5)
    assert watch.turn(25.0, [0])


def test_survey() -> None:
    survey = Survey([0, 1, 2, 5], [7, 8], lambda rank, frame: None, 0.0)
    same = "W\t{}\t{}\t3\tthe reply to a call\nW\t{}\t9000\t-1\tthe barrier\nT\t{}\tmain\nS\t  x\n"
    survey.answer(0, same.format(11, 1500, 11, 11).encode())
    survey.answer(2, same.format(12, 2500, 12, 12).encode())
    survey.answer(9, b"nobody asked for it")
    assert not survey.is_over(1.0)
    survey.answer(1, b"W\t1\nT\nS\tnonsense\n\xff\t\tW\nB\nThread 0x1:\n  File x\n")
    survey.lose(8)
    assert not survey.is_over(2.0)
    assert survey.is_over(4.0)
    assert survey.text("why", lambda rank: f"silent {rank > 6}") == (
        "pygas: why; where the ranks are:\n"
        "pygas: ranks 0 and 2, for 9.0 s:\n"
        "    main waits for the reply to a call of rank 3 while it waits for the barrier:\n"
        "      x\n"
        "pygas: rank 1:\n"
        "    the interpreter is busy in C code; its threads, most recent call first:\n"
        "      Thread 0x1:\n"
        "        File x\n"
        "pygas: rank 5: silent False\n"
        "pygas: rank 7: silent True\n"
    )
    assert struct.calcsize("=QQ") == PULSE.size
