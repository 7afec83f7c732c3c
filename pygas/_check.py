"""The debug mode ``PYGAS_DEBUG=collectives``: do all ranks call the same collective operations?

Before each collective operation of a team every member tells its right neighbour what it is about
to call, and where in the source, and compares what its left neighbour says. If any two members
differ, some neighbours do; they fail the comparison for all, with a text that names both places.
The comparison is an operation of the team like others, so it has their numbering and failures.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from pygas._job import core
from pygas.collectives import drive
from pygas.collectives.kinds import Kind
from pygas.errors import CollectiveError

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")

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


def _compare(exchange: Any, members: Any, mine: Call) -> drive.Steps:
    rank, size = members.rank, members.size
    left = (rank - 1) % size
    exchange.send(((rank + 1) % size,), core().encode(mine))
    message = yield left
    theirs: Call = message.decode()
    if theirs[:2] != mine[:2]:
        raise CollectiveError(
            "the ranks call different collective operations: rank "
            f"{members.to_world(rank)} calls {_words(mine)}, rank {members.to_world(left)} calls "
            f"{_words(theirs)}"
        )
    yield None


def check(members: Any, root: int | None, blocks: bool) -> None:
    """Compare the collective operation that the program has called with the left neighbour's.

    If that must not block, a difference that is found later puts the team out of use.

    Raises
    ------
    CollectiveError
        If any two members call different ones, or with different roots.
    """
    mine = _called(root)
    if members.size == 1:
        return

    def checked(future: Any) -> None:
        exception = future.exception()
        if isinstance(exception, CollectiveError):
            members.abandon(str(exception), False)

    if blocks:
        drive.run(members, Kind.CHECK, 0, 0, _compare, members, mine)
    else:
        done = drive.submit(members, Kind.CHECK, 0, 0, _compare, members, mine)
        done.add_done_callback(checked)
