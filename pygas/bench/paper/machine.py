"""What the measurements were made on and with."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys

# Run by a process of its own, so that all of it is free again when it ends. Private, since shared
# memory has no huge pages here, and pages of 4 KiB are not what the arrays get afterwards.
_TOUCH = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_HUGEPAGE)
for start in range(0, len(memory), mmap.PAGESIZE):
    memory[start] = 1
"""


def describe() -> dict[str, str]:
    """Name the machine and the versions of what is compared."""
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "load average at the start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    for package in ("pygas", "numpy", "mpi4py", "rpyc"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    for label, command in (
        ("MPI", ["mpirun", "--version"]),
        ("C compiler", ["mpicc", "--version"]),
    ):
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            found[label] = said.splitlines()[0] if said else "?"
        except FileNotFoundError:
            found[label] = "not installed"
    return found


def touch_memory(size: int) -> None:
    """Take `size` bytes of memory and give them back, so that the next program finds them ready.

    At most half of what is available.

    The host of a virtual machine may take back memory that is free for two seconds ("free page
    reporting"). Whoever uses it next waits for the host, seconds for a GiB: without this a program
    would be measured by which one ran before it, and by how much memory that one had used.
    """
    size = min(size, _available() // 2)
    subprocess.run([sys.executable, "-c", _TOUCH, str(size)], check=True)


def _available() -> int:
    text = pathlib.Path("/proc/meminfo").read_text()
    found = re.search(r"^MemAvailable: +(\d+) kB", text, re.M)
    return int(found[1]) * 1024 if found else 2**31


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
