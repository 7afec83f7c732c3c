"""Exceptions, and how they travel.

An exception that a request raises on the owner is raised again at the caller, with its own type,
and with the owner's traceback attached as a note. What travels is a description made of plain
strings and the encoded exception, so that one which cannot be encoded, or not be rebuilt, still
arrives, as a `RemoteError`.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable

from pygas._job import core

__all__ = ["CollectiveError", "ProtocolError", "RankFailedError", "RemoteError"]

#: (encoded exception or None, the Proxies in it, type name, text, traceback without notes, notes)
Description = tuple[bytes | None, list[object], str, str, str, list[str]]

# An exception that crosses many ranks gets a note on each: the first and the last few are kept.
_NOTES_KEPT = 8


class CollectiveError(RuntimeError):
    """A collective operation cannot succeed.

    The ranks of the team disagree about it (another operation, root, shape, dtype or operator), or
    one of them could not take part. Every rank that is in the operation gets it. A rank that had
    left it with success before, as a broadcast's root may, gets it from the next operation of the
    team, and from every later one: the ranks' ideas of the order differ, so the team is out of use.
    """


class RemoteError(RuntimeError):
    """Stands in for an exception of another rank that could not be copied.

    Its text begins with the name of the original type, followed by the original text; the remote
    traceback is attached as a note.
    """


class RankFailedError(RuntimeError):
    """An operation needs a rank that has failed: ended without finishing its part of the job.

    Raised only in jobs that go on when a rank fails (``pygas run --on-failure=continue`` or
    `on_failure`), by calls to the rank, by Futures of such calls, and by collective operations.

    Attributes
    ----------
    rank : int
        The rank that has failed; the first of `ranks`.
    ranks : tuple of int
        The ranks that have failed and that the operation needs.
    reason : str
        What became of `rank`, like ``was killed by SIGKILL`` or ``exited with code 3``.
    """

    def __init__(self, text: str, ranks: Iterable[int] = (), reason: str = "") -> None:
        super().__init__(text)
        self.ranks = tuple(ranks)
        self.rank = self.ranks[0] if self.ranks else -1
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.ranks, self.reason), self.__dict__


def rank_failed(text: str, ranks: Iterable[int], reason: str) -> RankFailedError:
    """Make the exception; called by the extension."""
    return RankFailedError(text, ranks, reason)


class ProtocolError(RuntimeError):
    """A message that no rank of this job can have sent: its bytes are malformed.

    It points to ranks that run different versions of PyGAS, to damaged memory, or to somebody who
    is not part of the job.
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


def _encoded(exception: BaseException) -> tuple[bytes | None, list[object]]:
    """Return it as bytes, and the Proxies in it, which travel beside them: bytes keep no object
    alive."""
    proxies: list[object] = []
    try:
        return core().dumps(exception, proxies), proxies
    except Exception:
        return None, []


def describe(exception: BaseException) -> Description:
    """Describe an exception for its journey; called by the extension on the owner."""
    try:
        formatter = traceback.TracebackException.from_exception(exception)
        # Notes travel beside it: those of earlier ranks are tracebacks too, and the text would
        # double with every rank.
        formatter.__notes__ = None
        trace = "".join(formatter.format())
    except Exception:
        trace = f"{_type_name(exception)}: <its traceback could not be formatted>\n"
    name, text = _type_name(exception), _text(exception)
    return *_encoded(exception), name, text, trace, _notes(exception)


def _notes(exception: BaseException) -> list[str]:
    try:
        notes = [str(note) for note in getattr(exception, "__notes__", ())]
    except Exception:
        return []
    if len(notes) > 2 * _NOTES_KEPT:
        notes[_NOTES_KEPT:-_NOTES_KEPT] = ["[some notes are left out]"]
    return notes


def rebuild(description: Description | bytes, rank: int) -> BaseException:
    """Make the exception again; called by the extension at the caller.

    A description in bytes, "type: text", is what the extension sends when `describe` failed.
    """
    if isinstance(description, bytes):
        return _rebuild_brief(description.decode(errors="replace"), rank)
    data, proxies, name, text, trace, notes = description
    exception = _decoded(data, proxies, name)
    if exception is None:
        exception = _stand_in(name, text)
    notes.append(f"The traceback on rank {rank}:\n{trace.rstrip()}")
    with contextlib.suppress(Exception):  # a class may have no room for them
        exception.__notes__ = notes
    return exception


def _decoded(data: bytes | None, proxies: list[object], name: str) -> BaseException | None:
    """Return the exception itself, if it can be made here; __init__ may want other arguments."""
    if data is None:
        return None
    try:
        exception = core().loads(data, proxies)
    except Exception:
        return None
    # Its class may have a __reduce__ that makes something else. One that was copied, since it was
    # local to a function, has lost the first part of its name.
    cls, last = type(exception), name.rpartition(".")[2]
    same = last in (cls.__name__, cls.__qualname__.rpartition(".")[2])
    return exception if same and issubclass(cls, BaseException) else None


def _stand_in(name: str, text: str) -> BaseException:
    if name == "RecursionError":  # near the limit even pickling fails
        return RecursionError(text)
    if name == f"{RemoteError.__module__}.{RemoteError.__qualname__}":
        return RemoteError(text)
    return RemoteError(f"{name}: {text}" if text else name)


def _rebuild_brief(description: str, rank: int) -> BaseException:
    name, _, text = description.partition(": ")
    if name == "RuntimeError":  # of the extension there, which says it all
        return RuntimeError(text)
    exception = _stand_in(name, text)
    exception.add_note(f"It was raised on rank {rank}, where it could not be described further.")
    return exception
