"""The kinds of collective operations, as the runtime numbers them (collective.h)."""

from __future__ import annotations

import enum


class Kind(enum.IntEnum):
    """A kind of collective operation."""

    BARRIER = 0
    BROADCAST = 1
    GATHER = 2
    SCATTER = 3
    ALLGATHER = 4
    ALLTOALL = 5
    REDUCE = 6
    ALLREDUCE = 7
    REDUCE_SCATTER = 8
    SCAN = 9
    EXSCAN = 10
    SHARE = 11
    SPLIT = 12
    CHECK = 13
