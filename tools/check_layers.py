#!/usr/bin/env python3
"""Check the layers of the C code (docs/architecture.md): who may include what, and that the runtime
needs no Python.

Usage: check_layers.py [ARCHIVE]    ARCHIVE: a built libgas.a, whose symbols are checked as well.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

# Layer (a folder, or one file and its header) -> the layers of ours that it may include, from the
# bottom up. A file belongs to the first one that matches.
LAYERS = {
    "gas/testing": {"gas/testing", "gas/boot", "gas/conduit", "gas/conduit/loopback", "gas"},
    "gas/boot": {"gas/boot", "gas"},
    "gas/conduit/near": {"gas/conduit/near", "gas/boot", "gas"},
    "gas/conduit/ucx": {"gas/conduit/ucx", "gas/conduit/near", "gas/conduit", "gas/boot", "gas"},
    # The unit tests' conduit finds its hub through the boot of the unit tests.
    "gas/conduit/loopback": {"gas/conduit/loopback", "gas/conduit", "gas/testing", "gas"},
    "gas/conduit": {"gas/conduit", "gas/boot", "gas"},
    "gas": {"gas", "gas/boot", "gas/conduit"},
    "binding": {"binding", "gas"},
}

# What the lower layers may take from src/gas itself: its leaves, which include nothing of ours
# but each other.
LEAVES = {"clock.h", "config.h", "config.def", "pool.h", "status.h", "thread.h"}

# System headers that only one layer may include.
RESERVED = {
    "Python.h": {"binding"},
    "structmember.h": {"binding"},
    "internal/": {"binding"},
    "ucp/": {"gas/conduit/ucx"},
    "uct/": {"gas/conduit/ucx"},
    "ucs/": {"gas/conduit/ucx"},
    "gasnet": {"gas/conduit/gasnet"},
    "pmix": {"gas/boot"},
}


def layer_of(path: pathlib.Path) -> str:
    relative = path.relative_to(SOURCE).as_posix()
    return next(layer for layer in LAYERS if relative.startswith((layer + "/", layer + ".")))


def problem_with_ours(path: pathlib.Path, layer: str, name: str) -> str | None:
    """Say what is wrong with `path` including the file `name` in quotes; None if nothing is."""
    target = (path.parent / name).resolve()
    if not target.exists():
        target = SOURCE / name
    if not target.exists():
        return f"includes {name}, which is nowhere"
    target_layer = layer_of(target)
    is_test = path.stem.endswith("_test")
    if is_test and layer.startswith("gas"):
        return None if target_layer.startswith("gas") else f"is a test and includes {name}"
    if is_test and target_layer == "gas/testing":
        return None
    if target_layer not in LAYERS[layer]:
        return f"is in layer {layer} and includes {name} of layer {target_layer}"
    below_gas = layer.startswith(("gas/boot", "gas/conduit"))
    if below_gas and target_layer == "gas" and target.name not in LEAVES:
        return f"is in layer {layer} and includes {name}, which is above it"
    if layer == "binding" and target_layer == "gas" and name != "gas/gas.h":
        return f"includes {name}: the runtime's one public header is gas/gas.h"
    return None


def problems_of(path: pathlib.Path) -> list[str]:
    layer = layer_of(path)
    found = []
    for bracket, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if bracket == '"':
            problem = problem_with_ours(path, layer, name)
            if problem is not None:
                found.append(problem)
        for prefix, allowed in RESERVED.items():
            if name.startswith(prefix) and layer not in allowed:
                found.append(f"is in layer {layer} and includes <{name}>")
    return [f"{path.relative_to(ROOT)} {problem}" for problem in found]


def python_symbols(archive: str) -> list[str]:
    listing = subprocess.run(
        ["nm", "--undefined-only", archive], capture_output=True, text=True, check=True
    ).stdout
    symbols = {line.split()[-1] for line in listing.splitlines() if " U " in line}
    return [
        f"{archive} needs {symbol}" for symbol in sorted(symbols) if re.match(r"_?Py[A-Z_]", symbol)
    ]


def main() -> int:
    files = [path for path in sorted(SOURCE.rglob("*")) if path.suffix in (".c", ".h", ".def")]
    problems = [problem for path in files for problem in problems_of(path)]
    for archive in sys.argv[1:]:
        problems += python_symbols(archive)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"layers: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
