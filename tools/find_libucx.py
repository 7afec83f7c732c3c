#!/usr/bin/env python3
"""Print the directory of the libucx wheel (its include/ and lib/), or fail."""

import importlib.util
import sys


def main() -> int:
    spec = importlib.util.find_spec("libucx")
    if spec is None or not spec.submodule_search_locations:
        return 1
    print(next(iter(spec.submodule_search_locations)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
