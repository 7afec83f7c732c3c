"""CPython's tests of bytes and bytearray, on Proxies."""

from __future__ import annotations

import importlib

import pytest
import remote

pytestmark = remote.needs("test.test_bytes")

BOTH = {
    "test_basics": remote.EXACT_TYPE,
    "test_imod": remote.EXACT_TYPE,
    "test_mod": remote.EXACT_TYPE,
    "test_iterator_pickling": remote.PICKLE,
    "test_join": remote.C_EXACT,  # items of a list to be joined
}
BYTES = {**BOTH, "test_copy": remote.EXACT_TYPE}


@pytest.mark.ranks(2)
def test_bytes() -> None:
    tests = importlib.import_module("test.test_bytes")

    class Bytes(tests.BytesTest):
        type2test = remote.Remote(bytes)

    class ByteArray(tests.ByteArrayTest):
        type2test = remote.Remote(bytearray)

    remote.check({Bytes: BYTES, ByteArray: BOTH})
