"""The job's life in a process: import, start, fork, threads, exit."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import time

import pytest
from conftest import run_command, run_ranks

import pygas


def run_program(
    tmp_path: pathlib.Path, text: str, count: int = 2, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a program, given as text, on `count` ranks."""
    program = tmp_path / "prog.py"
    program.write_text("import os, sys, threading, time\nimport pygas\n" + text)
    return run_ranks(count, program, timeout=timeout)


def test_import_starts_nothing() -> None:
    text = """
import os, sys, pygas, pydoc
assert "pygas._core" not in sys.modules and "numpy" not in sys.modules
assert len(os.listdir("/proc/self/task")) == 1
assert "share" in dir(pygas)
help_text = pydoc.render_doc(pygas, renderer=pydoc.plaintext)
assert "broadcast" in help_text and "class Proxy" in help_text
from pygas import Proxy, Team, at, barrier, broadcast, local, owner, resolve, share, world
assert pygas._job.core().phase() == "before"
assert len(os.listdir("/proc/self/task")) == 1
try:
    pygas.nothing
except AttributeError as error:
    assert "no attribute 'nothing'" in str(error)
"""
    result = run_command([sys.executable, "-c", text])
    assert (result.returncode, result.stderr) == (0, "")


def test_a_plain_program_is_a_job_of_one(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text(
        "import pygas\nprint(pygas.MYTHREAD, pygas.THREADS, pygas.share([1]), pygas.broadcast(2),"
        "pygas.at(0).call(max, 3, 4)); pygas.barrier()"
    )
    result = run_command([sys.executable, program])
    assert (result.stdout, result.stderr, result.returncode) == ("0 1 [1] 2 4\n", "", 0)


def test_threads_that_start_the_job_at_once_agree(tmp_path: pathlib.Path) -> None:
    text = """
seen = []
def look(): seen.append((pygas._job.rank(), pygas._job.size()))
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert seen == [(pygas.MYTHREAD, 2)] * 8, seen
"""
    result = run_program(tmp_path, text)
    assert result.returncode == 0, result.stderr


@pytest.mark.ranks(1, 2)
def test_a_forked_child_gets_a_clear_error() -> None:
    p = pygas.share([pygas.MYTHREAD])
    pygas.barrier()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            pygas.barrier()
        except RuntimeError as error:
            code = 0 if "is not part of the job" in str(error) else 2
            for use in (lambda: pygas.at(0).call(len, []), lambda: pygas.Proxy([])):
                try:
                    use()
                    code = 3
                except RuntimeError:
                    pass
        finally:
            sys.stdout.flush()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    pygas.barrier()
    assert p == [0]
    pid = os.fork()
    if pid == 0:
        sys.exit(7)  # atexit handlers run, and do not wait for anybody
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    pygas.barrier()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path: pathlib.Path, method: str) -> None:
    text = f"""
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    pygas.barrier()
    with context.Pool(2) as pool:
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    pygas.barrier()
    print("ok")
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stdout) == (0, "ok\nok\n"), result.stderr


@pytest.mark.ranks(2)
def test_a_subprocess_is_a_job_of_its_own() -> None:
    command = [sys.executable, "-c", "import pygas; print(pygas.MYTHREAD, pygas.THREADS)"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"0 1\n"
    pygas.barrier()
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"0 1\n"
    pygas.barrier()


@pytest.mark.parametrize("daemon", [True, False])
def test_threads_in_waits_at_exit(tmp_path: pathlib.Path, daemon: bool) -> None:
    text = f"""
daemon = {daemon}
end = time.monotonic() + 0.3
def work():
    while daemon or time.monotonic() < end:
        try:
            assert pygas.at(1 - pygas.MYTHREAD).call(bytes, 100_000) == bytes(100_000)
        except RuntimeError as error:
            assert "has ended" in str(error) and daemon, error
            return
def sleep_there():
    try:
        pygas.at(1 - pygas.MYTHREAD).call(time.sleep, 0.5)
    except RuntimeError as error:
        assert "has ended" in str(error) and daemon, error
for target in (work, work, sleep_there):
    threading.Thread(target=target, daemon=daemon).start()
pygas.barrier()
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stderr) == (0, "")


def test_atexit_handlers_may_use_the_job(tmp_path: pathlib.Path) -> None:
    text = """
import atexit
def early():  # registered before the job started
    pygas.barrier()
    print("early", pygas.at(0).call(len, "abc"), flush=True)
atexit.register(early)
box = pygas.share([])
atexit.register(lambda: (box.append(1), pygas.barrier(), print(len(box), flush=True)))
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == ["2", "2", "early 3", "early 3"]


def test_handlers_of_before_the_import_come_too_late(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text("""
import atexit
def late():
    try:
        pygas.barrier()
    except RuntimeError as error:
        print(error, flush=True)
atexit.register(late)
import pygas
pygas.barrier()
""")
    result = run_ranks(2, program)
    assert (result.returncode, result.stderr) == (0, "")
    message = "the job has ended on this rank: nothing shared can be used any more\n"
    assert result.stdout == 2 * message


def test_a_rank_that_has_finished_serves_the_others(tmp_path: pathlib.Path) -> None:
    text = """
box = pygas.share([])
pygas.barrier()
if pygas.MYTHREAD == 1:
    for i in range(300): box.append(i)
    time.sleep(0.3)
    assert len(box) == 300
    print("served")
"""
    result = run_program(tmp_path, text)
    assert (result.returncode, result.stdout, result.stderr) == (0, "served\n", "")


@pytest.mark.ranks(4)
def test_waiting_costs_no_processor_time() -> None:
    pygas.barrier()
    begin = time.process_time()
    if pygas.MYTHREAD == 0:
        time.sleep(2)
    pygas.barrier()
    used = time.process_time() - begin
    print(f"used {used * 1e3:.1f} ms of 2 s")
    assert used < 0.04


@pytest.mark.ranks(1, 4)
def test_no_socket_listens() -> None:
    pygas.barrier()
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    mine = {link[8:-1] for link in links if link.startswith("socket:[")}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = pathlib.Path("/proc/net", table)
        rows = path.read_text().splitlines()[1:] if path.exists() else []
        assert not mine & {row.split()[9] for row in rows}, table
    for row in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        flags, inode = int(row.split()[3], 16), row.split()[6]
        assert not (inode in mine and flags & 0x10000), row  # __SO_ACCEPTCON
    pygas.barrier()
