"""Run one test function on one rank: rankmain.py FILE FUNCTION. See conftest.py."""

from __future__ import annotations

import importlib
import pathlib
import sys


def main() -> None:
    path, function = pathlib.Path(sys.argv[1]), sys.argv[2]
    sys.path.insert(0, str(path.parent))
    getattr(importlib.import_module(path.stem), function)()
    print("rankmain: passed", flush=True)


if __name__ == "__main__":
    main()
