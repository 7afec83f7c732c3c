"""Tests that run on every rank of a job.

A test function marked ``@pytest.mark.ranks(1, 2, 4)`` is run once for each of the numbers: its
body is executed by all ranks of a job of that size, started with ``pygas run`` in processes of its
own, with a hard time limit (``timeout=`` seconds, default 60), so that a hang is a failure. The
module is imported by its name on the ranks, so its functions and classes can travel.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence

import pytest

HERE = pathlib.Path(__file__).resolve().parent

# What is tested is the installed package. `python -m pytest` in a clone would find the source tree
# first, which has no extension; so would the jobs, which run elsewhere for that reason.
sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != HERE.parent]
DEFAULT_TIMEOUT = 60.0

# A job started with these ignored leaves them ignored, and so the tests may be: in the background
# of a plain shell (SIGINT and SIGQUIT) or by nohup (SIGHUP).
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def locked() -> bool:
    """Tell if there is an interpreter lock, and it is on."""
    enabled: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return enabled


def run_command(
    command: Sequence[str | os.PathLike[str]],
    timeout: float = DEFAULT_TIMEOUT,
    **options: object,
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output captured; kill its whole process group when time is up."""
    options.setdefault("cwd", HERE)
    with subprocess.Popen(
        [os.fspath(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        **options,  # type: ignore[call-overload]
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"no end within {timeout} s: {command}\n{out}\n{err}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_ranks(
    count: int, *words: str | os.PathLike[str], timeout: float = DEFAULT_TIMEOUT, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run ``pygas run -n count words...``."""
    launcher = [sys.executable, "-m", "pygas", "run", "-n", str(count)]
    return run_command([*launcher, *words], timeout, **options)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ranks(*numbers, timeout=60): run on jobs of these sizes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("ranks")
    if marker is not None:
        metafunc.fixturenames.append("rank_count")
        metafunc.parametrize("rank_count", marker.args, ids=lambda n: f"{n}ranks")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    marker = pyfuncitem.get_closest_marker("ranks")
    if marker is None:
        return None
    timeout = marker.kwargs.get("timeout", DEFAULT_TIMEOUT)
    count = pyfuncitem.callspec.params["rank_count"]
    result = run_ranks(
        count,
        "--tag-output",
        HERE / "rankmain.py",
        pyfuncitem.path,
        pyfuncitem.originalname,
        timeout=timeout,
    )
    if result.returncode != 0:
        pytest.fail(
            f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}", pytrace=False
        )
    assert result.stdout.count("rankmain: passed") == count, result.stdout + result.stderr
    return True


def shared_memory_files() -> set[str]:
    """Name what is in /dev/shm, and the System V segments."""
    segments = pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {*os.listdir("/dev/shm"), *(line.split()[1] for line in segments)}


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Check that the test leaves no shared memory."""
    before = shared_memory_files()
    yield
    assert shared_memory_files() <= before


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep ranks from printing what CPython thinks of fork() in a process with threads."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:This process:DeprecationWarning")


@pytest.fixture
def interpreter_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ranks run with the interpreter lock, where they could do without."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        monkeypatch.setenv("PYTHON_GIL", "1")


@pytest.fixture(autouse=True)
def gate(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a file, for this test only, through which its ranks can tell each other something."""
    monkeypatch.setenv("PYGAS_TEST_GATE", str(tmp_path / "gate"))
