"""``pygas info``: what this installation is made of."""

from __future__ import annotations

import argparse
import platform
import sys
from typing import TYPE_CHECKING

from pygas import _job
from pygas._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command: it has none."""


def _table(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    """Lay out rows of cells in columns; the last column is as wide as it likes."""
    cells = list(rows)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]) - 1)]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*padded, row[-1]]).rstrip()


def main(args: argparse.Namespace) -> int:
    """Print versions, the conduit with its transports, and the settings in force."""
    core = _job.core()
    conduit = core.describe()
    print(f"PyGAS    {__version__}")
    print(f"Python   {platform.python_version()} ({sys.executable})")
    print(f"System   {platform.platform()}")
    print(f"Conduit  {conduit}")
    print()
    print("Settings (environment variables):")
    header = ("name", "value", "default", "meaning")
    rows = [(name, value, default, text) for name, _type, value, default, text in core.config()]
    for line in _table([header, *rows]):
        print(f"  {line}")
    return 0
