"""Jobs that end well, whatever is still under way."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import time

import pytest
from conftest import run_ranks
from launcherkit import Jobs


def run_program(
    tmp_path: pathlib.Path, text: str, count: int = 3, *options: str, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "prog.py"
    program.write_text(text)
    return run_ranks(count, *options, program, timeout=timeout)


def test_handlers_at_exit_use_remote_objects(tmp_path: pathlib.Path) -> None:
    text = """
import atexit
import pygas
box = None
def early():  # registered before the job starts
    box.append(("early", pygas.MYTHREAD))
    assert pygas.at(0).call(abs, -1) == 1
atexit.register(early)
box = pygas.share([] if pygas.MYTHREAD == 0 else None)
def late():
    box.append(("late", pygas.MYTHREAD))
    f = pygas.async_(box).count(7)  # nobody asks for it
atexit.register(late)
if pygas.MYTHREAD == 0:
    import time
    def show():
        end = time.monotonic() + 10
        while len(box) < 6 and time.monotonic() < end:
            pygas.progress()
        print(sorted(box))
    atexit.register(show)
"""
    # Handlers run in the reverse order, so rank 0 shows first, while it is still without its own.
    result = run_program(tmp_path, text.replace("len(box) < 6", "len(box) < 4"))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "[('early', 1), ('early', 2), ('late', 1), ('late', 2)]\n"


def test_requests_in_flight(tmp_path: pathlib.Path) -> None:
    text = """
import time
import numpy
import pygas
pygas.barrier()
for n in range(200):
    for rank in range(pygas.THREADS):
        pygas.at(rank).submit(divmod, n, 3)
    if n % 20 == 0:
        pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).submit(numpy.ones, 300_000)
        pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).submit(len, bytes(2_000_000))
print("done")
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "done\n" * 3)


@pytest.mark.parametrize("code", [0, 3])
def test_threads_that_wait(tmp_path: pathlib.Path, code: int) -> None:
    text = f"""
import sys, threading
import pygas
never = pygas.Future()
def wait():
    try:
        never.result()
    except RuntimeError as error:
        assert "the job has ended" in str(error)
threads = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
pygas.barrier()
print("done")
sys.exit({code} if pygas.MYTHREAD == 1 else 0)
"""
    begin = time.monotonic()
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stdout) == (code, "done\n" * 3), result.stderr
    assert "Fatal" not in result.stderr
    assert "Traceback" not in result.stderr
    assert time.monotonic() - begin < 15


def test_output_is_flushed(tmp_path: pathlib.Path) -> None:
    text = """
import sys
import pygas
pygas.barrier()
if pygas.MYTHREAD == 1:
    sys.stdout = open(1, "w", buffering=1 << 20, closefd=False)
    print("x" * 300_000)
    sys.exit(4)
"""
    result = run_program(tmp_path, text, 2)
    assert (result.returncode, result.stdout) == (4, "x" * 300_000 + "\n")


@pytest.mark.usefixtures("forks")
def test_a_child_that_exits(tmp_path: pathlib.Path) -> None:
    text = """
import atexit, os, sys
import pygas
box = pygas.share([] if pygas.MYTHREAD == 0 else None)
pygas.barrier()
for code in (0, 5):
    pid = os.fork()
    if pid == 0:
        sys.exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    box.append(code)
pygas.barrier()
if pygas.MYTHREAD == 0:
    assert sorted(pygas.local(box)) == [0] * 3 + [5] * 3
    print("well")
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stdout, result.stderr) == (0, "well\n", "")


def test_a_rank_that_exits_with_a_code_meets_the_others(tmp_path: pathlib.Path) -> None:
    text = """
import sys, time
import pygas
box = pygas.share([] if pygas.MYTHREAD == 1 else None, root=1)
if pygas.MYTHREAD == 1:
    sys.exit(3)
time.sleep(0.5)
box.append(pygas.MYTHREAD)
print(len(box) > 0)
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stdout) == (3, "True\n" * 2)


def test_ctrl_c_twice(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text("""
import pygas
pygas.barrier()
print("going", flush=True)
while True:
    try:
        pygas.barrier()
    except KeyboardInterrupt:
        print("once more", flush=True)
""")
    with Jobs(tmp_path) as jobs:
        job = jobs.start("-n", "3", str(program))
        job.read_until(b"going\n", 3)
        job.signal(signal.SIGINT)
        job.read_until(b"once more\n")
        begin = time.monotonic()
        job.signal(signal.SIGINT)
        result = job.finish()
    assert result.returncode == 128 + signal.SIGINT
    assert time.monotonic() - begin < 3
    assert result.stderr.endswith(b"pygas: the job was ended by SIGINT\n")
