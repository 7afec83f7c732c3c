"""How jobs end by themselves: exit codes, failures, time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcherkit import LIMIT, Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Jobs(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "0", "prog.py"], b"at least 1 rank"),
        (["-n", "two", "prog.py"], b"not a number: two"),
        (["--timeout", "-1", "prog.py"], b"positive"),
        (["missing.py"], b"no such program: missing.py"),
        (["-n", "2"], b"no program given"),
        (["-m"], b"-m needs the name of a module"),
        (["--bogus", "prog.py"], b"--bogus"),
        (["--output-dir", "prog.py", "prog.py"], b"prog.py: File exists"),
    ],
)
def test_wrong_command_lines(jobs: Jobs, arguments: list[str], message: bytes) -> None:
    jobs.program("raise SystemExit(9)")
    result = jobs.run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert b"Traceback" not in result.stderr


def test_too_many_files(jobs: Jobs) -> None:
    program = jobs.program("")
    result = jobs.run("-n", "100000000", program)
    assert result.returncode == 2
    assert b"open files are needed" in result.stderr


def test_module(jobs: Jobs) -> None:
    jobs.program("import sys; print(__name__, sys.argv[1:])", "some_module.py")
    result = jobs.run("-n", "2", "-m", "some_module", "-n", "3", "--tag-output")
    assert result.stdout == b"__main__ ['-n', '3', '--tag-output']\n" * 2


@pytest.mark.parametrize("code", [1, 3, 255])
def test_exit_code(jobs: Jobs, code: int) -> None:
    program = jobs.program(
        f"""
        import boot, signal, sys
        if boot.rank == 2:
            sys.exit({code})
        signal.pause()
        """
    )
    result = jobs.run("-n", "4", program)
    assert result.returncode == code
    assert result.stderr == b"pygas: rank 2 of 4 exited with code %d\n" % code


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_death_by_signal(jobs: Jobs, name: str) -> None:
    program = jobs.program(
        f"""
        import boot, os, resource, signal
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if boot.rank == 1:
            os.kill(os.getpid(), signal.{name})
        signal.pause()
        """
    )
    result = jobs.run("-n", "2", program)
    assert result.returncode == 128 + signal.Signals[name]
    assert result.stderr == b"pygas: rank 1 of 2 was killed by %s\n" % name.encode()


def test_last_words_of_the_first_failure_come_last(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("noise of %d" % boot.rank))
        boot.put(b"")
        boot.fence()
        if boot.rank == 1:
            raise RuntimeError("first failure")
        signal.pause()
        """
    )
    result = jobs.run("-n", "4", program)
    assert result.returncode == 1
    noise, _, last = result.stderr.partition(b"pygas: ")
    assert noise.count(b"noise of") == 3
    assert last.startswith(b"rank 1 of 4 exited with code 1\nTraceback (most recent call last):\n")
    assert last.endswith(b"RuntimeError: first failure\n")


def test_last_words_are_not_repeated_if_they_are_last_anyway(jobs: Jobs) -> None:
    program = jobs.program("raise RuntimeError('alone')")
    result = jobs.run(program)
    assert result.stderr.count(b"alone") == 2  # the line of source, the message
    assert result.stderr.endswith(b"RuntimeError: alone\npygas: rank 0 of 1 exited with code 1\n")


def test_last_words_without_traceback(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal, sys
        if boot.rank == 0:
            for i in range(100):
                print("line", i, file=sys.stderr)
            boot.put(b"")
            boot.get(1)
            sys.exit(5)
        boot.get(0)
        print("more", file=sys.stderr)
        boot.put(b"")
        signal.pause()
        """
    )
    result = jobs.run("-n", "2", program)
    assert result.returncode == 5
    _, _, last = result.stderr.partition(b"pygas: ")
    # Whether "more" was shown before or after the other lines is for the pipes to decide.
    expected = b"".join(b"line %d\n" % i for i in range(80, 100))
    assert last in (
        b"rank 0 of 2 exited with code 5\n",
        b"rank 0 of 2 exited with code 5\n" + expected,
    )


def test_the_first_of_a_chain_of_failures_is_named(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, os, signal
        boot.put(b"")
        if boot.rank == 3:
            boot.get(0)
            os.kill(os.getpid(), signal.SIGKILL)
        boot.sock.recv(99)
        """
    )
    result = jobs.run("-n", "4", program)
    assert result.returncode == 137
    assert result.stderr.startswith(b"pygas: rank 3 of 4 was killed by SIGKILL\n")


def test_leaving_without_bye(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, os
        boot.put(b"")
        boot.fence()
        if boot.rank == 1:
            os._exit(0)
        boot.fence()
        """
    )
    result = jobs.run("-n", "3", program)
    assert result.returncode == 1
    message = b"rank 1 of 3 left without finishing its part of the job (os._exit?)\n"
    assert b"pygas: " + message in result.stderr


@pytest.mark.parametrize("late", [False, True])
def test_ending_without_joining(jobs: Jobs, late: bool) -> None:
    program = jobs.program(
        f"""
        import boot, os, signal
        if boot.rank == 1:
            if {late}:
                boot.get(2)
            raise SystemExit
        boot.put(b"")
        boot.fence()
        """
    )
    result = jobs.run("-n", "3", program)
    assert result.returncode == 1
    start = b"pygas: rank 1 of 3 ended without joining the job, which rank"
    assert start in result.stderr
    assert result.stderr.split(start)[1].split(b"\n")[0] in (
        b" 0 waits for",
        b" 2 waits for",
        b"s 0 and 2 wait for",
    )


def test_finishing_while_others_wait(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot
        boot.put(b"")
        if boot.rank == 0:
            boot.fence()
        boot.bye()
        """
    )
    result = jobs.run("-n", "2", program)
    assert result.returncode == 1
    assert b"pygas: rank 1 of 2 finished, which rank 0 waits for\n" in result.stderr


def test_programs_that_never_join(jobs: Jobs) -> None:
    program = jobs.program("pass")
    result = jobs.run("-n", "8", program)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_timeout(jobs: Jobs) -> None:
    program = jobs.program("import signal; print('up'); signal.pause()")
    result = jobs.run("-n", "2", "--timeout", "0.5", program)
    assert result.returncode == 124
    assert result.stderr == b"pygas: the job took longer than 0.5 s and was ended\n"


def test_ranks_that_ignore_sigterm_are_killed(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        boot.put(b"")
        boot.fence()
        if boot.rank == 0:
            sys.exit(7)
        while True:
            signal.pause()
        """
    )
    start = time.monotonic()
    result = jobs.run("-n", "2", program)
    assert result.returncode == 7
    assert 1.8 < time.monotonic() - start < 10


def test_leftover_children_are_ended(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import subprocess, sys
        child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up');" \\
            "sys = __import__('sys'); sys.stdout.flush(); [signal.pause() for _ in range(9)]"
        subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE).stdout.readline()
        """
    )
    result = jobs.run("-n", "2", program)
    assert (result.returncode, result.stderr) == (0, b"")
    assert jobs.processes() == []


def test_a_daemon_that_keeps_the_pipes_open_is_not_waited_for(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import subprocess, sys
        child = "import time; time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
        print("rank done")
        """
    )
    start = time.monotonic()
    result = jobs.run("-n", "2", program)
    assert time.monotonic() - start < 10
    daemons = jobs.processes()
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    assert (result.returncode, result.stdout) == (0, b"rank done\n" * 2)
    assert len(daemons) == 2


THREADS_LEFT = """
import sys, threading
from pygas.cli import main

code = main(["run", "-n", "2", *sys.argv[1:]])
print(code, [thread.name for thread in threading.enumerate()])
"""


@pytest.mark.parametrize("directory", [False, True])
def test_no_thread_of_the_launcher_outlives_the_job(tmp_path: Path, directory: bool) -> None:
    """One that runs Python code while the interpreter goes can crash it."""
    program = tmp_path / "prog.py"
    program.write_text("print(1)")
    options = ["--output-dir", str(tmp_path)] if directory else []
    for standard_input in (subprocess.DEVNULL, subprocess.PIPE):
        with subprocess.Popen(
            [sys.executable, "-c", THREADS_LEFT, *options, str(program)],
            stdin=standard_input,
            stdout=subprocess.PIPE,
            text=True,
        ) as launcher:
            assert launcher.stdout is not None
            assert launcher.wait(LIMIT) == 0
            assert launcher.stdout.read().splitlines()[-1] == "0 ['MainThread']"
