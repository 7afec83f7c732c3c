"""What the measurements were made on and with."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess


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
