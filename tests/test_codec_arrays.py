"""Arrays and scalars of NumPy through the codec."""

from __future__ import annotations

import numpy as np
import pytest
from codeckit import arrays, copied

import pygas
from pygas._job import core


@pytest.mark.parametrize("name", arrays())
def test_arrays(name: str) -> None:
    sent = arrays()[name]
    pygas.init()
    for got in (copied(sent), core().encode(sent).decode(), copied([sent])[0]):
        assert type(got) is type(sent)
        assert got.dtype == sent.dtype
        assert got.dtype.metadata == sent.dtype.metadata or name != "metadata"
        assert got.shape == sent.shape
        np.testing.assert_array_equal(got, sent)
        assert got.flags.f_contiguous >= sent.flags.f_contiguous
        assert got.flags.aligned
        if type(sent) is np.ndarray and not sent.dtype.hasobject:
            assert got.flags.writeable == sent.flags.writeable
    twin = copied([sent, sent])
    assert twin[0] is twin[1]


def test_large_arrays_have_the_flags_of_the_original() -> None:
    pygas.init()
    for made in (np.zeros((200, 300)), np.asfortranarray(np.zeros((200, 300)))):
        for sent in (made, made[::2], made[:, ::3], np.broadcast_to(made, (2, 200, 300))):
            for writeable in (True, False):
                original = sent if writeable else sent.view()
                if not writeable:
                    original.flags.writeable = False
                got = core().encode(original).decode()
                assert got.flags.writeable == original.flags.writeable
                np.testing.assert_array_equal(got, original)
                p = pygas.Proxy({"a": original})
                copy = pygas.resolve(p)["a"]
                assert copy.flags.writeable == original.flags.writeable
                assert not np.shares_memory(copy, original)


def test_scalars() -> None:
    codes = "?bBhHiIlLqQefdgFDG"
    scalars = [np.dtype(c).type(1) for c in codes] + [np.float64("nan"), np.bool_(False)]
    scalars += [np.str_("x"), np.bytes_(b"y"), np.datetime64("2020"), np.timedelta64(3, "s")]
    scalars += [np.zeros(1, dtype="i4,f8")[0], np.float64(-0.0), np.longdouble(1) / 3]
    for scalar in scalars:
        got = copied(scalar)
        assert type(got) is type(scalar)
        assert repr(got) == repr(scalar)
    assert copied([scalars[-1]] * 2)[0] == scalars[-1]
    assert copied(np.dtype("f8")) is np.dtype("f8") or copied(np.dtype("f8")) == np.dtype("f8")
