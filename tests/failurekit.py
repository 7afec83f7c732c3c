"""What the tests of failures share: programs of ranks that fall, and of those that go on."""

from __future__ import annotations

import pathlib
import subprocess
import textwrap

from conftest import run_ranks

PREFACE = """
import os, signal, sys, threading, time
import pygas

me, ranks = pygas.MYTHREAD, pygas.THREADS

def stay(seconds=60):
    time.sleep(seconds)

def die(how):
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "SIGSEGV":
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "os._exit":
        os._exit(int(0))
    elif how == "os._exit(3)":
        os._exit(3)
    else:
        raise RuntimeError("the end")

def mark(rank):
    return os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), f"doomed-{rank}")

def fall(how, delay=0.3):
    # Outside of all waits: a request that came in one would keep us.
    open(mark(me), "w").close()
    time.sleep(delay)
    die(how)

def await_fall(*victims):
    for rank in victims:
        while not os.path.exists(mark(rank)):
            time.sleep(0.01)

def expect(rank, function, *args):
    begin = time.monotonic()
    try:
        result = function(*args)
    except pygas.RankFailedError as error:
        assert error.rank == rank and rank in error.ranks, error.ranks
        assert str(error).startswith(f"rank {rank} has failed: it "), error
        assert error.reason and str(error).endswith(error.reason), error
        return error
    raise AssertionError(f"{function} returned {result!r}")
"""


def run_program(
    tmp_path: pathlib.Path, count: int, text: str, *options: str, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "prog.py"
    program.write_text(PREFACE + textwrap.dedent(text))
    return run_ranks(count, *options, program, timeout=timeout)


def check_survivors(
    tmp_path: pathlib.Path, count: int, text: str, *options: str, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a program in which every survivor has to print "well"."""
    result = run_program(tmp_path, count, text, "--on-failure=continue", *options, timeout=timeout)
    print(result.stdout, result.stderr)
    assert result.stdout.split() == ["well"] * (count - 1), result
    assert result.returncode == 0
    return result
