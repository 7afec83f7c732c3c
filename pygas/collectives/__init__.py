"""What the methods of `pygas.Team` are made of.

`operators` are what reductions reduce with, `arrays` brings operations on arrays to the runtime
(whose algorithms are in C), `objects` has the algorithms for any other object, and `drive` carries
those on, for a caller that waits and for one that does not.
"""

from __future__ import annotations

from pygas.collectives.arrays import algorithms
from pygas.collectives.operators import Operator

__all__ = ["Operator", "algorithms"]
