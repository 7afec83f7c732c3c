"""What becomes of the ranks' output, and of the launcher's input."""

from __future__ import annotations

import hashlib
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcherkit import LIMIT, Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Jobs(tmp_path) as running:
        yield running


PRINT_A_LOT = """
import boot, os, sys
text = "".join("%d %d %s\\n" % (boot.rank, i, "x" * (i * 37 % 3000)) for i in range(3000))
data = text.encode()
while data:
    data = data[os.write(1 + boot.rank % STREAMS, data[:7001]):]
"""


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("tag", [False, True])
def test_lines_are_whole(jobs: Jobs, streams: int, tag: bool) -> None:
    program = jobs.program(PRINT_A_LOT.replace("STREAMS", str(streams)))
    options = ["--tag-output"] if tag else []
    result = jobs.run("-n", "4", *options, program, stderr=subprocess.STDOUT)
    assert result.returncode == 0
    found: Counter[str] = Counter(result.stdout.decode().splitlines())
    expected = Counter(
        f"{f'[{rank}] ' if tag else ''}{rank} {i} {'x' * (i * 37 % 3000)}"
        for rank in range(4)
        for i in range(3000)
    )
    assert found == expected


def test_streams_stay_apart(jobs: Jobs) -> None:
    program = jobs.program("import sys; print('out'); print('err', file=sys.stderr)")
    result = jobs.run("-n", "3", "--tag-output", program)
    assert sorted(result.stdout.splitlines()) == [b"[%d] out" % i for i in range(3)]
    assert sorted(result.stderr.splitlines()) == [b"[%d] err" % i for i in range(3)]


def test_tags_are_aligned(jobs: Jobs) -> None:
    program = jobs.program("print('a\\n\\nb')")
    lines = jobs.run("-n", "12", "--tag-output", program).stdout.splitlines()
    expected = [b"[%2d] %s" % (i, text) for i in range(12) for text in (b"a", b"", b"b")]
    assert sorted(lines) == sorted(expected)


def test_unfinished_lines(jobs: Jobs) -> None:
    program = jobs.program("import os; os.write(1, b'no newline')")
    assert jobs.run(program).stdout == b"no newline"
    assert jobs.run("-n", "3", program).stdout == b"no newline\nno newline\nno newline"


def test_an_unfinished_line_before_the_summary(jobs: Jobs) -> None:
    program = jobs.program("import os; os.write(2, b'oops'); os._exit(3)")
    assert jobs.run(program).stderr == b"oops\npygas: rank 0 of 1 exited with code 3\n"


def test_very_long_lines(jobs: Jobs) -> None:
    program = jobs.program("import sys; sys.stdout.write('y' * 3_000_000)")
    result = jobs.run("-n", "2", program)
    assert result.stdout.count(b"y") == 6_000_000
    assert set(result.stdout) == set(b"y\n")


@pytest.mark.parametrize("size", [1, 2])
def test_binary_output_through_a_slow_reader(jobs: Jobs, size: int) -> None:
    program = jobs.program(
        """
        import os, random, sys
        if "rank:0" in os.environ["PYGAS_BOOT"]:
            sys.stdout.buffer.write(random.Random(1).randbytes(8_000_000))
        """
    )
    job = jobs.start("-n", str(size), program)
    assert job.process.stdout is not None
    read, expected = hashlib.sha256(), hashlib.sha256()
    while data := os.read(job.process.stdout.fileno(), 20_000):
        read.update(data)
        select.select([], [], [], 0.001)
    expected.update(random.Random(1).randbytes(8_000_000))
    assert read.digest() == expected.digest()
    assert job.finish().returncode == 0


def test_a_blocked_reader_stalls_neither_wire_up_nor_signals(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal, sys, threading
        boot.put(b"")
        def flood():
            while True:
                print("x" * 1000)
        threading.Thread(target=flood, daemon=True).start()
        for _ in range(2000):
            boot.fence()
        open("done-%d" % boot.rank, "w").close()
        signal.pause()
        """
    )
    job = jobs.start("-n", "2", program)
    end = time.monotonic() + LIMIT
    while not all((jobs.directory / f"done-{rank}").exists() for rank in range(2)):
        assert time.monotonic() < end
        time.sleep(0.01)
    job.signal(signal.SIGTERM)
    job.process.wait(LIMIT)  # though nobody reads its output
    assert job.process.returncode == 143


def test_closed_stdout_ends_the_job_quietly(jobs: Jobs) -> None:
    program = jobs.program(
        """
        while True:
            print("line")
        """
    )
    job = jobs.start("-n", "2", program)
    job.read_until(b"line\n", 3)
    assert job.process.stdout is not None
    job.process.stdout.close()
    job.process.stdout = None
    result = job.finish()
    assert (result.returncode, result.stderr) == (141, b"")


def test_head(jobs: Jobs) -> None:
    program = jobs.program("for i in range(100_000): print('line', i)")
    command = f"{sys.executable} -m pygas run -n 3 {program} | head -n 2; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=jobs.directory,
        env=jobs.environment,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert result.stdout.splitlines()[2:] == [b"141"]
    assert result.stderr == b""


def test_full_disk(jobs: Jobs) -> None:
    program = jobs.program("while True: print('line')")
    with open("/dev/full", "wb") as full:
        result = jobs.run("-n", "2", program, stdout=full)
    assert result.returncode == 1
    assert result.stderr == b"pygas: cannot write to standard output: No space left on device\n"


def test_output_directory(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, os, signal, sys
        print("out of", boot.rank)
        print("err of", boot.rank, file=sys.stderr)
        boot.put(b"")
        boot.fence()
        if boot.rank == 3:
            raise ValueError("in a file")
        signal.pause()
        """
    )
    result = jobs.run("-n", "11", "--output-dir", "a/b", program)
    assert (result.returncode, result.stdout) == (1, b"")
    start = b"pygas: rank 3 of 11 exited with code 1\nTraceback (most recent call last):\n"
    assert result.stderr.startswith(start)
    assert result.stderr.endswith(b"ValueError: in a file\n")
    directory = jobs.directory / "a" / "b"
    names = {f"rank-{rank:02d}.{kind}" for rank in range(11) for kind in ("out", "err")}
    assert {path.name for path in directory.iterdir()} == names
    assert (directory / "rank-07.out").read_bytes() == b"out of 7\n"
    assert (directory / "rank-07.err").read_bytes() == b"err of 7\n"


def test_stdin_goes_to_rank_0_only(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, hashlib, sys
        print(boot.rank, hashlib.md5(sys.stdin.buffer.read()).hexdigest())
        """
    )
    data = os.urandom(3_000_000)
    result = jobs.run("-n", "3", "--tag-output", program, given=data)
    full, empty = hashlib.md5(data).hexdigest(), hashlib.md5(b"").hexdigest()
    expected = [f"[{i}] {i} {empty if i else full}" for i in range(3)]
    assert sorted(result.stdout.decode().splitlines()) == expected


def test_stdin_from_a_file(jobs: Jobs) -> None:
    program = jobs.program("import sys; print(len(sys.stdin.read()))")
    with open(program) as file:
        size = os.fstat(file.fileno()).st_size
        assert jobs.run("-n", "2", program, stdin=file).stdout.splitlines().count(b"0") == 1
        file.seek(0)
        assert jobs.run(program, stdin=file).stdout == b"%d\n" % size


@pytest.mark.parametrize("action", ["os.close(0)", "pass"])
def test_stdin_that_nobody_reads(jobs: Jobs, action: str) -> None:
    program = jobs.program(f"import os; {action}; print('done')")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.write(writer, b"x" * 60_000)
    result = jobs.run("-n", "2", program, stdin=reader)
    os.close(reader)
    os.close(writer)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"done\n" * 2, b"")


def test_standard_streams_that_are_closed(jobs: Jobs) -> None:
    program = jobs.program("import sys; print(sys.stdin.read(), 'done')")
    command = f"exec {sys.executable} -m pygas run -n 2 {program} <&- >&- 2>&-"
    process = subprocess.run(
        ["sh", "-c", command], cwd=jobs.directory, env=jobs.environment, timeout=LIMIT, check=False
    )
    assert process.returncode == 0


class Terminal:
    """A command that runs in a session of its own on a new terminal."""

    def __init__(self, jobs: Jobs, command: list[str]) -> None:
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(jobs.directory)
                os.execvpe(command[0], command, jobs.environment)
            finally:
                os._exit(127)

    def read_until(self, pattern: bytes) -> None:
        end = time.monotonic() + LIMIT
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, self.seen
            self.seen += os.read(self.fd, 4096)

    def finish(self) -> int:
        end = time.monotonic() + LIMIT
        while True:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_prompts_are_shown_at_a_terminal(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import os
        if "rank:0" in os.environ["PYGAS_BOOT"]:
            name = input("who? ")
            print("hello", name)
        """
    )
    command = [sys.executable, "-m", "pygas", "run", "-n", "2", "--tag-output", program]
    terminal = Terminal(jobs, command)
    terminal.read_until(rb"\[0\] who\? $")
    os.write(terminal.fd, b"Ada\n")
    assert terminal.finish() == 0
    assert terminal.seen == b"[0] who? Ada\r\n[0] hello Ada\r\n"


def test_end_of_file_at_a_terminal(jobs: Jobs) -> None:
    program = jobs.program("import sys; print('up'); print(len(sys.stdin.read()))")
    terminal = Terminal(jobs, [sys.executable, "-m", "pygas", "run", program])
    terminal.read_until(b"up")
    os.write(terminal.fd, b"abc\n\x04")
    assert terminal.finish() == 0
    assert terminal.seen.endswith(b"\r\n4\r\n")


def test_control_c_at_a_terminal(jobs: Jobs) -> None:
    program = jobs.program("import signal; print('up', flush=True); signal.pause()")
    terminal = Terminal(jobs, [sys.executable, "-m", "pygas", "run", "-n", "2", program])
    terminal.read_until(rb"up(?s:.*)up")
    os.write(terminal.fd, b"\x03")
    assert terminal.finish() == 130
    assert terminal.seen.endswith(b"pygas: the job was ended by SIGINT\r\n")


def test_a_background_job_does_not_touch_the_terminal(jobs: Jobs) -> None:
    program = jobs.program("import time; time.sleep(0.4); print('finished')")
    command = f"set -m; {sys.executable} -m pygas run -n 2 {program} & read line; wait; echo $line"
    terminal = Terminal(jobs, ["bash", "-c", command])
    terminal.read_until(rb"finished(?s:.*)finished")
    os.write(terminal.fd, b"for the shell\n")
    assert terminal.finish() == 0
    assert terminal.seen.endswith(b"\r\nfor the shell\r\n")
    assert b"Stopped" not in terminal.seen
