"""Serialize what pickle refuses and what is nevertheless plain data: lambdas, nested functions,
local classes.

cloudpickle does it; but it would also copy the contents of an open file, which PyGAS treats as what
it is, something to refer to.
"""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle

from pygas._core import Proxy


def _is_found_by_name_in_main(obj: Any) -> bool:
    """Tell whether `obj` is a function or class that every rank has, as all run the same program.

    cloudpickle copies what ``__main__`` defines, with all the global variables that it uses; pickle
    refers to it by name, and a lambda should not make a difference.
    """
    if not isinstance(obj, (type, types.FunctionType)) or obj.__module__ != "__main__":
        return False
    found: Any = sys.modules.get("__main__")
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def _is_nameless_builtin(obj: Any) -> bool:
    """Tell whether `obj` is a class made in C that cannot be imported, such as list_iterator."""
    return (
        isinstance(obj, type)
        and not obj.__flags__ & _HEAP_TYPE
        and getattr(sys.modules.get(obj.__module__), obj.__qualname__, None) is not obj
        and not any(obj is value for value in vars(types).values())
    )


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        # By its real type: isinstance() asks a Proxy's object, which may be a file or a function.
        if issubclass(type(obj), Proxy) or _is_found_by_name_in_main(obj):
            return NotImplemented
        if _is_nameless_builtin(obj):
            raise TypeError(
                f"cannot pickle class {obj.__qualname__!r}, which has no name elsewhere"
            )
        if isinstance(obj, io.IOBase) and not isinstance(obj, (io.BytesIO, io.StringIO)):
            raise TypeError(f"cannot pickle an open file ({type(obj).__name__!r} object)")
        return super().reducer_override(obj)


class _LeavingPickler(_Pickler):
    def __init__(self, stream: io.BytesIO, protocol: int, leave_out: Callable[[Any], Any]) -> None:
        super().__init__(stream, protocol=protocol)
        self._leave_out = leave_out

    def persistent_id(self, obj: Any) -> Any:
        return self._leave_out(obj)


def dumps(
    obj: object,
    *,
    protocol: int,
    buffer_callback: Callable[[Any], Any] | None = None,
    leave_out: Callable[[Any], Any] | None = None,
) -> bytes:
    """Like `pickle.dumps`, for more objects; `leave_out` is a pickler's `persistent_id`."""
    with io.BytesIO() as stream:
        if leave_out is not None:
            pickler: _Pickler = _LeavingPickler(stream, protocol, leave_out)
        else:
            pickler = _Pickler(stream, protocol=protocol, buffer_callback=buffer_callback)
        pickler.dump(obj)
        return stream.getvalue()
