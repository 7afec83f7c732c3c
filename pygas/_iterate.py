"""Iterating over an object of another rank, without a round trip for each item.

The rule: a loop sees what it would see on the owner, as far as this process can tell.

- Sequences (list, tuple, str, bytes, bytearray, range, and subclasses that iterate like them) are
  fetched some items ahead. When this process has sent a request since they were fetched, what is
  left of them is fetched again, so a loop whose body changes the sequence sees its own changes.
- Dicts, their views, and sets are fetched as a whole. When this process has sent a request since,
  the size is checked, and a change is the ``RuntimeError`` that the object itself would raise.
- Anything else (generators, files, iterators) may have side effects and is asked for one item at a
  time.

Changes by other ranks, or by the owner's own program, may be seen a few items late: as in any race.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygas import _core

_SEQUENCE, _SNAPSHOT = 1, 2
_FIRST_AHEAD = 16  # as in operators.c
_MOST_AHEAD = 4096


def _sequence(proxy: Any, stamp: int, items: list[Any]) -> Iterator[Any]:
    position, ahead = 0, _FIRST_AHEAD
    while items:
        for item in items:
            if _core.requests_sent() != stamp:
                break
            position += 1
            yield item
        if _core.requests_sent() != stamp:
            ahead = 1
        elif len(items) < ahead:
            return
        else:
            ahead = min(2 * ahead, _MOST_AHEAD)
        items = _core.items(proxy, position, ahead)
        stamp = _core.requests_sent()


def _snapshot(proxy: Any, stamp: int, items: list[Any], length: int, message: str) -> Iterator[Any]:
    position = 0
    while True:
        if _core.requests_sent() != stamp:
            if len(proxy) != length:
                raise RuntimeError(message)
            stamp = _core.requests_sent()
        if position == len(items):
            return
        yield items[position]
        position += 1


def iterate(proxy: Any, plan: tuple[Any, ...]) -> Iterator[Any]:
    """Return an iterator over the items; called by the extension with the owner's plan."""
    loop = _sequence if plan[0] == _SEQUENCE else _snapshot
    return loop(proxy, _core.requests_sent(), *plan[1:])
