"""Where large results land: memory that is used again, and for how long it is kept."""

from __future__ import annotations

import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from typing import Any

import numpy as np
import pytest
from conftest import HERE, run_ranks

import pygas

LARGE = 3 << 20

# Free-threaded interpreters keep no bytes objects: the memory of these is their allocator's.
KEEPS_BYTES = not sysconfig.get_config_var("Py_GIL_DISABLED")


def made(kind: type, size: int, value: int) -> Any:
    if kind is np.ndarray:
        return np.full(size, value, dtype="u1")
    return kind([value]) * size


def neighbour() -> Any:
    return pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS)


def stats() -> dict[str, int]:
    return pygas._job.core().landing_stats()


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.ranks(2)
def test_dropped_results_are_received_into_again() -> None:
    before = stats()
    for kind in (np.ndarray, bytes):
        for i in range(20):
            result = neighbour().call(made, kind, LARGE + i, i)
            assert len(result) == LARGE + i
            assert bytes(result[:1000]) == bytes(result[-1000:]) == bytes([i]) * 1000
    after = stats()
    assert after["reused"] - before["reused"] >= 15
    if KEEPS_BYTES:
        assert after["bytes_reused"] - before["bytes_reused"] >= 15
    else:
        assert after["bytes_reused"] == after["bytes_kept"] == 0


def switches() -> int:
    """How often threads of this process other than this one went to sleep so far."""
    count = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        if task.name != str(threading.get_native_id()):
            status = (task / "status").read_text()
            count += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return count


@pytest.mark.ranks(2)
def test_reading_large_results_rouses_no_other_thread() -> None:
    """Not once for each: the progress thread comes round each half millisecond as it is."""
    count = 1000
    holder = pygas.share(np.zeros(LARGE, dtype="u1"))
    for side in (0, 1):  # each rank reads, while the other waits
        pygas.barrier()
        begin, before = time.monotonic(), switches()
        if side == pygas.MYTHREAD:
            for _ in range(count):
                assert len(holder[:100_000]) == 100_000
        pygas.barrier()
        ticks = (time.monotonic() - begin) / 500e-6
        woken = switches() - before
        print(side, woken, ticks)
        assert woken < 200 + 2 * ticks
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_result_in_use_is_left_alone() -> None:
    for kind in (np.ndarray, bytes, bytearray):
        held = [neighbour().call(made, kind, LARGE, i) for i in range(8)]
        views = [memoryview(neighbour().call(made, kind, LARGE, 100 + i)) for i in range(4)]
        slices = [neighbour().call(made, kind, LARGE, 200 + i)[5:LARGE:7] for i in range(4)]
        for i in range(8):
            neighbour().call(made, kind, LARGE, 50 + i)
        for i, result in enumerate(held):
            assert type(result) is kind
            assert bytes(result) == bytes([i]) * LARGE
        for i, view in enumerate(views):
            assert bytes(view) == bytes([100 + i]) * LARGE
        for i, part in enumerate(slices):
            assert set(bytes(part)) == {200 + i}
    pygas.barrier()


@pytest.mark.ranks(2)
def test_bytes_received_again_are_new_objects() -> None:
    seen = {}
    for size in (LARGE, LARGE - 100_000, LARGE - 1, LARGE):
        for value in (1, 2):
            result = neighbour().call(made, bytes, size, value)
            expected = bytes([value]) * size
            assert result == expected
            assert hash(result) == hash(expected)
            assert len(result) == size
            assert sys.getsizeof(result) == sys.getsizeof(expected)
            assert result[size:] == b""
            assert bytearray(result).find(0) == -1
            seen[size, value] = hash(result)
            del result
    assert len(set(seen.values())) == 6
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_is_idle_goes_back_to_the_system() -> None:
    for kind in (np.ndarray, bytes):
        neighbour().call(made, kind, LARGE, 1)
    assert stats()["kept"] >= LARGE
    assert stats()["bytes_kept"] >= LARGE or not KEEPS_BYTES
    wait_until(lambda: stats()["kept"] == stats()["bytes_kept"] == 0)
    assert neighbour().call(made, np.ndarray, LARGE, 7)[-1] == 7
    pygas.barrier()


def resident() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def receive(kind: type) -> int:
    """Receive some large results, and drop them; return what is in memory with them."""
    results = [neighbour().call(made, kind, 40 << 20, i) for i in range(10)]
    assert {len(result) for result in results} == {40 << 20}
    return resident()


@pytest.mark.ranks(2)
def test_no_more_than_the_limit_is_kept() -> None:
    before = resident()
    for kind in (np.ndarray, bytes) if KEEPS_BYTES else (np.ndarray,):
        assert receive(kind) - before > 350 << 20
        assert stats()["kept"] <= 128 << 20
        assert stats()["bytes_kept"] <= 128 << 20
        wait_until(lambda: resident() - before < 60 << 20)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_bytes_take_no_more_memory_when_they_come_again() -> None:
    """Also where their memory is the interpreter's, which may keep as much as it once needed."""
    most = receive(bytes)
    for _ in range(5):
        assert receive(bytes) - most < 200 << 20
    pygas.barrier()


@pytest.mark.ranks(2)
def test_arrays_are_aligned_writable_and_outlive_the_job() -> None:
    for size in (5000, 100_000, LARGE):
        array = neighbour().call(np.ones, size)
        assert array.ctypes.data % 16 == 0
        assert array.flags.writeable
        array *= 2
        assert array.sum() == 2 * size
    pygas.barrier()
    sys.modules["outliving"] = array  # type: ignore[assignment]


class Wrapped:
    """Gives pickle a buffer of its own to send beside the stream."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: int) -> Any:
        return Wrapped, (pickle.PickleBuffer(self.data),)


@pytest.mark.ranks(1, 2)
def test_pickled_buffers_arrive_as_what_they_were() -> None:
    for data in (b"ab" * LARGE, bytearray(b"cd" * LARGE), b"ef" * 10):
        both = neighbour().call(lambda a: [a, np.ones(9999), a], Wrapped(data))
        got = both[0].data
        assert both[0] is both[2]
        assert type(got) is type(data) or len(data) < 4096
        assert bytes(got) == bytes(data)
        assert both[1].sum() == 9999
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_forked_child_keeps_its_arrays() -> None:
    held = neighbour().call(made, np.ndarray, LARGE, 5)
    dropped = neighbour().call(made, np.ndarray, LARGE, 6)
    del dropped
    child = os.fork()
    if child == 0:
        held += 1
        code = 0 if (held == 6).all() and stats()["kept"] == 0 else 1
        del held
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (held == 5).all()
    pygas.barrier()


FORBID = """
#include <errno.h>
#include <sys/types.h>
#include <sys/uio.h>
ssize_t process_vm_readv(pid_t pid, const struct iovec *a, unsigned long n, const struct iovec *b,
                         unsigned long m, unsigned long flags)
{
    errno = EPERM;
    return -1;
}
"""


def same(value: Any) -> Any:
    return value


def there_and_back() -> None:
    """Run by every rank of a job that `with_settings` starts."""
    for size in (1, 4096, 70_000, LARGE):
        for kind in (np.ndarray, bytes, bytearray):
            sent = made(kind, size, size % 251)
            got = neighbour().call(same, sent)
            assert type(got) is kind
            assert bytes(got) == bytes(sent)
    many = [np.full(1024, i) for i in range(1000)]
    for i, array in enumerate(neighbour().call(same, many)):
        assert (array == i).all()
    futures = [neighbour().submit(made, np.ndarray, LARGE + i, i) for i in range(40)]
    del futures[::2]
    for i, future in enumerate(futures):
        assert (future.result() == 2 * i + 1).all()
    pygas.barrier()


def with_settings(**environment: str) -> None:
    words = [HERE / "rankmain.py", __file__, "there_and_back"]
    result = run_ranks(2, *words, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr


def test_without_reading_each_others_memory() -> None:
    with_settings(PYGAS_DIRECT="never")


def test_through_the_transport_alone() -> None:
    with_settings(PYGAS_RINGS="never")
    with_settings(PYGAS_RINGS="never", PYGAS_DIRECT="never")


def test_over_tcp() -> None:
    with_settings(PYGAS_DIRECT="never", PYGAS_UCX_TLS="tcp,self", PYGAS_RINGS="never")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
def test_where_the_system_forbids_reading(tmp_path: pathlib.Path) -> None:
    source, library = tmp_path / "forbid.c", tmp_path / "forbid.so"
    source.write_text(FORBID)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    with_settings(LD_PRELOAD=str(library), PYGAS_UCX_TLS="posix,self")


def test_keeping_nothing(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import pygas, numpy as np\n"
        "p = pygas.share(np.ones(10**6))\n"
        "assert all(pygas.resolve(p).sum() == 10**6 for _ in range(5))\n"
        "pygas.barrier()\n"
        "print(pygas._job.core().landing_stats())\n"
    )
    result = run_ranks(2, program, env={**os.environ, "PYGAS_LANDING_KEEP": "0"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("'kept': 0, 'reused': 0") == 2, result.stdout
