"""Compare what happens to a Proxy with what happens to a plain object: values, errors and texts."""

from __future__ import annotations

import functools
import itertools
import re
import sys
from typing import Any

import pygas

PLAIN = (int, float, complex, str, bytes, tuple, frozenset)  # whose identity means nothing


def _text(error: Exception) -> str:
    """Return what it says, without modules of types on Python 3.14.

    There, some of the interpreter's own texts name a type with its module, and that of a Proxy is
    one of pygas.
    """
    if sys.version_info < (3, 14):
        return str(error)
    return re.sub(r"\b(pygas|model_things|collections)\.(?=\w)", "", str(error))


def outcome(code: str, names: dict[str, Any]) -> tuple[Any, ...]:
    """Run an expression, or a statement that may change `x`."""
    before = names.get("x")
    try:
        try:
            value = eval(code, names)
        except SyntaxError:
            exec(code, names)
            value = ("x is", isinstance(before, PLAIN) or names["x"] is before, repr(names["x"]))
    except Exception as error:
        return type(error), _text(error)
    return value.__class__, repr(value)


_differences: list[str] = []


def here(obj: Any) -> Any:
    return obj


def there(rank: int) -> Any:
    return lambda obj: pygas.at(rank).call(pygas.Proxy, obj)


def compare(code: str, **makers: Any) -> None:
    """Run `code` with plain objects, and with Proxies in all places; expect the same.

    `makers` make the operands. The Proxies' objects live here, on one other rank, or on two.
    """
    expected = outcome(code, {name: maker() for name, maker in makers.items()})
    last = pygas.THREADS - 1
    places = {"plain": here, "own": pygas.Proxy, "1": there(1), str(last): there(last)}
    for choice in itertools.product(places, repeat=len(makers)):
        names = {
            name: places[place](maker())
            for (name, maker), place in zip(makers.items(), choice, strict=True)
        }
        got = outcome(code, names)
        if got != expected:
            where = dict(zip(makers, choice, strict=True))
            _differences.append(f"{code} with {where}:\n  {got}\n  instead of {expected}")


def check() -> None:
    """Fail if any comparison since the last check found a difference."""
    differences, _differences[:] = _differences[:], []
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences)


def on_rank_0(test: Any) -> Any:
    """Run the test on rank 0, while the others serve."""

    @functools.wraps(test)
    def run() -> None:
        if pygas.MYTHREAD == 0:
            test()
            check()
        pygas.barrier()

    return run
