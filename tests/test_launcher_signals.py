"""Signals to the launcher, and its sudden death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launcherkit import LIMIT, Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Jobs(tmp_path) as running:
        yield running


PAUSE = "import signal; print('up'); signal.pause()"
STUBBORN = """
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
print("up")
while True:
    signal.pause()
"""
WITH_CHILDREN = r"""
import subprocess, sys
child = r"import os, signal; os.write(1, b'up\n'); signal.pause()"
subprocess.Popen([sys.executable, "-c", child])
subprocess.Popen([sys.executable, "-c", child], process_group=None).wait()
"""


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_signals_end_the_job(jobs: Jobs, name: str) -> None:
    job = jobs.start("-n", "3", jobs.program(PAUSE))
    job.read_until(b"up\n", 3)
    job.signal(signal.Signals[name])
    result = job.finish()
    assert result.returncode == 128 + signal.Signals[name]
    message = b"pygas: the job was ended by %s\n" % name.encode()
    assert result.stderr.endswith(message)
    assert result.stderr.count(b"pygas: ") == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR2"])
def test_ranks_may_handle_signals(jobs: Jobs, name: str) -> None:
    program = jobs.program(
        f"""
        import signal, sys
        def handle(*_):
            print("got it")
            sys.exit(0)
        signal.signal(signal.{name}, handle)
        print("up")
        while True:
            signal.pause()
        """
    )
    job = jobs.start("-n", "3", program)
    job.read_until(b"up\n", 3)
    job.signal(signal.Signals[name])
    result = job.finish()
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.count(b"got it\n") == 3


def test_a_second_interrupt_kills_at_once(jobs: Jobs) -> None:
    job = jobs.start("-n", "2", jobs.program(STUBBORN))
    job.read_until(b"up\n", 2)
    start = time.monotonic()
    job.signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        job.process.wait(0.3)
    job.signal(signal.SIGINT)
    result = job.finish()
    assert time.monotonic() - start < 2.9
    assert (result.returncode, result.stderr) == (130, b"pygas: the job was ended by SIGINT\n")


def test_ranks_that_ignore_signals_are_killed(jobs: Jobs) -> None:
    job = jobs.start("-n", "2", jobs.program(STUBBORN))
    job.read_until(b"up\n", 2)
    start = time.monotonic()
    job.signal(signal.SIGTERM)
    assert job.finish().returncode == 143
    assert 2.8 < time.monotonic() - start < 10


def test_ignored_signals_stay_ignored(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import signal
        print("up", signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
        signal.pause()
        """
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        job = jobs.start(program)
    finally:
        signal.signal(signal.SIGHUP, before)
    job.read_until(b"up True\n")
    job.signal(signal.SIGHUP)
    job.signal(signal.SIGTERM)
    assert job.finish().returncode == 143


def test_stop_and_continue(jobs: Jobs) -> None:
    program = jobs.program("import os, signal; print('up', os.getpid()); signal.pause()")
    job = jobs.start("-n", "2", program)
    job.read_until(b"\n", 2)
    pids = [job.pid, *(int(line.split()[1]) for line in job.seen.splitlines())]
    for _ in range(2):
        job.signal(signal.SIGTSTP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in pids))
        job.signal(signal.SIGCONT)
        wait_until(lambda: all(state_of(pid) == "S" for pid in pids))
    job.signal(signal.SIGTSTP)
    wait_until(lambda: all(state_of(pid) == "T" for pid in pids))
    job.signal(signal.SIGTERM)
    job.signal(signal.SIGCONT)
    assert job.finish().returncode == 143


def test_nothing_survives_a_killed_launcher(jobs: Jobs) -> None:
    job = jobs.start("-n", "3", jobs.program(WITH_CHILDREN))
    job.read_until(b"up\n", 6)
    # The launcher, its guard, and per rank itself and two children.
    assert len(jobs.processes()) == 11
    job.signal(signal.SIGKILL)
    assert job.process.wait(LIMIT) == -signal.SIGKILL
    assert jobs.wait_for_none() == []


def test_nothing_survives_a_launcher_killed_while_it_starts(jobs: Jobs) -> None:
    program = jobs.program(STUBBORN)
    for attempt in range(12):
        job = jobs.start("-n", "24", program)
        wait_until(lambda: len(jobs.processes()) >= 2 + attempt)  # noqa: B023
        job.signal(signal.SIGKILL)
        job.process.wait(LIMIT)
        assert jobs.wait_for_none() == []


def test_a_killed_rank_ends_the_job(jobs: Jobs) -> None:
    program = jobs.program("import os, signal; print('up', os.getpid()); signal.pause()")
    job = jobs.start("-n", "4", program)
    job.read_until(b"\n", 4)
    start = time.monotonic()
    os.kill(int(job.seen.split()[1]), signal.SIGKILL)
    result = job.finish()
    assert time.monotonic() - start < 5
    assert result.returncode == 137
    assert result.stderr.endswith(b" of 4 was killed by SIGKILL\n")


def test_an_interrupt_while_a_failed_job_is_ended(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: print("stubborn"))
        boot.put(b"")
        boot.fence()
        if boot.rank == 0:
            sys.exit(6)
        while True:
            signal.pause()
        """
    )
    job = jobs.start("-n", "2", program)
    job.read_until(b"stubborn\n")
    start = time.monotonic()
    job.signal(signal.SIGINT)
    result = job.finish()
    assert time.monotonic() - start < 1.9
    assert result.returncode == 6
    assert b"pygas: rank 0 of 2 exited with code 6\n" in result.stderr


def test_the_launcher_has_no_zombies_after_a_job(jobs: Jobs) -> None:
    jobs.program("pass")
    code = (
        "import os; from pygas.cli import main; main(['run', '-n', '3', 'prog.py'])\n"
        "try: os.waitpid(-1, 0)\nexcept ChildProcessError: print('none')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=jobs.directory,
        env=jobs.environment,
        capture_output=True,
        timeout=LIMIT,
        check=True,
    )
    assert result.stdout == b"none\n"
