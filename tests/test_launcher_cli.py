"""The ``pygas`` command itself."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from launcherkit import LIMIT


def pygas(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pygas", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["--bogus"]])
def test_wrong_commands(arguments: list[str]) -> None:
    result = pygas(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: pygas")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help(arguments: list[str]) -> None:
    result = pygas(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: pygas")


def test_version() -> None:
    try:
        version = importlib.metadata.version("pygas")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pygas is not installed")
    assert pygas("--version").stdout == version + "\n"


def test_the_launcher_starts_light() -> None:
    code = (
        "import sys; from pygas.cli import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'pygas._core', 'pygas.info') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert result.stdout.endswith("\n[]\n")
