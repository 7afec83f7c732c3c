"""CPython's tests of sequences and lists, on Proxies."""

from __future__ import annotations

import importlib
from collections import deque

import pytest
import remote

pytestmark = remote.needs("test.list_tests", "test.seq_tests", "test.test_deque")


@pytest.mark.ranks(2)
def test_list() -> None:
    tests = importlib.import_module("test.list_tests")

    class List(tests.CommonTest):
        type2test = remote.Remote(list)

    remote.check({List: {"test_remove": remote.ARGUMENT_IDENTITY}})


@pytest.mark.ranks(2)
def test_tuple_and_deque() -> None:
    tests = importlib.import_module("test.seq_tests")
    deques = importlib.import_module("test.test_deque")

    class Tuple(tests.CommonTest):
        type2test = remote.Remote(tuple)

    class Deque(deques.TestSequence):
        type2test = remote.Remote(deque)

    remote.check({Tuple: {}, Deque: {}})
