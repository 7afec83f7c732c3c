"""Malformed messages: the decoder refuses them, and nothing else happens."""

from __future__ import annotations

import codec_things as things
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
