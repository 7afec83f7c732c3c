"""Counting lines of code.

The rule: lines of the whole program, as it can be run, that hold code: neither empty lines, nor
comments, nor documentation texts. What is which is told by pygount, for all languages. It would
also leave out lines of nothing but brackets, of which C has more than Python; both are shown.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
from typing import TypedDict

#: A line of nothing else is none for pygount.
_BRACKETS = "()[]{}<>,;:."


class Lines(TypedDict):
    """Lines of code, and how many of them have more than brackets."""

    all: int
    words: int


def rule() -> str | None:
    """Say how lines are counted; None if the counter is not installed."""
    try:
        version = importlib.metadata.version("pygount")
    except importlib.metadata.PackageNotFoundError:
        return None
    return (
        "Lines of code are those of the whole program, as it can be run, without empty lines, "
        f"comments and documentation, as told apart by pygount {version}; the second count leaves "
        "out lines of nothing but brackets too. Programs are formatted by ruff and clang-format, "
        "at 100 columns."
    )


def count(path: pathlib.Path) -> Lines:
    """Count the lines of code of a file."""
    from pygount import SourceAnalysis

    analysis = SourceAnalysis.from_file(str(path), "pygas")
    words = int(analysis.code_count) + int(analysis.string_count)
    lines = (line.strip() for line in path.read_text().splitlines())
    brackets = sum(1 for line in lines if line and not line.strip(_BRACKETS))
    return {"all": words + brackets, "words": words}
