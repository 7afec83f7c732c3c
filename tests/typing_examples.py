"""What type checkers make of PyGAS: a Proxy is typed as its object. mypy runs on this file."""

from __future__ import annotations

from collections import Counter
from typing import assert_type

import numpy as np
import numpy.typing as npt

import pygas


class Tree:
    size: int = 0

    def grow(self, by: float) -> Tree:
        return self


class Server:
    @pygas.deferred
    def later(self, x: int) -> pygas.Future[str]:
        return pygas.Future()

    @pygas.deferred
    async def soon(self, x: int) -> str:
        return str(x)

    def in_future(self, x: int) -> pygas.Future[str]:
        return pygas.Future()


async def soon(x: int) -> str:
    return str(x)


def examples(server: Server, tree: Tree, array: npt.NDArray[np.float64]) -> None:
    shared = pygas.share(Counter[str]())
    assert_type(shared, Counter[str])
    assert_type(shared.most_common(3), list[tuple[str, int]])
    assert_type(pygas.share(tree, 1).grow(2).size, int)
    assert_type(pygas.share(array), npt.NDArray[np.float64])

    assert_type(pygas.at(1).new(Tree), Tree)
    assert_type(pygas.at(1).call(tree.grow, 1.5), Tree)
    assert_type(pygas.at(1).submit(tree.grow, by=1.5).result(), Tree)
    assert_type(pygas.broadcast({"a": 1}), dict[str, int])

    assert_type(pygas.local(tree), Tree)
    assert_type(pygas.resolve(tree), Tree)
    assert_type(pygas.by_ref(tree).grow(1), Tree)
    assert_type(pygas.owner(tree), int)
    assert_type(pygas.is_local(tree), bool)

    tasks = pygas.share(pygas.Queue[int]())
    assert_type(tasks.get(timeout=1), int)
    tasks.put("text")  # type: ignore[arg-type]
    assert_type(pygas.async_(tasks).get().result(), int)
    assert_type(pygas.async_(pygas.Lock()).acquire().result(), bool)
    assert_type(pygas.Lock().acquire(), bool)
    assert_type(server.later(1), str)
    assert_type(server.soon(1), str)
    assert_type(pygas.at(0).call(server.in_future, 1), str)
    assert_type(pygas.at(0).call(soon, 1), str)
    assert_type(pygas.at(0).submit(soon, 1).result(), str)

    pygas.at(1).call(tree.grow, "text")  # type: ignore[call-overload]
    pygas.at(1).new(Tree, 1)  # type: ignore[call-arg]
