"""Algorithms for collective operations on arbitrary objects. See `drive` for how they are run.

What a member cannot encode or combine becomes a `_Failure`, which travels in place of the value: so
everybody goes on to the end, and everybody who would have got the value gets the exception.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pygas._job import core
from pygas.collectives.drive import Steps
from pygas.errors import Description, describe, rebuild

#: Teams up to this size gather and scatter directly; larger ones along a tree.
_DIRECT_MAX = 16


@dataclasses.dataclass(frozen=True)
class _Failure:
    """In place of a value: why there is none, and the rank on which that happened."""

    description: Description
    rank: int


def _failure(exception: Exception) -> _Failure:
    return _Failure(describe(exception), core().rank())


def _encode(value: object) -> Any:
    """Encode a value, or why it cannot be."""
    try:
        return core().encode(value)
    except Exception as exception:
        return core().encode(_failure(exception))


def _check(value: Any) -> Any:
    """Return a value; raise what it stands for if it is a failure."""
    if isinstance(value, _Failure):
        raise rebuild(value.description, value.rank)
    return value


def _check_all(values: list[Any]) -> list[Any]:
    for value in values:
        _check(value)
    return values


def _combine(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if isinstance(left, _Failure):
        return left
    if isinstance(right, _Failure):
        return right
    try:
        return function(left, right)
    except Exception as exception:
        return _failure(exception)


@functools.lru_cache(maxsize=256)
def tree(place: int, size: int) -> tuple[int | None, tuple[int, ...]]:
    """Return the parent (None for the root) and the children of a place in a binomial tree.

    Place 0 is the root. The parent of another place lacks its lowest bit that is set; children add
    one lower bit, the largest first, so that the deepest subtree starts first.
    """
    span = place & -place or 1 << (size - 1).bit_length()
    children = []
    bit = span >> 1
    while bit:
        if place + bit < size:
            children.append(place + bit)
        bit >>= 1
    return (place - span if place else None), tuple(children)


def _subtree(place: int, size: int) -> int:
    """Return how many places are in the subtree of one; they follow each other."""
    span = place & -place or size
    return min(span, size - place)


def _down(exchange: Any, members: Any, encoded: Any, root: int) -> Steps:
    """Send what `root` has encoded down a binomial tree; a helper, to be delegated to."""
    size = members.size
    parent, children = tree((members.rank - root) % size, size)
    if parent is not None:
        encoded = yield (parent + root) % size
    if children:
        exchange.send(tuple((child + root) % size for child in children), encoded)
    return encoded


def broadcast(exchange: Any, members: Any, value: Any, root: int) -> Steps:
    """Down a binomial tree; inner members pass the bytes on before they decode them."""
    failure: Exception | None = None
    encoded = None
    if members.rank == root:
        try:
            encoded = core().encode(value)
        except Exception as exception:
            failure = exception
            encoded = core().encode(_failure(exception))
    encoded = yield from _down(exchange, members, encoded, root)
    yield None
    if failure is not None:
        raise failure
    return value if members.rank == root else _check(encoded.decode())


def gather(exchange: Any, members: Any, value: Any, root: int) -> Steps:
    """To the root directly, in large teams up a binomial tree, inner members collecting."""
    size, rank = members.size, members.rank
    if size <= _DIRECT_MAX:
        if rank != root:
            exchange.send((root,), _encode(value))
            yield None
            return None
        values = [value] * size
        for source in range(size):
            if source != root:
                message = yield source
                values[source] = message.decode()
    else:
        place = (rank - root) % size
        parent, children = tree(place, size)
        values = [value if place == 0 else _sendable(value)]
        for child in reversed(children):
            message = yield (child + root) % size
            values += message.decode()
        if parent is not None:
            exchange.send(((parent + root) % size,), core().encode(values))
            yield None
            return None
        values = values[size - root :] + values[: size - root]
    yield None
    return _check_all(values)


def _sendable(value: Any) -> Any:
    """Return a value that will travel among others; a failure if it cannot be encoded."""
    try:
        core().encode(value)
    except Exception as exception:
        return _failure(exception)
    return value


def scatter(exchange: Any, members: Any, values: Sequence[Any] | None, root: int) -> Steps:
    """From the root directly, in large teams down a binomial tree."""
    size, rank = members.size, members.rank
    own: Any = None
    if size <= _DIRECT_MAX:
        if rank == root:
            assert values is not None
            for member in range(size):
                if member != root:
                    exchange.send((member,), _encode(values[member]))
            own = values[root]
        else:
            message = yield root
            own = message.decode()
    else:
        place = (rank - root) % size
        parent, children = tree(place, size)
        if parent is None:
            assert values is not None
            part = [*values[root:], *values[:root]]
            part[1:] = [_sendable(each) for each in part[1:]]
        else:
            message = yield (parent + root) % size
            part = message.decode()
        for child in children:
            begin = child - place
            below = part[begin : begin + _subtree(child, size)]
            exchange.send(((child + root) % size,), core().encode(below))
        own = part[0]
    yield None
    return _check(own)


def allgather(exchange: Any, members: Any, value: Any) -> Steps:
    """Bruck: ceil(log2 N) rounds, in each of which a member sends what it has (see allgather.c)."""
    size, rank = members.size, members.rank
    held = [_sendable(value) if size > 1 else value]
    distance = 1
    while distance < size:
        few = held[: min(distance, size - distance)]
        exchange.send(((rank - distance) % size,), core().encode(few))
        message = yield (rank + distance) % size
        held += message.decode()
        distance *= 2
    yield None
    return _check_all(held[size - rank :] + held[: size - rank])


def _swap(exchange: Any, members: Any, values: Sequence[Any]) -> Steps:
    """Give each member its value; return what each has given.

    Pairwise: in step i to the member i above, from the member i below.
    """
    size, rank = members.size, members.rank
    received = [values[rank]] * size
    for step in range(1, size):
        above, below = (rank + step) % size, (rank - step) % size
        exchange.send((above,), _encode(values[above]))
        message = yield below
        received[below] = message.decode()
    return received


def alltoall(exchange: Any, members: Any, values: Sequence[Any]) -> Steps:
    """Every value goes straight to its member."""
    received = yield from _swap(exchange, members, values)
    yield None
    return _check_all(received)


def _agree(exchange: Any, members: Any, value: Any) -> Steps:
    """Tell everybody if a member has a failure in place of a value: up a binomial tree and down."""
    size, rank = members.size, members.rank
    parent, children = tree(rank, size)
    found = value if isinstance(value, _Failure) else None
    for child in reversed(children):
        message = yield child
        found = found or message.decode()
    if parent is not None:
        exchange.send((parent,), core().encode(found))
    encoded = core().encode(found) if parent is None else None
    encoded = yield from _down(exchange, members, encoded, 0)
    _found = encoded.decode()
    return _found if isinstance(_found, _Failure) else value


def _up(
    exchange: Any, members: Any, value: Any, function: Callable[[Any, Any], Any], top: int
) -> Steps:
    """Combine up a binomial tree with `top` at its root; what `top` gets is the result."""
    size = members.size
    parent, children = tree((members.rank - top) % size, size)
    for child in reversed(children):
        message = yield (child + top) % size
        value = _combine(function, value, message.decode())
    if parent is not None:
        exchange.send(((parent + top) % size,), _encode(value))
    return value


def _up_in_order(
    exchange: Any, members: Any, value: Any, function: Callable[[Any, Any], Any]
) -> Steps:
    """Combine strictly from left to right; what member 0 gets is the result."""
    if members.rank > 0:
        exchange.send((0,), _encode(value))
        return value
    for source in range(1, members.size):
        message = yield source
        value = _combine(function, value, message.decode())
    return value


def reduce(
    exchange: Any,
    members: Any,
    value: Any,
    function: Callable[[Any, Any], Any],
    root: int,
    commutative: bool,
    ordered: bool,
) -> Steps:
    """Up a binomial tree that begins at the root, or at member 0 if the order matters; then a word
    to all whether it worked."""
    top = root if commutative and not ordered else 0
    if ordered:
        value = yield from _up_in_order(exchange, members, value, function)
    else:
        value = yield from _up(exchange, members, value, function, top)
    if top != root:
        if members.rank == top:
            exchange.send((root,), _encode(value))
        elif members.rank == root:
            message = yield top
            value = message.decode()
    outcome = None
    if members.rank == top:
        outcome = core().encode(value if isinstance(value, _Failure) else None)
    outcome = yield from _down(exchange, members, outcome, top)
    yield None
    _check(outcome.decode())
    return value if members.rank == root else None


def allreduce(
    exchange: Any,
    members: Any,
    value: Any,
    function: Callable[[Any, Any], Any],
    ordered: bool,
) -> Steps:
    """Up a binomial tree and down again: each combination is made once."""
    if ordered:
        value = yield from _up_in_order(exchange, members, value, function)
    else:
        value = yield from _up(exchange, members, value, function, 0)
    encoded = _encode(value) if members.rank == 0 else None
    encoded = yield from _down(exchange, members, encoded, 0)
    yield None
    return _check(encoded.decode())


def reduce_scatter(
    exchange: Any, members: Any, values: Sequence[Any], function: Callable[[Any, Any], Any]
) -> Steps:
    """Every value goes straight to the member that combines them, in the order of the ranks."""
    received = yield from _swap(exchange, members, values)
    each: Iterator[Any] = iter(received)
    total = next(each)
    for value in each:
        total = _combine(function, total, value)
    total = yield from _agree(exchange, members, total)
    yield None
    return _check(total)


def scan(
    exchange: Any,
    members: Any,
    value: Any,
    function: Callable[[Any, Any], Any],
    exclusive: bool,
    ordered: bool,
) -> Steps:
    """Doubling (see scan.c), or from member to member if strictly in order; then agree whether it
    worked."""
    size, rank = members.size, members.rank
    before: Any = None
    if ordered:
        if rank > 0:
            message = yield rank - 1
            before = message.decode()
            value = _combine(function, before, value)
        if rank + 1 < size:
            exchange.send((rank + 1,), _encode(value))
    else:
        distance = 1
        while distance < size:
            if rank + distance < size:
                exchange.send((rank + distance,), _encode(value))
            if rank >= distance:
                message = yield rank - distance
                left = message.decode()
                before = left if distance == 1 else _combine(function, left, before)
                value = _combine(function, left, value)
            distance *= 2
    result = before if exclusive else value
    failure = yield from _agree(exchange, members, value)
    yield None
    _check(failure)
    return _check(result)
