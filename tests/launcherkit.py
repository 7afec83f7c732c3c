"""What the launcher's tests share: starting jobs with a hard time limit, and a boot client."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

LIMIT = 30.0
MARK = "PYGAS_TEST_MARK"

BOOT_CLIENT = """
import os, socket, struct

PUT, FENCE, FENCE_DONE, GET, VALUE, BYE, ABORT = range(1, 8)
fields = dict(item.split(":") for item in os.environ["PYGAS_BOOT"].split(","))
rank, size, key = int(fields["rank"]), int(fields["size"]), fields["key"]
sock = socket.socket(fileno=int(fields["fd"]))
sock.set_inheritable(False)

def send(kind, payload=b""):
    sock.sendall(struct.pack("=II", kind, len(payload)) + payload)

def exactly(count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError("the launcher is gone")
        data += part
    return data

def receive():
    kind, length = struct.unpack("=II", exactly(8))
    return kind, exactly(length)

def put(blob):
    send(PUT, blob)

def fence():
    send(FENCE)
    assert receive() == (FENCE_DONE, b"")

def get(other):
    send(GET, struct.pack("=I", other))
    kind, payload = receive()
    assert kind == VALUE and payload[:4] == struct.pack("=I", other)
    return payload[4:]

def bye():
    send(BYE)

def abort(code, text):
    send(ABORT, struct.pack("=i", code) + text.encode())
    sock.recv(1)
"""


class Job:
    """A running launcher."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.seen = b""

    def read_until(self, text: bytes, count: int = 1) -> None:
        """Read stdout until it has shown a text so many times."""
        assert self.process.stdout is not None
        end = time.monotonic() + LIMIT
        while self.seen.count(text) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            assert ready, f"only {self.seen!r} was shown"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"only {self.seen!r} was shown"
            self.seen += data

    def signal(self, number: int) -> None:
        """Send a signal to the launcher alone."""
        os.kill(self.pid, number)

    def finish(self, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Wait for the end; what was shown since the start is in the result."""
        out, err = self.process.communicate(stdin, timeout=LIMIT)
        args = self.process.args
        return subprocess.CompletedProcess(
            args, self.process.returncode, self.seen + (out or b""), err or b""
        )


class Jobs:
    """Start jobs in a directory; at the end no process of theirs may be left."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._mark = uuid.uuid4().hex
        self.environment = {**os.environ, MARK: self._mark}
        self._processes: list[subprocess.Popen[bytes]] = []
        (directory / "boot.py").write_text(BOOT_CLIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        left = self.wait_for_none()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind is None:
            assert not left, "processes were left behind"

    def program(self, text: str, name: str = "prog.py") -> str:
        """Write a program and return its path."""
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    def start(self, *arguments: str, **options: object) -> Job:
        """Start ``pygas run`` with its standard streams connected to pipes."""
        settings: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": self.directory,
            "env": self.environment,
            "start_new_session": True,
        }
        settings.update(options)
        command = [sys.executable, "-m", "pygas", "run", *arguments]
        process = subprocess.Popen(command, **settings)  # type: ignore[call-overload]
        self._processes.append(process)
        return Job(process)

    def run(
        self, *arguments: str, given: bytes | None = None, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``pygas run`` to its end."""
        if given is not None:
            options["stdin"] = subprocess.PIPE
        return self.start(*arguments, **options).finish(given)

    def processes(self) -> list[int]:
        """Return the processes that descend from one of the jobs and are not zombies."""
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                # The environment of a zombie cannot be read, or is empty.
                if mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
        return found

    def wait_for_none(self, seconds: float = 5.0) -> list[int]:
        """Wait until no process is left and return those that are."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.01)
        return left
