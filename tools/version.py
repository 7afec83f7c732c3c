#!/usr/bin/env python3
"""Print the version of the project, which is written down once, in pygas/_version.py."""

import pathlib
import re
import sys


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    text = (root / "pygas" / "_version.py").read_text(encoding="utf-8")
    match = re.search(r'__version__ = "([^"]+)"', text)
    if match is None:
        return 1
    print(match.group(1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
