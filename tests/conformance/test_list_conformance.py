"""CPython's tests of sequences and lists, on Proxies."""

from __future__ import annotations

from collections import deque

import pytest
import remote


@pytest.mark.ranks(2)
def test_list() -> None:
    tests = remote.load("test.list_tests")
    if tests is None:
        return

    class List(tests.CommonTest):
        type2test = remote.Remote(list)

    remote.check({List: {"test_remove": remote.ARGUMENT_IDENTITY}})


@pytest.mark.ranks(2)
def test_tuple_and_deque() -> None:
    tests = remote.load("test.seq_tests")
    deques = remote.load("test.test_deque")
    if tests is None or deques is None:
        return

    class Tuple(tests.CommonTest):
        type2test = remote.Remote(tuple)

    class Deque(deques.TestSequence):
        type2test = remote.Remote(deque)

    remote.check({Tuple: {}, Deque: {}})
