"""Exceptions, and how they travel.

An exception that a request raises on the owner is raised again at the caller, with its own type,
and with the owner's traceback attached as a note. What travels is a description made of plain
strings and the pickled exception, so that one which cannot be pickled, or not be rebuilt, still
arrives, as a `RemoteError`.
"""

from __future__ import annotations

import pickle
import traceback

__all__ = ["RemoteError"]

#: (pickled exception or None, type name, text, traceback)
Description = tuple[bytes | None, str, str, str]


class RemoteError(RuntimeError):
    """Stands in for an exception of another rank that could not be copied.

    Its text begins with the name of the original type, followed by the original text; the remote
    traceback is attached as a note.
    """


def _type_name(exception: BaseException) -> str:
    cls = type(exception)
    if cls.__module__ in ("builtins", "__main__"):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _text(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:
        return "<its text could not be had: str() raised an exception>"


def _pickled(exception: BaseException) -> bytes | None:
    """Return a pickle if one can be made and read back into the same type, else None."""
    for dumps in (pickle.dumps, _cloud_dumps):
        try:
            data = dumps(exception, protocol=5)
            if type(pickle.loads(data)) is type(exception):
                return data
        except Exception:
            pass
    return None


def _cloud_dumps(exception: BaseException, protocol: int) -> bytes:
    """Pickle an exception whose class is local to a function."""
    from pygas import _cloud

    return _cloud.dumps(exception, protocol=protocol)


def describe(exception: BaseException) -> Description:
    """Describe an exception for its journey; called by the extension on the owner."""
    try:
        trace = "".join(traceback.format_exception(exception))
    except Exception:
        trace = f"{_type_name(exception)}: <its traceback could not be formatted>\n"
    return _pickled(exception), _type_name(exception), _text(exception), trace


def rebuild(description: Description, rank: int) -> BaseException:
    """Make the exception again; called by the extension at the caller."""
    data, name, text, trace = description
    exception: BaseException | None = None
    if data is not None:
        try:
            loaded = pickle.loads(data)
        except Exception:
            loaded = None
        if isinstance(loaded, BaseException):
            exception = loaded
    if exception is None:
        exception = RemoteError(f"{name}: {text}" if text else name)
    exception.add_note(f"The traceback on rank {rank}:\n{trace.rstrip()}")
    return exception
