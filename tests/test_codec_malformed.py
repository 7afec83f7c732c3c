"""Malformed messages: the decoder refuses them, and nothing else happens."""

from __future__ import annotations

import contextlib

import codec_things as things
import numpy as np
import pytest
from codeckit import EXAMPLES, arrays, dumps, loads
from hypothesis import given, settings
from hypothesis import strategies as st

import pygas


def samples() -> list[bytes]:
    return [dumps(make()) for make in EXAMPLES.values()] + [dumps(a) for a in arrays().values()]


def test_every_truncation_is_a_protocol_error() -> None:
    for data in samples():
        step = max(1, len(data) // 150)
        for end in [*range(0, len(data), step), len(data) - 1]:
            things.log.clear()
            with pytest.raises(pygas.ProtocolError):
                loads(data[:end])
        with pytest.raises(pygas.ProtocolError):
            loads(data + b"\x02")


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(pygas.ProtocolError):
        loads(b"\x7f" + data)
    try:
        loads(data)
    except pygas.ProtocolError:
        pass
    except (TypeError, ValueError, ImportError, AttributeError, OverflowError):
        pass  # the message was sound; the names in it were not


def test_hostile_sizes_and_depths() -> None:
    for tag in range(1, 128):
        for size in (2**16, 2**31, 2**40, 2**62, 2**63, 2**64 - 1):
            head = bytes([tag, 255]) + size.to_bytes(8, "little")
            with pytest.raises((pygas.ProtocolError, TypeError)):
                loads(head)
            with pytest.raises((pygas.ProtocolError, TypeError)):
                loads(bytes([tag, 8]) + head)
    one = dumps([None])[:-1]
    with pytest.raises(pygas.ProtocolError, match="deep"):
        loads(one * 100_000 + b"\x02")
    with pytest.raises(pygas.ProtocolError, match="not there"):
        loads(b"\x01\x00")


def number(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def reference(**parts: bytes) -> bytes:
    return dumps(pygas.Proxy([]))[:1] + b"".join(parts.values())


@pytest.mark.ranks(2)
def test_references_to_shared_objects() -> None:
    class Plain:
        pass

    me, there = (number(rank << 2) for rank in (pygas.MYTHREAD, 1 - pygas.MYTHREAD))
    for value in ([], {}, Plain(), np.zeros(3), print, 1.5):
        proxy = pygas.Proxy(value)
        data = dumps(proxy)
        assert type(loads(data)) is type(proxy)
        assert loads(data) is not proxy
        for end in range(len(data)):
            with pytest.raises(pygas.ProtocolError):
                loads(data[:end])
        with pytest.raises(pygas.ProtocolError):
            loads(data + b"\0")
    one, none = b"\x01", b"\0"
    sound = {
        "owner": me,
        "index": one,
        "generation": one,
        "which": one,
        "slots": one,
        "length": b"\x05",
        "name": b"Thing",
    }
    sizes = {"owner": 33, "index": 32, "generation": 32, "which": 16, "length": 12}
    for part, most in sizes.items():
        for bad in (b"\x80\0", b"\x81\0", number(1 << most), b"\xff" * 20 + one):
            with pytest.raises(pygas.ProtocolError):
                loads(reference(**(sound | {part: bad})))
    for wrong in (
        {"owner": number(pygas.MYTHREAD << 2 | 3)},  # no such mode
        {"which": number(1 << 16), "slots": one * 17},  # slots that nobody can have
        {"which": number((1 << 16) - 1), "slots": one * 10},  # fewer than it says
        {"slots": none},
        {"length": b"\x06"},
        {"name": b"Th\0ng"},
        {"name": b"Thi\xff\xfe"},
    ):
        with pytest.raises(pygas.ProtocolError):
            loads(reference(**(sound | wrong)))
    for owner in (2, 3, 127, 128, 2**24, 2**31 - 1):
        with pytest.raises(ReferenceError, match=f"rank {owner} in a job of 2"):
            loads(reference(**(sound | {"owner": number(owner << 2)})))
    for owner in (me, there):
        for half in (2**20, 2**32 - 1):
            with pytest.raises(ReferenceError, match="no shared object"):
                loads(reference(**(sound | {"owner": owner, "index": number(half)})))
            with pytest.raises(ReferenceError, match="no shared object"):
                loads(reference(**(sound | {"owner": owner, "generation": number(half)})))
    pygas.barrier()


@pytest.mark.ranks(2)
def test_references_with_any_byte_changed() -> None:
    proxy = pygas.Proxy({})
    data = dumps(proxy)
    for place in range(1, len(data)):
        for byte in range(256):
            changed = data[:place] + bytes([byte]) + data[place + 1 :]
            with contextlib.suppress(pygas.ProtocolError, ReferenceError):
                loads(changed)
    assert type(loads(data)) is type(proxy)
    pygas.barrier()
