"""CPython's tests of strings, on Proxies. Arguments are Proxies, too."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import remote

MODULE = "test.test_str" if sys.version_info >= (3, 13) else "test.test_unicode"
pytestmark = remote.needs(MODULE)

STR = {
    "test_bug1001011": remote.EXACT_TYPE,
    "test_fixtype": remote.EXACT_TYPE,
    "test_find_many_lengths": remote.C_EXACT,  # "text".find(proxy)
}


@pytest.mark.ranks(2, timeout=300)
def test_str() -> None:
    tests = importlib.import_module(MODULE)

    class Str(getattr(tests, "StrTest", None) or tests.UnicodeTest):
        type2test = remote.Remote(str)

        def fixtype(self, obj: Any) -> Any:
            if isinstance(obj, tuple):  # of arguments; those inside of lists and tuples stay local
                return tuple(self.type2test(x) if isinstance(x, str) else x for x in obj)
            return self.type2test(obj) if isinstance(obj, str) else obj

        def checkequalnofix(self, result: Any, obj: Any, methodname: str, *args: Any) -> None:
            realresult = getattr(self.fixtype(obj), methodname)(*args)
            assert realresult == result
            assert type(realresult) is type(result)

    remote.check({Str: STR})
