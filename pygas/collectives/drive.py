"""Carrying on the algorithms of `objects`: generators that say from whom they want to hear next.

An algorithm yields the member whose next message it waits for and is sent the message, as an
`Encoded`; it yields None, once, when it is done with communicating, and returns the result. Its
exchange is over then: everything it sent has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from pygas._job import core

#: An algorithm under way.
Steps = Generator[int | None, Any, Any]


def _reason(members: Any, exception: BaseException) -> str:
    rank = members.to_world(members.rank)
    text = str(exception)
    return f"rank {rank} gave it up: {type(exception).__name__}{': ' if text else ''}{text}"


def _meet_first(exchange: Any, members: Any, steps: Steps) -> Steps:
    """Go on when every member has come: nobody runs ahead of the others for ever.

    Dissemination, as in the barrier.
    """
    size, rank = members.size, members.rank
    distance = 1
    while distance < size:
        exchange.send(((rank + distance) % size,), core().encode(None))
        yield (rank - distance) % size
        distance *= 2
    return (yield from steps)


def refuse(members: Any, kind: int, exception: BaseException) -> None:
    """Tell the other members that this rank cannot take part in the operation that is next."""
    members.refuse(int(kind), _reason(members, exception))


def run(
    members: Any, kind: int, root: int, extra: int, algorithm: Callable[..., Steps], *args: Any
) -> Any:
    """Do an operation, ``algorithm(exchange, *args)``, waiting for it; return its result."""
    return members.run(kind, root, extra, _meet_first, _reason, algorithm, *args)


def submit(
    members: Any, kind: int, root: int, extra: int, algorithm: Callable[..., Steps], *args: Any
) -> Any:
    """Begin an operation, as `run` does; return a Future of its result."""
    exchange = members.open(kind, root, extra)
    steps = algorithm(exchange, *args)
    if exchange.meets_first():
        steps = _meet_first(exchange, members, steps)
    running = _Running(members, exchange, steps)
    running.advance(None)
    return running.future


def _result(steps: Steps) -> Any:
    """Let an algorithm do what is left after its communication."""
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("an algorithm goes on after its end")


class _Running:
    """An operation that nobody waits for: carried on by whoever runs requests."""

    def __init__(self, members: Any, exchange: Any, steps: Steps) -> None:
        self.members, self.exchange, self.steps = members, exchange, steps
        self.future = core().Future()

    def advance(self, message: Any) -> None:
        """Go on with a message (None: begin), or end with the exception that came instead."""
        try:
            if isinstance(message, BaseException):
                raise message
            source = self.steps.send(message)
            if source is None:
                self.exchange.then(self.end)
            else:
                self.exchange.expect(source, self.advance)
        except BaseException as exception:
            self.exchange.fail(_reason(self.members, exception))
            self.settle_with(exception)

    def end(self) -> None:
        """Everything has arrived."""
        try:
            self.exchange.close()
            result = _result(self.steps)
        except BaseException as exception:
            self.settle_with(exception)
        else:
            self.future.set_result(result)

    def settle_with(self, exception: BaseException) -> None:
        self.future.set_exception(exception)
        if not isinstance(exception, Exception):
            raise exception
