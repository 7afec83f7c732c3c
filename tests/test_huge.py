"""Transfers of 4 GiB and more. They need memory, and are skipped where there is not enough."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import pygas

COUNT = (1 << 29) + 13  # of 8 bytes: 104 bytes more than 4 GiB
NEEDED = 18 << 30
STEP = 1 << 24


def available() -> int:
    """Return the bytes of memory that could be had."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


pytestmark = pytest.mark.skipif(
    available() < NEEDED, reason=f"needs {NEEDED >> 30} GiB of free memory"
)


def is_counted(array: Any, start: int = 0) -> bool:
    """Tell whether the array counts up from `start`, without using much memory."""
    return all(
        (array[i : i + STEP] == np.arange(start + i, start + min(i + STEP, len(array)))).all()
        for i in range(0, len(array), STEP)
    )


class Holder:
    def __init__(self) -> None:
        self.array = np.arange(COUNT)

    def drop(self) -> None:
        del self.array


@pytest.mark.ranks(2, timeout=300)
def test_one_buffer_of_more_than_4_gib_there_and_back() -> None:
    p = pygas.share(Holder() if pygas.MYTHREAD == 0 else None)
    if pygas.MYTHREAD == 1:
        array = p.array
        assert array.shape == (COUNT,)
        assert is_counted(array)
        p.drop()
        assert pygas.at(0).call(is_counted, array)
    pygas.barrier()


@pytest.mark.ranks(2, timeout=300)
def test_buffers_of_more_than_4_gib_together() -> None:
    made = [np.arange(i, i + COUNT // 40) for i in range(44)] if pygas.MYTHREAD == 0 else None
    p = pygas.share(made)
    if pygas.MYTHREAD == 1:
        for i, array in enumerate(pygas.resolve(p)):
            assert is_counted(array, i)
    pygas.barrier()


@pytest.mark.ranks(2, timeout=300)
def test_bytes_of_more_than_4_gib() -> None:
    p = pygas.share(bytes(7) + b"\xa5" * (4 << 30) if pygas.MYTHREAD == 0 else None)
    if pygas.MYTHREAD == 1:
        data = pygas.resolve(p)
        assert len(data) == (4 << 30) + 7
        assert data[:9] == bytes(7) + b"\xa5\xa5"
        assert data[7 :: 1 << 20] == b"\xa5" * 4096
        assert data[-1:] == b"\xa5"
    pygas.barrier()
