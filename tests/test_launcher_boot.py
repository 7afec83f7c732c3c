"""Ranks, their environment, and the wire-up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcherkit import Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Jobs(tmp_path) as running:
        yield running


@pytest.mark.parametrize("size", [1, 2, 5])
def test_environment(jobs: Jobs, size: int) -> None:
    program = jobs.program(
        """
        import os, sys
        print(os.environ["PYGAS_BOOT"], os.environ["PYTHONUNBUFFERED"], sys.argv[1:])
        """
    )
    result = jobs.run("-n", str(size), program, "-n", "7", "--", "-m", "x")
    assert (result.returncode, result.stderr) == (0, b"")
    pattern = r"fd:(\d+),rank:(\d+),size:(\d+),key:([0-9a-f]{32}) 1 \['-n', '7', '--', '-m', 'x'\]"
    found = [re.fullmatch(pattern, line) for line in result.stdout.decode().splitlines()]
    matches = [match.groups() for match in found if match]
    assert sorted(int(rank) for _, rank, _, _ in matches) == list(range(size))
    assert {total for _, _, total, _ in matches} == {str(size)}
    assert len({key for _, _, _, key in matches}) == 1


def test_default_is_one_rank_and_settings_of_the_user_are_kept(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import os
        print(os.environ["PYGAS_BOOT"].split(",")[2], os.environ["PYTHONUNBUFFERED"])
        """
    )
    jobs.environment.update(PYTHONUNBUFFERED="x", PYGAS_BOOT="fd:999,rank:3,size:9,key:0")
    assert jobs.run(program).stdout == b"size:1 x\n"


def test_ranks_share_the_cores_for_threads_of_libraries(jobs: Jobs) -> None:
    program = jobs.program("import os; print(os.environ['OMP_NUM_THREADS'])")
    jobs.environment.pop("OMP_NUM_THREADS", None)
    cores = len(os.sched_getaffinity(0))
    assert jobs.run("-n", "2", program).stdout.split() == [b"%d" % max(1, cores // 2)] * 2
    jobs.environment["OMP_NUM_THREADS"] = "7"
    assert jobs.run("-n", "2", program).stdout.split() == [b"7"] * 2


def test_keys_differ_between_jobs(jobs: Jobs) -> None:
    program = jobs.program("import boot; print(boot.key)")
    assert jobs.run(program).stdout != jobs.run(program).stdout


def test_descriptors_and_groups_are_separate(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import os
        fds = []
        for fd in range(256):
            try:
                os.fstat(fd)
                fds.append(fd)
            except OSError:
                pass
        boot = int(os.environ["PYGAS_BOOT"].split(",")[0].removeprefix("fd:"))
        assert fds == [0, 1, 2, boot], fds
        assert os.getpgrp() == os.getpid()
        print("good")
        """
    )
    result = jobs.run("-n", "4", program)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"good\n" * 4, b"")


def test_descriptors_given_to_the_launcher_reach_the_ranks(jobs: Jobs) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"given")
    os.close(writer)
    program = jobs.program(f"import os; print(os.read({reader}, 99))")
    result = jobs.run(program, pass_fds=[reader])
    os.close(reader)
    assert result.stdout == b"b'given'\n"


def test_a_launcher_in_a_rank(jobs: Jobs) -> None:
    inner = jobs.program("import boot; boot.put(b''); boot.fence(); boot.bye()", "inner.py")
    program = jobs.program(
        f"""
        import subprocess, sys, boot
        boot.put(b"outer")
        boot.sock.set_inheritable(True)
        code = subprocess.run(
            [sys.executable, "-m", "pygas", "run", "-n", "3", {inner!r}], close_fds=False
        ).returncode
        assert code == 0
        boot.fence()
        boot.bye()
        """
    )
    result = jobs.run("-n", "2", program)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("size", [1, 2, 4, 32])
def test_wire_up(jobs: Jobs, size: int) -> None:
    program = jobs.program(
        """
        import boot
        boot.put(b"address of %d" % boot.rank)
        boot.fence()
        for other in range(boot.size):
            assert boot.get(other) == b"address of %d" % other
        boot.fence()
        boot.bye()
        """
    )
    result = jobs.run("-n", str(size), program)
    assert (result.returncode, result.stderr) == (0, b"")


def test_get_before_put_is_answered_later(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot
        if boot.rank == 0:
            boot.send(boot.GET, (1).to_bytes(4, "little"))
            boot.send(boot.GET, (1).to_bytes(4, "little"))
            boot.put(b"go")
            assert [boot.receive()[1][4:] for _ in range(2)] == [b"late"] * 2
        else:
            assert boot.get(0) == b"go"
            boot.put(b"late")
        boot.bye()
        """
    )
    result = jobs.run("-n", "2", program)
    assert (result.returncode, result.stderr) == (0, b"")


def test_large_addresses_and_slow_readers_of_answers(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, struct
        blob = bytes([boot.rank]) * (1 << 20)
        boot.put(blob)
        boot.fence()
        for _ in range(20):
            for other in range(boot.size):
                boot.send(boot.GET, struct.pack("=I", other))
        boot.send(boot.FENCE)
        for _ in range(20):
            for other in range(boot.size):
                kind, payload = boot.receive()
                assert payload == struct.pack("=I", other) + bytes([other]) * (1 << 20)
        assert boot.receive() == (boot.FENCE_DONE, b"")
        boot.bye()
        """
    )
    result = jobs.run("-n", "2", program)
    assert (result.returncode, result.stderr) == (0, b"")


def test_frames_in_pieces_and_fences_in_advance(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, struct, time
        data = struct.pack("=II", boot.PUT, 3) + b"abc" + struct.pack("=II", boot.FENCE, 0) * 3
        for byte in data:
            boot.sock.send(bytes([byte]))
        assert [boot.receive() for _ in range(3)] == [(boot.FENCE_DONE, b"")] * 3
        boot.bye()
        """
    )
    result = jobs.run("-n", "3", program)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("send(99)", b"unknown frame type 99"),
        ("send(boot.FENCE_DONE)", b"unknown frame type 3"),
        ("sock.sendall(struct.pack('=II', 1, (1 << 20) + 1))", b"a frame of 1048577 bytes"),
        ("send(boot.GET, struct.pack('=I', 3))", b"GET of rank 3, there are 3"),
        ("send(boot.GET, b'x')", b"GET with 1 bytes instead of 4"),
        ("send(boot.ABORT, b'x')", b"ABORT with 1 bytes instead of 4"),
        ("put(b''); boot.put(b'')", b"a second PUT"),
    ],
)
def test_malformed_frames(jobs: Jobs, call: str, message: bytes) -> None:
    program = jobs.program(
        f"""
        import boot, signal, struct
        if boot.rank == 1:
            boot.{call}
        signal.pause()
        """
    )
    result = jobs.run("-n", "3", program)
    assert result.returncode == 1
    assert result.stderr.startswith(b"pygas: rank 1 of 3 broke the boot protocol: " + message)


def test_abort(jobs: Jobs) -> None:
    program = jobs.program(
        """
        import boot, signal
        boot.put(b"")
        if boot.rank == 2:
            boot.abort(42, "no hope \\N{SNOWMAN}")
        signal.pause()
        """
    )
    result = jobs.run("-n", "3", program)
    assert result.returncode == 42
    assert result.stderr.decode() == "pygas: rank 2: no hope \N{SNOWMAN}\n"
