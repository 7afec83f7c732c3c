"""CPython's tests of mappings, on Proxies."""

from __future__ import annotations

from collections import OrderedDict, UserDict

import pytest
import remote

EXCLUDED = {"test_setdefault": remote.RESULT_STATE}


@pytest.mark.ranks(2)
def test_mappings() -> None:
    tests = remote.load("test.mapping_tests")
    ordered = remote.load("test.test_ordered_dict")
    if tests is None or ordered is None:
        return

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
