"""A short version of tools/kill_test.py: launchers and ranks are killed at random moments."""

from __future__ import annotations

import pathlib
import sys
import time

from conftest import run_command

TOOL = pathlib.Path(__file__).resolve().parent.parent / "tools" / "kill_test.py"


def test_random_kills() -> None:
    seed = int(time.time()) % 1_000_000  # other ones each time; it is shown if something is wrong
    command = [sys.executable, TOOL, "--seconds", "30", "--seed", str(seed)]
    result = run_command(command, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 wrong, " in result.stdout
