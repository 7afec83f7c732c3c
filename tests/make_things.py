"""Functions for other ranks to call; what most of them return cannot be copied."""

from __future__ import annotations

import math
import socket as sockets
import threading
from collections.abc import Iterator
from typing import IO, Any


def generator() -> Iterator[int]:
    yield 1


def lock() -> Any:
    return threading.Lock()


def file() -> IO[str]:
    return open(__file__)


def socket() -> sockets.socket:
    return sockets.socket()


def module() -> Any:
    return math


def same(value: Any) -> Any:
    return value
