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


def examples(tree: Tree, array: npt.NDArray[np.float64]) -> None:
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

    pygas.at(1).call(tree.grow, "text")  # type: ignore[arg-type]
    pygas.at(1).new(Tree, 1)  # type: ignore[call-arg]
