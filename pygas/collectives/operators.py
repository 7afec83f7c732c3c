"""What reductions reduce with: named operators, and any function of the program."""

from __future__ import annotations

import operator
import sys
import zlib
from collections.abc import Callable
from typing import Any

__all__ = [
    "AND",
    "MAX",
    "MAXLOC",
    "MIN",
    "MINLOC",
    "OR",
    "PROD",
    "SUM",
    "XOR",
    "Operator",
    "operator_of",
]


class Operator:
    """A function of two values with which values are reduced to one.

    Parameters
    ----------
    function
        ``function(a, b)`` returns their combination. It must be associative: how the values are
        bracketed is not laid down (but see ``ordered=True`` of the reductions).
    commutative
        Whether ``function(a, b)`` and ``function(b, a)`` are the same. If not, as for a plain
        function that is passed as an operator, values stay in the order of the ranks.
    name
        What messages call it; the function's name by default. All ranks must use the same.
    """

    __slots__ = ("code", "commutative", "function", "name", "signature")

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        *,
        commutative: bool = False,
        name: str | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(
                f"an operator is a function of two values or one like pygas.SUM, not {function!r}"
            )
        self.function = function
        self.commutative = commutative
        self.name = str(name or getattr(function, "__qualname__", type(function).__qualname__))
        self.code = 0  #: the runtime's gas_operator_t; 0: it does not know this one
        #: A number by which ranks notice that they use different ones.
        self.signature = zlib.crc32(self.name.encode())

    def __repr__(self) -> str:
        return f"pygas.{self.name}" if self.code else f"pygas.Operator({self.name})"

    def __call__(self, left: Any, right: Any) -> Any:
        """Combine two values."""
        return self.function(left, right)

    def __reduce__(self) -> Any:
        if globals().get(self.name) is self:
            return self.name
        return _rebuild, (self.function, self.commutative, self.name)


def _rebuild(function: Callable[[Any, Any], Any], commutative: bool, name: str) -> Operator:
    return Operator(function, commutative=commutative, name=name)


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _least(left: Any, right: Any) -> Any:
    if _is_array(left) or _is_array(right):
        return sys.modules["numpy"].minimum(left, right)
    return right if right < left else left


def _greatest(left: Any, right: Any) -> Any:
    if _is_array(left) or _is_array(right):
        return sys.modules["numpy"].maximum(left, right)
    return right if right > left else left


def _least_at(left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
    if right[0] < left[0] or (right[0] == left[0] and right[1] < left[1]):
        return right
    return left


def _greatest_at(left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
    if right[0] > left[0] or (right[0] == left[0] and right[1] < left[1]):
        return right
    return left


def _named(name: str, code: int, function: Callable[[Any, Any], Any]) -> Operator:
    made = Operator(function, commutative=True, name=name)
    made.code = code
    return made


#: ``a + b``, so lists are chained; on arrays of truth values: "or".
SUM = Operator(operator.add, name="SUM")  # not commutative: lists
SUM.code = 1
#: ``a * b``; on arrays of truth values: "and".
PROD = _named("PROD", 2, operator.mul)
#: The smaller one; element by element on arrays, where a NaN is handed on.
MIN = _named("MIN", 3, _least)
#: The greater one; likewise.
MAX = _named("MAX", 4, _greatest)
#: ``a & b``: bit by bit, intersection of sets.
AND = _named("AND", 5, operator.and_)
#: ``a | b``: bit by bit, union of sets.
OR = _named("OR", 6, operator.or_)
#: ``a ^ b``.
XOR = _named("XOR", 7, operator.xor)
#: Of pairs (value, place): the one with the smallest value, of those the one with the lowest place.
MINLOC = Operator(_least_at, commutative=True, name="MINLOC")
#: Of pairs (value, place): the one with the greatest value, of those the one with the lowest place.
MAXLOC = Operator(_greatest_at, commutative=True, name="MAXLOC")


def operator_of(op: Operator | Callable[[Any, Any], Any]) -> Operator:
    """Return an operator for what a caller passed as one."""
    return op if isinstance(op, Operator) else Operator(op)
