"""The frame below which the main thread runs requests between two bytecodes of its program.

An interrupted frame may lack what Python code relies on (those of a namedtuple's methods have no
builtins); this one does not. The extension calls it.
"""

from __future__ import annotations

from pygas._core import drain_home


def between_bytecodes() -> None:
    """Run some requests to objects that belong to the main thread."""
    drain_home()
