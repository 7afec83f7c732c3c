"""The job's end when something goes wrong: promptly, with a message, leaving nothing behind."""

from __future__ import annotations

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import run_command, run_ranks, shared_memory_files

pytestmark = pytest.mark.usefixtures("nothing_left")

TRAFFIC = """
import sys
import numpy as np
import pygas
box = pygas.share([np.zeros(50_000)])
pygas.barrier()
print("going", flush=True)
i = 0
while True:
    i += 1
    rank = (pygas.MYTHREAD + i) % pygas.THREADS
    futures = [pygas.at(rank).submit(np.ones, n) for n in (10, 3000, 100_000)]
    box[0] = np.ones(40_000)
    sum(f.result().sum() for f in futures)
    if i % 7 == 0:
        pygas.broadcast(np.ones(30_000) if pygas.MYTHREAD == 1 else None, 1)
    if i % 20 == 0:
        pygas.barrier()
"""


def write(tmp_path: pathlib.Path, text: str) -> pathlib.Path:
    program = tmp_path / "prog.py"
    program.write_text("import os, sys, threading, time\nimport pygas\n" + text)
    return program


def processes(program: pathlib.Path) -> list[int]:
    """Return the processes that have the program in their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if os.fsencode(program) in words:
            found.append(int(entry.name))
    return found


def start(program: pathlib.Path, count: int) -> subprocess.Popen[str]:
    """Start a job, and return when every rank is going."""
    command = [sys.executable, "-m", "pygas", "run", "-n", str(count), program]
    job = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert job.stdout is not None
    for _ in range(count):
        assert job.stdout.readline() == "going\n"
    return job


def await_nothing(program: pathlib.Path) -> None:
    """Wait until no process of the job is left."""
    deadline = time.monotonic() + 10
    while processes(program):
        assert time.monotonic() < deadline, f"left over: {processes(program)}"
        time.sleep(0.01)


@pytest.mark.parametrize("wait", ["barrier()", "broadcast(1, 1)", "share(1, 1)"])
def test_an_exit_while_others_wait_ends_the_job(tmp_path: pathlib.Path, wait: str) -> None:
    program = write(
        tmp_path, f"pygas.barrier()\nif pygas.MYTHREAD == 1: sys.exit(3)\npygas.{wait}\n"
    )
    begin = time.monotonic()
    result = run_ranks(3, program, timeout=20)
    assert result.returncode == 3, result.stderr
    assert time.monotonic() - begin < 5
    assert "rank 1 has finished its program, but another rank waits for it" in result.stderr
    await_nothing(program)


def test_a_forgotten_collective_is_reported(tmp_path: pathlib.Path) -> None:
    program = write(tmp_path, "pygas.barrier()\nif pygas.MYTHREAD != 2: pygas.barrier()\n")
    result = run_ranks(4, program, timeout=20)
    assert result.returncode != 0
    assert "rank 2 has finished its program, but another rank waits for it" in result.stderr


def test_a_proper_exit_code(tmp_path: pathlib.Path) -> None:
    program = write(tmp_path, "pygas.barrier()\nif pygas.MYTHREAD == 1: sys.exit(3)\n")
    assert run_ranks(3, program, timeout=20).returncode == 3


@pytest.mark.parametrize("code", [0, 5])
def test_a_rank_that_vanishes(tmp_path: pathlib.Path, code: int) -> None:
    program = write(
        tmp_path, f"pygas.barrier()\nif pygas.MYTHREAD == 1: os._exit({code})\npygas.barrier()\n"
    )
    result = run_ranks(3, program, timeout=20)
    assert result.returncode == (code or 1), result.stderr
    assert "rank 1" in result.stderr
    await_nothing(program)


def test_an_uncaught_exception_is_shown_last(tmp_path: pathlib.Path) -> None:
    program = write(
        tmp_path,
        "pygas.barrier()\n"
        "if pygas.MYTHREAD == 1: raise LookupError('of rank 1')\n"
        "pygas.barrier()\n",
    )
    result = run_ranks(3, program, timeout=20)
    assert result.returncode == 1
    assert "LookupError: of rank 1" in result.stderr.rstrip().splitlines()[-2:]
    await_nothing(program)


def test_an_uncaught_exception_does_not_wait_for_a_request(tmp_path: pathlib.Path) -> None:
    text = """
began = threading.Event()
def linger():
    began.set()
    time.sleep(30)
pygas.barrier()
if pygas.MYTHREAD == 1:
    pygas.at(0).call(linger)
began.wait()
raise LookupError("while a request runs")
"""
    begin = time.monotonic()
    result = run_ranks(2, write(tmp_path, text), timeout=20)
    assert result.returncode == 1
    assert "LookupError: while a request runs" in result.stderr
    assert time.monotonic() - begin < 10


def test_a_rank_that_is_killed(tmp_path: pathlib.Path) -> None:
    program = write(tmp_path, TRAFFIC)
    rng = random.Random(1)
    for _ in range(8):
        with start(program, 3) as job:
            time.sleep(rng.random() * 0.2)
            ranks = [pid for pid in processes(program) if pid != job.pid and is_rank(pid)]
            os.kill(rng.choice(ranks), signal.SIGKILL)
            _, err = job.communicate(timeout=20)
        assert job.returncode == 128 + signal.SIGKILL, err
        assert re.search(r"pygas: rank \d of 3 was killed by SIGKILL\n", err), err
        await_nothing(program)


def is_rank(pid: int) -> bool:
    """Tell a rank from the launcher and its guard: it was started with PYGAS_BOOT."""
    return b"PYGAS_BOOT=" in pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def test_the_launcher_is_killed(tmp_path: pathlib.Path) -> None:
    program = write(tmp_path, TRAFFIC)
    rng = random.Random(2)
    before = shared_memory_files()
    for _ in range(6):
        with start(program, 3) as job:
            time.sleep(rng.random() * 0.2)
            job.kill()
            job.communicate(timeout=20)
        await_nothing(program)
        assert shared_memory_files() <= before


@pytest.mark.parametrize("victim", ["os.getpid()", "os.getppid()"], ids=["rank", "launcher"])
def test_a_kill_while_shared_memory_is_made(tmp_path: pathlib.Path, victim: str) -> None:
    program = write(
        tmp_path,
        "import os, random, signal, sys, threading, time\n"
        "import pygas\n"
        "pygas._job.core()\n"
        "def kill():\n"
        "    time.sleep(random.Random(sys.argv[1]).random() * 0.03)\n"
        f"    os.kill({victim}, signal.SIGKILL)\n"
        "threading.Thread(target=kill, daemon=True).start()\n"
        "pygas.init()\n"
        "time.sleep(60)\n",
    )
    before = shared_memory_files()
    for seed in range(12):
        result = run_ranks(2, program, str(seed), timeout=30)
        assert result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), result.stderr
        await_nothing(program)
        assert shared_memory_files() <= before


def test_ctrl_c_in_a_barrier(tmp_path: pathlib.Path) -> None:
    program = write(
        tmp_path, "pygas.barrier()\nprint('going', flush=True)\nwhile True: pygas.barrier()\n"
    )
    with start(program, 4) as job:
        begin = time.monotonic()
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=20)
    assert job.returncode in (128 + signal.SIGINT, -signal.SIGINT), err
    assert "KeyboardInterrupt" in err
    assert time.monotonic() - begin < 5
    await_nothing(program)


@pytest.mark.parametrize("rings", ["never", "auto"])
def test_a_full_dev_shm_is_a_clear_error(tmp_path: pathlib.Path, rings: str) -> None:
    """Newer versions of UCX need none until they carry something, which they do without rings."""
    script = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'
    mount = ["unshare", "-m", "sh", "-c", script, "-"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small /dev/shm (not root)")
    program = write(tmp_path, "pygas.barrier()\nprint('started')\n")
    launcher = [sys.executable, "-m", "pygas", "run", "-n", "2", program]
    environment = os.environ | {"PYGAS_RINGS": rings}
    result = run_command([*mount, *launcher], timeout=20, env=environment)
    if rings == "auto" and result.returncode == 0:
        assert (result.stdout, result.stderr) == ("started\n" * 2, "")
    else:
        assert result.returncode == 1
        assert "/dev/shm has 1 MiB free of 1 MiB" in result.stderr
        assert "started" not in result.stdout
    await_nothing(program)
