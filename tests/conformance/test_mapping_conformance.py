"""CPython's tests of mappings, on Proxies."""

from __future__ import annotations

import importlib
from collections import OrderedDict, UserDict

import pytest
import remote

pytestmark = remote.needs("test.mapping_tests", "test.test_ordered_dict")

EXCLUDED = {"test_setdefault": remote.RESULT_STATE}


@pytest.mark.ranks(2)
def test_mappings() -> None:
    tests = importlib.import_module("test.mapping_tests")
    ordered = importlib.import_module("test.test_ordered_dict")

    class Basic(tests.BasicTestMappingProtocol):
        type2test = remote.Remote(dict)

    class Mapping(tests.TestMappingProtocol):
        type2test = remote.Remote(dict)

    class Hash(tests.TestHashMappingProtocol):
        type2test = remote.Remote(dict)

    class User(tests.TestHashMappingProtocol):
        type2test = remote.Remote(UserDict)

    class Ordered(ordered.CPythonGeneralMappingTests):
        @classmethod
        def setUpClass(cls) -> None:
            cls.type2test = remote.Remote(OrderedDict)

    remote.check({Basic: {}, Mapping: EXCLUDED, Hash: EXCLUDED, User: EXCLUDED, Ordered: {}})
