"""CPython's tests of numbers, on Proxies."""

from __future__ import annotations

import importlib
import unittest

import pytest
import remote

pytestmark = remote.needs("test.test_int", "test.test_float")

INT = {
    "test_int_returns_int_subclass": remote.WARNING,
    "test_intconversion": remote.WARNING,
    "test_non_numeric_input_types": remote.MEMORYVIEW,
    "test_small_ints": remote.IDENTITY,
}
FLOAT = {
    "test_floatconversion": remote.NEW_AGAIN,
    "test_hash_nan": remote.IDENTITY,
}


@pytest.mark.ranks(2)
def test_int() -> None:
    tests = importlib.import_module("test.test_int")
    tests.int = remote.Remote(int)  # type: ignore[attr-defined]
    remote.check({tests.IntTestCases: INT})


@pytest.mark.ranks(2)
def test_float() -> None:
    tests = importlib.import_module("test.test_float")
    tests.float = remote.Remote(float)  # type: ignore[attr-defined]
    classes = [
        value
        for value in vars(tests).values()
        if isinstance(value, type) and issubclass(value, unittest.TestCase)
    ]
    remote.check(dict.fromkeys(classes, FLOAT))
