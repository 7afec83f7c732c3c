"""The debug mode ``PYGAS_DEBUG=collectives``: do all ranks call the same collective operations?

Before its n-th collective operation each rank tells its right neighbour what it is about to call,
and where in the source, and compares what its left neighbour says. If any two ranks differ, some
neighbours do, and each of those raises an error that names both places, instead of waiting for
ever.
"""

from __future__ import annotations

import itertools
import os
import sys

from pygas import _job

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_numbers = itertools.count()

#: (operation, root or None, place in the source)
Call = tuple[str, int | None, str]


def wanted() -> bool:
    """Tell whether the environment asks for the check."""
    return "collectives" in os.environ.get("PYGAS_DEBUG", "").replace(" ", "").split(",")


def _called(root: int | None) -> Call:
    """Find the public function that the program has called, and where."""
    frame = sys._getframe(2)
    name = frame.f_code.co_name
    while (outer := frame.f_back) is not None and frame.f_code.co_filename.startswith(_HERE):
        name = frame.f_code.co_name
        frame = outer
    place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return name, root, place


def _words(call: Call) -> str:
    name, root, place = call
    return f"{name}({'' if root is None else f'root={root}'}) at {place}"


def check(root: int | None) -> None:
    """Compare the collective operation that the program has called with the left neighbour's.

    Raises
    ------
    RuntimeError
        If the left neighbour has called another one, or with another root.
    """
    module = _job.core()
    me, size = _job.rank(), _job.size()
    mine = _called(root)
    if size == 1:
        return
    tag = _job.TAG_CHECK + next(_numbers)
    left = (me - 1) % size
    module.post(((me + 1) % size,), tag, module.encode(mine))
    theirs: Call = module.take(tag, left).decode()
    if theirs[:2] != mine[:2]:
        raise RuntimeError(
            f"the ranks call different collective operations: rank {me} calls {_words(mine)}, "
            f"rank {left} calls {_words(theirs)}"
        )
