"""CPython's tests of sets, on Proxies."""

from __future__ import annotations

import importlib

import pytest
import remote

pytestmark = remote.needs("test.test_set")

BOTH = {
    "test_cyclical_repr": remote.ARGUMENT_STATE,
    "test_iterator_pickling": remote.PICKLE,
    "test_pickling": remote.EXACT_TYPE,
}
SET = {
    **BOTH,
    "test_discard": remote.C_EXACT,  # a set to look for is replaced by a frozenset
    "test_remove": remote.C_EXACT,
    "test_remove_keyerror_set": remote.C_EXACT,
}
FROZENSET = {
    **BOTH,
    "test_constructor_identity": remote.IDENTITY,
    "test_copy": remote.IDENTITY,
}


@pytest.mark.ranks(2)
def test_sets() -> None:
    tests = importlib.import_module("test.test_set")

    class Set(tests.TestSet):
        thetype = remote.Remote(set)
        basetype = thetype

    class FrozenSet(tests.TestFrozenSet):
        thetype = remote.Remote(frozenset)
        basetype = thetype

    remote.check({Set: SET, FrozenSet: FROZENSET})
