"""What pickle refuses and is nevertheless plain data: lambdas, nested functions, local classes.

cloudpickle knows how to copy it; the codec writes what it says. It would also copy the contents of
an open file, which PyGAS treats as what it is, something to refer to.
"""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import cloudpickle

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def _is_nameless_builtin(obj: Any) -> bool:
    """Tell whether `obj` is a class made in C that cannot be imported, such as list_iterator."""
    return (
        isinstance(obj, type)
        and not obj.__flags__ & _HEAP_TYPE
        and getattr(sys.modules.get(obj.__module__), obj.__qualname__, None) is not obj
        and not any(obj is value for value in vars(types).values())
    )


class Reducer:
    """Says of objects that pickle refuses how they can be copied; one for each message.

    One for each message, as functions of one module that travel together share their globals.
    """

    def __init__(self) -> None:
        # Never written to: only its knowledge of objects is used.
        self._pickler = cloudpickle.Pickler(io.BytesIO(), protocol=5)

    def __call__(self, obj: Any) -> Any:
        """Return what ``obj.__reduce__()`` would; None if there is no way."""
        if _is_nameless_builtin(obj):
            raise TypeError(
                f"cannot pickle class {obj.__qualname__!r}, which has no name elsewhere"
            )
        # By its real type: isinstance() asks a Proxy's object, which may be a file.
        if issubclass(type(obj), io.IOBase):
            raise TypeError(f"cannot pickle an open file ({type(obj).__name__!r} object)")
        reduction = self._pickler.reducer_override(obj)
        if reduction is not NotImplemented:
            return reduction
        reducer = self._pickler.dispatch_table.get(type(obj))
        return None if reducer is None else reducer(obj)
