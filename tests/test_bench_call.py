"""``pygas bench call``: each row is there, also those of calls that pass Proxies."""

from __future__ import annotations

import re
import sys

from conftest import run_command


def test_a_round() -> None:
    command = [sys.executable, "-m", "pygas", "bench", "call", "--rounds", "1", "--count", "100"]
    result = run_command(command, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = dict(re.findall(r"^(\S.*?) +([0-9.]+) +[0-9.]+$", result.stdout, re.MULTILINE))
    assert all(0 < float(time) < 1e6 for time in rows.values())
    wanted = {
        "raw active message",
        "attribute read",
        "method call, 1 argument",
        "passing a Proxy",
        "passing a Proxy to a new object",
        "passing a tuple of 10 Proxies",
        "returning a Proxy",
    }
    assert wanted <= set(rows), result.stdout
    # What they are compared with is as long, so not empty.
    lengths = re.findall(r"^(?:passing|returning) (\d+) bytes", result.stdout, re.MULTILINE)
    assert len(lengths) == 3
    assert all(int(length) > 20 for length in lengths), lengths
